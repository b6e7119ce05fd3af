//! Rows of a run. A file has one JSON object a line: a header for each start, and a row for each answer.
//!
//! A run only appends rows. Verdicts of a judge are added to existing rows: the file is written again under a temporary
//! name and then renamed.

mod file;
mod speed;

pub use file::{Record, RowFile, RowWriter, Start};
pub use speed::{Speed, SpeedKey};

use crate::bench::{
    Error,
    data::{Call, CallError, DataId},
    score::{
        judge::Judged,
        metric::{METRICS, Pair, Toolbox},
    },
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// Version of this JSON format.
pub const SCHEMA_VERSION: u32 = 1;

/// Decoding mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Unconstrained decoding, as in the published scores.
    Free,
    /// Decoding constrained to a call, with keys in any order: the default of `edgecall call`.
    Any,
    /// Decoding constrained to a call, with keys in the order of the schema.
    Schema,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 3] = [Mode::Free, Mode::Any, Mode::Schema];

    /// Name on the command line and in files.
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

/// A variant of the comparison: model file, mode and settings. An answer depends on these, the prompt and the CPU
/// kernels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Variant {
    /// SHA-256 of the model file, in hex.
    pub file_sha256: String,
    /// Decoding mode.
    pub mode: Mode,
    /// Maximum number of tokens in an answer.
    pub max_tokens: usize,
    /// Type of the KV cache.
    pub kv_type: String,
    /// True if weights were repacked for the CPU.
    pub repack: bool,
    /// Number of threads.
    pub threads: usize,
    /// Physical batch size (llama.cpp's `n_ubatch`).
    pub n_ubatch: usize,
    /// True if flash attention was used; rows without this field used it.
    #[serde(default = "yes")]
    pub flash_attention: bool,
    /// Version of edgecall; for a local model also the llama.cpp build.
    pub engine: String,
    /// [`RULES`](super::run::RULES) when the row was made. 0 in rows from before it existed, and for a server.
    #[serde(default)]
    pub rules: u32,
    /// The served model, if a server answered; file and settings are then unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Served>,
}

fn yes() -> bool {
    true
}

impl Variant {
    /// Group whose variants must be the same in all shards: `None` for local models, else the served model with the
    /// side that renders its prompts.
    fn group(&self) -> Option<(String, Rendering)> {
        self.endpoint.as_ref().map(|served| (served.model.clone(), served.rendering))
    }
}

/// A model behind a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Served {
    /// Name of the model on the server.
    pub model: String,
    /// The server's description of itself and of the model.
    pub server: String,
    /// Renderer of the prompts: edgecall or the server.
    pub rendering: Rendering,
}

/// Renderer of the prompts that a server answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rendering {
    /// This program; the prompt's hash is the same as that of local rows.
    Ours,
    /// The server, which may also have constrained the output.
    Server,
}

/// Everything that an answer depends on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowKey {
    /// Variant: model and settings.
    #[serde(flatten)]
    pub variant: Variant,
    /// SHA-256 of the prompt's text, in hex.
    pub prompt_sha256: String,
    /// CPU kernels that computed the answer.
    pub kernels: String,
}

/// Role of a variant in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The others are compared with it.
    Reference,
    /// Compared with the reference.
    Candidate,
    /// The reference's file under other runtime conditions; its differences are noise, not quantisation.
    NoiseFloor,
}

/// Tokens on which probabilities are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferenceTokens {
    /// The ground-truth answers.
    #[default]
    Gold,
    /// The reference's own answers in the same mode, for unlabelled data.
    Reference,
}

impl ReferenceTokens {
    fn is_gold(&self) -> bool {
        *self == ReferenceTokens::Gold
    }
}

/// Divergence of a model's probabilities from the reference's, on given tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// Source of the tokens.
    #[serde(default, rename = "along", skip_serializing_if = "ReferenceTokens::is_gold")]
    pub reference_tokens: ReferenceTokens,
    /// Negative log-likelihood of the tokens, summed, in nats.
    pub nll: f64,
    /// Number of tokens.
    pub tokens: usize,
    /// KL(reference || this model) at each token, in nats, over the whole vocabulary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kl: Vec<f64>,
    /// Number of positions at which both have the same most likely token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top1_agreeing: Option<usize>,
}

/// Cost of an answer on the host that computed it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cost {
    /// Name of the host.
    pub host: String,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Prompt tokens that were computed rather than reused.
    pub computed_tokens: usize,
    /// Tokens of the answer.
    pub generated_tokens: usize,
    /// Seconds of prefill.
    pub prefill_s: f64,
    /// Seconds of decoding.
    pub decode_s: f64,
    /// Seconds from the request to the answer.
    pub wall_s: f64,
    /// CPU seconds, summed over all threads.
    pub cpu_s: Option<f64>,
    /// Seconds to load the model.
    pub load_s: Option<f64>,
    /// Peak resident memory of the process, in bytes.
    pub peak_resident_bytes: Option<u64>,
    /// The CPU's temperature, in degrees Celsius.
    pub celsius: Option<f64>,
    /// The CPU's frequency, in MHz.
    pub mhz: Option<f64>,
    /// True if the CPU was throttled.
    pub throttled: Option<bool>,
}

/// One answer, with its scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Everything that the answer depends on.
    pub key: RowKey,
    /// Hashes of the data.
    pub data: DataId,
    /// Name of the model.
    pub model: String,
    /// Checkpoint of the model, if it is one with published scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// Size of the model file in bytes; 0 for a server.
    pub file_bytes: u64,
    /// Bits per weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_weight: Option<f64>,
    /// Role of the variant.
    pub role: Role,
    /// Name of the primary metric, chosen before the run.
    pub primary: String,
    /// Largest acceptable loss of the primary metric, as a fraction, chosen before the run.
    pub margin: f64,
    /// Index of the conversation, counted from 0.
    pub conversation: usize,
    /// Index of the call in the conversation, counted from 0.
    pub turn: usize,
    /// Last message of the prompt.
    pub prompt_tail: String,
    /// Ground-truth call; empty in unlabelled data.
    pub gold: String,
    /// The model's call in canonical form; empty if it made none.
    pub prediction: String,
    /// Raw output of the model.
    pub raw_output: String,
    /// Tokens of the raw output.
    #[serde(default)]
    pub tokens: Vec<i32>,
    /// Finish reason: `stop` if the model ended by itself, else the cause.
    pub finish: String,
    /// Scores by metric, without metrics that do not apply.
    pub scores: ByName<f64>,
    /// Cause, if the answer is not a call.
    #[serde(default, rename = "rejection", skip_serializing_if = "Option::is_none")]
    pub call_error: Option<CallError>,
    /// Votes of a judge, if one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<Judged>,
    /// Divergence from the reference, if measured.
    #[serde(default, rename = "drift", skip_serializing_if = "Option::is_none")]
    pub divergence: Option<Divergence>,
    /// Cost, if measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// Values by name, sorted.
pub type ByName<T> = BTreeMap<String, T>;

impl Row {
    /// Conversation and turn; unique within a variant.
    pub fn case(&self) -> (usize, usize) {
        (self.conversation, self.turn)
    }

    /// True if the row has a ground-truth call.
    pub fn is_labelled(&self) -> bool {
        !self.gold.is_empty()
    }

    /// Function of the ground-truth call, if there is one.
    pub fn function(&self) -> Option<String> {
        Call::parse(&self.gold).ok().map(|call| call.name)
    }

    /// Scores the row by every metric. `with_proxy` is true for the data that the judge proxy was fitted to.
    pub fn rescore(&mut self, tools: &Toolbox, with_proxy: bool) {
        self.rescore_read_as(&self.raw_output.clone(), tools, with_proxy);
    }

    /// Scores the row by every metric; `read` is the raw output in a format that the metrics parse.
    pub fn rescore_read_as(&mut self, read: &str, tools: &Toolbox, with_proxy: bool) {
        let pair = Pair::new(&self.gold, &self.prediction, Some(read), Some(tools));
        self.call_error = pair.raw.err();
        self.scores = METRICS
            .iter()
            .filter(|metric| with_proxy || metric.name() != "judge_proxy")
            .filter(|metric| self.is_labelled() || !metric.needs_label())
            .filter_map(|metric| Some((metric.name().to_owned(), metric.score(&pair)?)))
            .collect();
    }
}

/// Merges the files of a run that was split into shards; the order of the rows does not depend on that of the files.
///
/// All rows must be of the same data, primary metric and margin, and local ones of the same
/// [`RULES`](super::run::RULES). Each shard runs all models and modes, so its variants must be among those of the file
/// that has the most; each served model is checked separately. If two files have the same row, prompt and answer must
/// be equal.
///
/// # Errors
/// [`Error::OtherKey`] with the file, the line and the difference.
pub fn merge(files: &[(PathBuf, RowFile)]) -> Result<RowFile, Error> {
    // Rows of a server may be made in a run of their own, on any machine that reaches it.
    let mut bases: BTreeMap<_, (&Path, Vec<Variant>)> = BTreeMap::new();
    for (path, file) in files {
        let mut variants: Vec<Variant> = file.rows.iter().map(|row| row.key.variant.clone()).collect();
        variants.sort_unstable();
        variants.dedup();
        let mut groups: BTreeMap<_, Vec<Variant>> = BTreeMap::new();
        for variant in variants {
            groups.entry(variant.group()).or_default().push(variant);
        }
        for (group, variants) in groups {
            let base = bases.entry(group).or_insert((path, Vec::new()));
            if variants.len() > base.1.len() {
                *base = (path, variants);
            }
        }
    }
    let mut merged: BTreeMap<(Variant, usize, usize), Row> = BTreeMap::new();
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
            if let Some(problem) = other_run(first_row, row) {
                return Err(refuse(first_path, problem));
            }
            if row.key.variant.endpoint.is_none() {
                let (path, local) = *first_here.get_or_insert((path, row));
                if local.key.variant.rules != row.key.variant.rules {
                    return Err(refuse(path, other_rules(local.key.variant.rules, row.key.variant.rules)));
                }
            }
            let (base_path, variants) = &bases[&row.key.variant.group()];
            if !variants.contains(&row.key.variant) {
                return Err(refuse(base_path, other_variant(variants, &row.key.variant)));
            }
            let identity = (row.key.variant.clone(), row.conversation, row.turn);
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

/// Sorts rows for a report: by mode, then the reference first, then the largest file first.
pub fn sort(rows: &mut [Row]) {
    rows.sort_by(|a, b| {
        let key = |row: &Row| (row.key.variant.mode, row.role, std::cmp::Reverse(row.file_bytes));
        key(a)
            .cmp(&key(b))
            .then_with(|| a.model.cmp(&b.model))
            .then_with(|| a.key.variant.cmp(&b.key.variant))
            .then_with(|| a.case().cmp(&b.case()))
    });
}

fn case_words(row: &Row) -> String {
    format!("call {} of conversation {} by {}", row.turn, row.conversation, row.model)
}

/// Message for rows of other decoding rules than `ours`.
pub(in crate::bench) fn other_rules(ours: u32, theirs: u32) -> String {
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

/// Difference that makes two rows parts of different runs, if any.
fn other_run(a: &Row, b: &Row) -> Option<String> {
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

/// Difference between a variant and the most similar one of `variants`.
fn other_variant(variants: &[Variant], variant: &Variant) -> String {
    let fields = |variant: &Variant| {
        [
            ("model file", variant.file_sha256.clone()),
            ("mode", variant.mode.to_string()),
            ("max tokens", variant.max_tokens.to_string()),
            ("KV type", variant.kv_type.clone()),
            ("repack", variant.repack.to_string()),
            ("threads", variant.threads.to_string()),
            ("n_ubatch", variant.n_ubatch.to_string()),
            ("flash attention", variant.flash_attention.to_string()),
            ("engine", variant.engine.clone()),
            ("server", variant.endpoint.as_ref().map_or("none".into(), |served| served.server.clone())),
        ]
    };
    let differing = |other: &Variant| -> Vec<String> {
        let pairs = fields(variant).into_iter().zip(fields(other));
        pairs
            .filter(|(a, b)| a != b)
            .map(|((name, ours), (_, theirs))| format!("{name} {ours}, not {theirs}"))
            .collect()
    };
    variants.iter().map(differing).min_by_key(Vec::len).unwrap_or_default().join("; ")
}

#[cfg(test)]
mod tests;
