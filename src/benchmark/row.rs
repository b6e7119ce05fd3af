//! What a run writes down: one JSON object a line, a header for each start and a row for each answer.
//!
//! A run only ever adds rows at the end. Verdicts of a judge are put into rows that are there: the file is written anew
//! beside its place.

mod file;
mod speed;

pub use file::{Record, RowFile, RowWriter, Start};
pub use speed::{Speed, SpeedKey};

use super::{
    Error,
    answer::{Call, Rejection},
    judge::Judged,
    metric::{METRICS, Pair, Toolbox},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// The version of this form.
pub const SCHEMA_VERSION: u32 = 1;

/// How tokens are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Any token, as the published scores were made.
    Free,
    /// A call, its keys in any order: what `edgecall call` does.
    Any,
    /// A call, its keys in the schema's order.
    Schema,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 3] = [Mode::Free, Mode::Any, Mode::Schema];

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Free => "free",
            Mode::Any => "any",
            Mode::Schema => "schema",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// All that an answer depends on beside the prompt and the CPU's kernels: rows of one arm belong together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Arm {
    /// The SHA-256 of the model file, in hex.
    pub file_sha256: String,
    /// How tokens were chosen.
    pub mode: Mode,
    /// The most tokens of an answer.
    pub max_tokens: usize,
    /// The type of the KV cache.
    pub kv_type: String,
    /// Whether weights were repacked for the CPU.
    pub repack: bool,
    /// Threads that computed.
    pub threads: usize,
    /// Tokens that were evaluated at once at most.
    pub n_ubatch: usize,
    /// Whether attention was computed by flash attention, as it was in rows that do not say.
    #[serde(default = "yes")]
    pub flash_attention: bool,
    /// This program's version, and the engine's build.
    pub engine: String,
    /// [`RULES`](super::run::RULES), as it was when the row was made; 0 in rows from before there was a number, and where
    /// a server computed.
    #[serde(default)]
    pub rules: u32,
    /// Who computed, where that was a server: file and settings are then not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Served>,
}

fn yes() -> bool {
    true
}

impl Arm {
    /// What all shards have the same arms of: the models that are here, or one that a server has, prompted in one way.
    fn group(&self) -> Option<(String, Rendering)> {
        self.endpoint.as_ref().map(|served| (served.model.clone(), served.rendering))
    }
}

/// A model behind a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Served {
    /// What the server calls the model.
    pub model: String,
    /// What the server says of itself and of the model.
    pub server: String,
    /// Who wrote the prompts.
    pub rendering: Rendering,
}

/// Who wrote the prompts that a server answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rendering {
    /// This program: the prompt's hash is that of local rows.
    Ours,
    /// The server, which may have held the model to a form, too.
    Server,
}

/// All that an answer depends on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowKey {
    /// Model and settings.
    #[serde(flatten)]
    pub arm: Arm,
    /// The SHA-256 of the prompt's text, in hex.
    pub prompt_sha256: String,
    /// The kernels of the CPU that computed.
    pub kernels: String,
}

/// The data that a sweep runs on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Data {
    /// The MD5 of the test set, in hex.
    pub test_md5: String,
    /// The SHA-256 of task and tools, in hex.
    pub job_sha256: String,
}

/// What an arm is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// All others are compared with it.
    Reference,
    /// It is compared.
    Candidate,
    /// The reference's file once more under other conditions: what differs is no quantisation.
    NoiseFloor,
}

/// The texts along which probabilities are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trail {
    /// The right answers.
    #[default]
    Gold,
    /// What the reference wrote in the same mode, where the data have no right answers.
    Reference,
}

impl Trail {
    fn is_gold(&self) -> bool {
        *self == Trail::Gold
    }
}

/// How far a model's probabilities are from the reference's, along given tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Along what.
    #[serde(default, skip_serializing_if = "Trail::is_gold")]
    pub along: Trail,
    /// Negative log-likelihood of the tokens, summed, in nats.
    pub nll: f64,
    /// The tokens.
    pub tokens: usize,
    /// KL(reference || this) at each of them, in nats, over the whole vocabulary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kl: Vec<f64>,
    /// Tokens at which both have the same likeliest token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top1_agreeing: Option<usize>,
}

/// What an answer cost, on the host that computed it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cost {
    /// The host.
    pub host: String,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Of those, the ones that had to be computed.
    pub computed_tokens: usize,
    /// Tokens of the answer.
    pub generated_tokens: usize,
    /// Seconds of prefill.
    pub prefill_s: f64,
    /// Seconds of decoding.
    pub decode_s: f64,
    /// Seconds from the request to the answer.
    pub wall_s: f64,
    /// Seconds of CPU, all threads together.
    pub cpu_s: Option<f64>,
    /// Seconds that loading the model took.
    pub load_s: Option<f64>,
    /// The most memory that the process held, in bytes.
    pub peak_resident_bytes: Option<u64>,
    /// The CPU's temperature, in degrees Celsius.
    pub celsius: Option<f64>,
    /// The CPU's frequency, in MHz.
    pub mhz: Option<f64>,
    /// Whether the CPU was held back.
    pub throttled: Option<bool>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What it depends on.
    pub key: RowKey,
    /// The data it is from.
    pub data: Data,
    /// What the model is called.
    pub model: String,
    /// The checkpoint that it is of, where that is one with published scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// The size of its file; 0 behind a server.
    pub file_bytes: u64,
    /// Bits for each weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_weight: Option<f64>,
    /// What its arm is for.
    pub role: Role,
    /// The metric that decides, named before the run.
    pub primary: String,
    /// The loss that one could live with, named before the run.
    pub margin: f64,
    /// The conversation, counted from 0.
    pub conversation: usize,
    /// The call of the conversation, counted from 0.
    pub turn: usize,
    /// The last message of the prompt.
    pub prompt_tail: String,
    /// The right call; nothing in data without labels.
    pub gold: String,
    /// The call that was made, written canonically; nothing if there was none.
    pub prediction: String,
    /// What the model wrote.
    pub raw_output: String,
    /// The same as tokens.
    #[serde(default)]
    pub tokens: Vec<i32>,
    /// Whether the model stopped by itself, and if not, why.
    pub finish: String,
    /// Its scores by metric; a metric that says nothing about the row is left out.
    pub scores: ByName<f64>,
    /// The cause, if it was no call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<Rejection>,
    /// What a judge said of it, if one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<Judged>,
    /// Distances from the reference, if they were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// Its cost, if it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// Values by name, sorted.
pub type ByName<T> = BTreeMap<String, T>;

impl Row {
    /// The call that it answers, told from all others of its arm.
    pub fn case(&self) -> (usize, usize) {
        (self.conversation, self.turn)
    }

    /// Whether the data say which call is right.
    pub fn is_labelled(&self) -> bool {
        !self.gold.is_empty()
    }

    /// The function of the right call, if there is one.
    pub fn function(&self) -> Option<String> {
        Call::parse(&self.gold).ok().map(|call| call.name)
    }

    /// Scores the row by every metric. `with_proxy` where the data are those that the judge's proxy was fitted to.
    pub fn rescore(&mut self, tools: &Toolbox, with_proxy: bool) {
        self.rescore_read_as(&self.raw_output.clone(), tools, with_proxy);
    }

    /// Scores the row by every metric, `read` being what the model wrote in a form that metrics read.
    pub fn rescore_read_as(&mut self, read: &str, tools: &Toolbox, with_proxy: bool) {
        let pair = Pair::new(&self.gold, &self.prediction, Some(read), Some(tools));
        self.rejection = pair.raw.err();
        self.scores = METRICS
            .iter()
            .filter(|metric| with_proxy || metric.name() != "judge_proxy")
            .filter(|metric| self.is_labelled() || !metric.needs_label())
            .filter_map(|metric| Some((metric.name().to_owned(), metric.score(&pair)?)))
            .collect();
    }
}

/// Joins the files of a sweep that was spread over machines, rows in an order that does not depend on theirs.
///
/// All files must have their rows from the same data, made by the same [`RULES`](super::run::RULES), and, as each shard runs all models and modes, from the same arms
/// as the file with the most of them, those of each server's model taken by themselves. A row that two files have must be the same answer to the same prompt.
///
/// # Errors
/// [`Error::OtherKey`] with the file, the line and what differs.
pub fn merge(files: &[(PathBuf, RowFile)]) -> Result<RowFile, Error> {
    // Rows of servers are made in runs of their own, wherever the server can be reached from.
    let mut bases: BTreeMap<_, (&Path, Vec<Arm>)> = BTreeMap::new();
    for (path, file) in files {
        let mut arms: Vec<Arm> = file.rows.iter().map(|row| row.key.arm.clone()).collect();
        arms.sort_unstable();
        arms.dedup();
        let mut groups: BTreeMap<_, Vec<Arm>> = BTreeMap::new();
        for arm in arms {
            groups.entry(arm.group()).or_default().push(arm);
        }
        for (group, arms) in groups {
            let base = bases.entry(group).or_insert((path, Vec::new()));
            if arms.len() > base.1.len() {
                *base = (path, arms);
            }
        }
    }
    let mut merged: BTreeMap<(Arm, usize, usize), Row> = BTreeMap::new();
    let mut first: Option<(&Path, &Row)> = None;
    let mut first_here: Option<(&Path, &Row)> = None;
    for (path, file) in files {
        for (row, line) in file.rows.iter().zip(&file.lines) {
            let refuse = |other: &Path, problem: String| Error::OtherKey {
                path: path.clone(),
                line: *line,
                other: other.to_path_buf(),
                problem,
            };
            let (first_path, first_row) = *first.get_or_insert((path, row));
            if let Some(problem) = other_sweep(first_row, row) {
                return Err(refuse(first_path, problem));
            }
            if row.key.arm.endpoint.is_none() {
                let (path, local) = *first_here.get_or_insert((path, row));
                if local.key.arm.rules != row.key.arm.rules {
                    return Err(refuse(path, other_rules(local.key.arm.rules, row.key.arm.rules)));
                }
            }
            let (base_path, arms) = &bases[&row.key.arm.group()];
            if !arms.contains(&row.key.arm) {
                return Err(refuse(base_path, other_arm(arms, &row.key.arm)));
            }
            let identity = (row.key.arm.clone(), row.conversation, row.turn);
            match merged.get(&identity) {
                None => {
                    merged.insert(identity, row.clone());
                }
                Some(had) if had.key.prompt_sha256 != row.key.prompt_sha256 => {
                    return Err(refuse(base_path, case_words(row) + " was asked with another prompt"));
                }
                Some(had) if had.raw_output != row.raw_output => {
                    return Err(refuse(base_path, case_words(row) + " was answered differently"));
                }
                Some(had) if had.judge.is_none() && row.judge.is_some() => {
                    merged.insert(identity, row.clone());
                }
                Some(_) => {}
            }
        }
    }
    let mut rows: Vec<Row> = merged.into_values().collect();
    sort(&mut rows);
    let mut starts: Vec<Start> = Vec::new();
    for start in files.iter().flat_map(|(_, file)| &file.starts) {
        if !starts.contains(start) {
            starts.push(start.clone());
        }
    }
    let speeds = speed::merge(files, rows.first().map(|row| &row.data))?;
    Ok(RowFile { starts, lines: (1..=rows.len()).collect(), rows, speeds, ..RowFile::default() })
}

/// Brings rows into the order of a report: the reference first, then the largest file first, mode by mode.
pub fn sort(rows: &mut [Row]) {
    rows.sort_by(|a, b| {
        let key = |row: &Row| (row.key.arm.mode, row.role, std::cmp::Reverse(row.file_bytes));
        key(a)
            .cmp(&key(b))
            .then_with(|| a.model.cmp(&b.model))
            .then_with(|| a.key.arm.cmp(&b.key.arm))
            .then_with(|| a.case().cmp(&b.case()))
    });
}

fn case_words(row: &Row) -> String {
    format!("call {} of conversation {} by {}", row.turn, row.conversation, row.model)
}

/// Says that rows were made by other rules than `ours`.
pub(super) fn other_rules(ours: u32, theirs: u32) -> String {
    let named = |rules: u32| match rules {
        0 => "rules from before they had a number".to_owned(),
        rules => format!("rules {rules}"),
    };
    format!(
        "its tokens were made by {}, not {}: what differs between rows of both need not be the model",
        named(theirs),
        named(ours)
    )
}

/// What makes two rows parts of different sweeps.
fn other_sweep(a: &Row, b: &Row) -> Option<String> {
    if a.data.test_md5 != b.data.test_md5 {
        return Some("the test set is another one".into());
    }
    if a.data.job_sha256 != b.data.job_sha256 {
        return Some("task or tools are others".into());
    }
    if a.primary != b.primary {
        return Some(format!("the primary metric is {}, not {}", b.primary, a.primary));
    }
    (a.margin != b.margin).then(|| format!("the margin is {}, not {}", b.margin, a.margin))
}

/// What an arm has otherwise than the one of `arms` that is most like it.
fn other_arm(arms: &[Arm], arm: &Arm) -> String {
    let fields = |arm: &Arm| {
        [
            ("model file", arm.file_sha256.clone()),
            ("mode", arm.mode.to_string()),
            ("max tokens", arm.max_tokens.to_string()),
            ("KV type", arm.kv_type.clone()),
            ("repack", arm.repack.to_string()),
            ("threads", arm.threads.to_string()),
            ("n_ubatch", arm.n_ubatch.to_string()),
            ("flash attention", arm.flash_attention.to_string()),
            ("engine", arm.engine.clone()),
            ("server", arm.endpoint.as_ref().map_or("none".into(), |served| served.server.clone())),
        ]
    };
    let differing = |other: &Arm| -> Vec<String> {
        let pairs = fields(arm).into_iter().zip(fields(other));
        pairs
            .filter(|(a, b)| a != b)
            .map(|((name, ours), (_, theirs))| format!("{name} {ours}, not {theirs}"))
            .collect()
    };
    arms.iter().map(differing).min_by_key(Vec::len).unwrap_or_default().join("; ")
}

#[cfg(test)]
mod tests;
