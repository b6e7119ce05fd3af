//! A report made of rows alone, and the forms in which it is written.
//!
//! To add a form: a file here, and a line in [`EXPORTERS`].

mod collect;
mod difference;
mod html;
mod json;
mod judging;
mod markdown;
mod noise;
mod pairing;
mod svg;
mod text;
mod words;

pub use collect::collect;
pub use judging::Judging;
pub use noise::NoiseFloor;

use super::{
    answer::Rejection,
    confusion::Confusion,
    published::Published,
    row::{Data, Mode, Role, Served, Start},
    stats::Interval,
    verdict::{Comparison, Rules, Verdict},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The version of the report's JSON.
pub const SCHEMA_VERSION: u32 = 1;

/// A way to write a report.
pub trait Exporter: Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// The report as text, with its last line feed.
    fn export(&self, report: &Report) -> String;
}

/// Every form, the one for terminals first.
pub static EXPORTERS: &[&dyn Exporter] = &[&text::Text, &json::Json, &markdown::Markdown, &html::Html];

/// The form of this name.
pub fn exporter(name: &str) -> Option<&'static dyn Exporter> {
    EXPORTERS.iter().copied().find(|exporter| exporter.name() == name)
}

/// What a sweep found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The decisions, one for each mode.
    pub verdicts: Vec<ModeVerdict>,
    /// Whether the data say which calls are right; if not, whatever needs that is null, and nothing is decided.
    pub labelled: bool,
    /// The metric that decides, named before the run.
    pub primary: String,
    /// How it was decided.
    pub rules: Rules,
    /// The data.
    pub data: Data,
    /// Conversations with a row.
    pub conversations: usize,
    /// Calls with a row.
    pub cases: usize,
    /// What must be known to read the figures.
    pub notes: Vec<String>,
    /// Each model in each mode.
    pub arms: Vec<ArmReport>,
    /// Each candidate against its reference, metric by metric.
    pub comparisons: Vec<MetricComparison>,
    /// Each constrained mode against free decoding with the same model: descriptive.
    pub constraints: Vec<MetricComparison>,
    /// How verdicts were made, one for each judge that was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub judges: Vec<Judging>,
    /// How far the reference is from itself under other conditions.
    pub noise_floor: Vec<NoiseFloor>,
    /// How far each candidate's answers are from its reference's, labels aside.
    pub distances: Vec<Distance>,
    /// Answers that call another function or score otherwise than the reference's.
    pub flips: Vec<Flip>,
    /// Every score.
    pub rows: Vec<ScoreRow>,
    /// How the rows were made, and on what.
    pub environment: Vec<Start>,
}

/// The decision in one mode.
#[derive(Clone, Debug, Serialize)]
pub struct ModeVerdict {
    /// The mode.
    pub mode: Mode,
    /// The reference's name.
    pub reference: String,
    /// The decision in a sentence.
    pub sentence: String,
    /// What it rests on.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Each finding in words, in the verdict's order.
    pub words: Vec<String>,
}

/// A model in a mode.
#[derive(Clone, Debug, Serialize)]
pub struct ArmReport {
    /// What it is called, unlike every other.
    pub label: String,
    /// The same without the mode.
    pub name: String,
    /// The model.
    pub model: String,
    /// The mode.
    pub mode: Mode,
    /// What it is for.
    pub role: Role,
    /// Who computed, where that was a server; file and settings are then empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Served>,
    /// The SHA-256 of the file.
    pub file_sha256: String,
    /// The size of the file; 0 for a server.
    pub file_bytes: u64,
    /// Bits for each weight.
    pub bits_per_weight: Option<f64>,
    /// The type of the KV cache.
    pub kv_type: String,
    /// Threads.
    pub threads: usize,
    /// The version of edgecall that ran it, and the engine's build.
    pub engine: String,
    /// The number of the rules by which its tokens were made; 0 where a server made them.
    pub rules: u32,
    /// The kernels that computed its rows.
    pub kernels: Vec<String>,
    /// Its rows.
    pub rows: usize,
    /// Its means, the primary metric first.
    pub means: Vec<Mean>,
    /// The same by function of the reference.
    pub functions: Vec<FunctionReport>,
    /// Answers that are no call, by cause.
    pub rejected: BTreeMap<Rejection, usize>,
    /// Which function was called where which was right.
    pub confusion: Confusion,
    /// What was published for the checkpoint, where it and the data are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
    /// Nats for each token of the right answers, if measured.
    pub nll_per_token: Option<f64>,
    /// Nats for each token of what the reference wrote, where the data have no right answers.
    pub reference_nll_per_token: Option<f64>,
    /// What it cost, host by host.
    pub costs: Vec<CostReport>,
}

/// The mean of a metric.
#[derive(Clone, Debug, Serialize)]
pub struct Mean {
    /// The metric.
    pub metric: String,
    /// Rows that it says something about.
    pub rows: usize,
    /// The mean; none without such rows.
    pub mean: Option<f64>,
    /// Its 95 % interval, conversations drawn; never compare two of these, compare pairs.
    pub interval: Option<Interval>,
}

/// An arm on the calls of one function.
#[derive(Clone, Debug, Serialize)]
pub struct FunctionReport {
    /// The function.
    pub function: String,
    /// Its rows.
    pub rows: usize,
    /// The mean of the primary metric.
    pub mean: f64,
}

/// What an arm cost on one host.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CostReport {
    /// The host.
    pub host: String,
    /// Calls that were measured.
    pub calls: usize,
    /// The median of the seconds for a call.
    pub wall_s_p50: f64,
    /// Their 95th percentile.
    pub wall_s_p95: f64,
    /// The mean of the CPU's seconds for a call.
    pub cpu_s: Option<f64>,
    /// Tokens of the prompts that were computed each second.
    pub prefill_tokens_per_s: Option<f64>,
    /// Tokens of the answers that were made each second.
    pub decode_tokens_per_s: Option<f64>,
    /// Tokens of all prompts.
    pub prompt_tokens: usize,
    /// Of those, the ones that had to be computed.
    pub computed_tokens: usize,
    /// Seconds of loading, the median.
    pub load_s: Option<f64>,
    /// The most memory that a process with this model alone held, mapped weights included.
    pub peak_resident_bytes: Option<u64>,
    /// The highest temperature.
    pub celsius: Option<f64>,
    /// The lowest frequency of the fastest CPU, in MHz.
    pub mhz: Option<f64>,
    /// Whether the CPU was ever held back.
    pub throttled: Option<bool>,
}

/// A candidate against another arm by one metric.
#[derive(Clone, Debug, Serialize)]
pub struct MetricComparison {
    /// The candidate's label.
    pub candidate: String,
    /// The label of what it is compared with.
    pub reference: String,
    /// The mode of the candidate.
    pub mode: Mode,
    /// The metric.
    pub metric: String,
    /// Pairs whose two sides were made on different kernels.
    pub cross_kernel_pairs: usize,
    /// The difference.
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// How far one arm's answers are from another's.
#[derive(Clone, Debug, Serialize)]
pub struct Distance {
    /// The arm.
    pub candidate: String,
    /// The other.
    pub reference: String,
    /// Rows that both have.
    pub rows: usize,
    /// Rows with the same output, letter by letter.
    pub same_outputs: usize,
    /// Rows with the same call: the same function with the same arguments in whatever order or, where neither side makes a
    /// call, the same text.
    pub same_calls: usize,
    /// The 95 % interval of their share, conversations drawn.
    pub same_calls_interval: Option<Interval>,
    /// Rows that call another function, or none where the other does.
    pub name_flips: usize,
    /// Rows by the function that the other calls and the one that is called in its place.
    pub called: Confusion,
    /// Rows whose primary score differs; none without right answers.
    pub score_flips: Option<usize>,
    /// The median place of the first token that differs, counted from 0, where one does and tokens were kept.
    pub first_divergence: Option<f64>,
    /// The mean of KL(reference || candidate) over all positions, in nats.
    pub kl_mean: Option<f64>,
    /// Its 99th percentile.
    pub kl_p99: Option<f64>,
    /// The share of positions at which both have the same likeliest token.
    pub top1_agreement: Option<f64>,
}

/// An answer that differs in substance from the reference's: in its function or score or, without right answers, in its
/// call.
#[derive(Clone, Debug, Serialize)]
pub struct Flip {
    /// The candidate's label.
    pub candidate: String,
    /// The label of what it is compared with.
    pub reference: String,
    /// The conversation, counted from 0.
    pub conversation: usize,
    /// The call of the conversation, counted from 0.
    pub turn: usize,
    /// The last message of the prompt.
    pub prompt_tail: String,
    /// The right call, if the data have it.
    pub gold: Option<String>,
    /// Whether the two call different functions.
    pub other_function: bool,
    /// What the reference wrote.
    pub reference_output: String,
    /// Its primary score; none without right answers.
    pub reference_score: Option<f64>,
    /// What the candidate wrote.
    pub candidate_output: String,
    /// Its primary score; none without right answers.
    pub candidate_score: Option<f64>,
}

/// The scores of one row.
#[derive(Clone, Debug, Serialize)]
pub struct ScoreRow {
    /// The arm's label.
    pub arm: String,
    /// The conversation, counted from 0.
    pub conversation: usize,
    /// The call of the conversation, counted from 0.
    pub turn: usize,
    /// The function of the right call, if the data have it.
    pub function: Option<String>,
    /// The scores by metric.
    pub scores: BTreeMap<String, f64>,
}

impl Report {
    /// The arm of this label.
    pub fn arm(&self, label: &str) -> Option<&ArmReport> {
        self.arms.iter().find(|arm| arm.label == label)
    }

    /// What stands first, where there is no decision in any mode to stand there.
    fn nothing_to_compare(&self) -> Option<&'static str> {
        let words = "No verdict: no model here was sent our prompts, so there is nothing to compare with.";
        self.verdicts.is_empty().then_some(words)
    }

    /// What was found in a mode, candidate by candidate.
    fn findings<'r>(&'r self, verdict: &'r ModeVerdict) -> Vec<Found<'r>> {
        if self.labelled {
            let found = verdict.verdict.findings.iter().zip(&verdict.words);
            return found
                .map(|(finding, words)| Found {
                    name: &finding.name,
                    words: words.clone(),
                    good: match (finding.worse, verdict.verdict.ship.as_ref() == Some(&finding.name)) {
                        (true, _) => Some(false),
                        (_, ship) => ship.then_some(true),
                    },
                })
                .collect();
        }
        let found = self.distances_of(verdict.mode);
        found.map(|(arm, distance)| Found { name: &arm.name, words: distance.words(), good: None }).collect()
    }

    /// How far the arms of a mode are from its reference, each with its arm.
    fn distances_of(&self, mode: Mode) -> impl Iterator<Item = (&ArmReport, &Distance)> {
        self.distances.iter().filter_map(move |distance| {
            let arm = self.arm(&distance.candidate)?;
            (arm.mode == mode).then_some((arm, distance))
        })
    }

    /// The arms that are compared: all but those of the noise floor.
    pub fn compared(&self) -> impl Iterator<Item = &ArmReport> {
        self.arms.iter().filter(|arm| arm.role != Role::NoiseFloor)
    }
}

/// A line of what was found.
struct Found<'r> {
    name: &'r str,
    words: String,
    /// Whether it is good or bad, if it is either.
    good: Option<bool>,
}

impl ArmReport {
    /// The mean of a metric, if the metric says something about any row.
    pub fn mean(&self, metric: &str) -> Option<&Mean> {
        self.means.iter().find(|mean| mean.metric == metric && mean.mean.is_some())
    }
}

impl Distance {
    /// The share of rows with the same call.
    fn same_call_share(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.same_calls as f64 / self.rows as f64)
    }

    /// The share of rows with the same output, letter by letter.
    fn same_output_share(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.same_outputs as f64 / self.rows as f64)
    }

    /// How far it is, in words.
    fn words(&self) -> String {
        let range = self.same_calls_interval.map_or(String::new(), |interval| {
            format!(" ({} to {})", percent(Some(interval.low)), percent(Some(interval.high)))
        });
        let kl = self.kl_mean.map_or(String::new(), |kl| format!(", KL {kl:.4} nats"));
        format!(
            "the same call on {} %{range} of {} rows, another function on {}{kl}",
            percent(self.same_call_share()),
            self.rows,
            self.name_flips
        )
    }
}

/// A share as points with a sign, or a dash.
fn points(share: Option<f64>) -> String {
    share.map_or("—".into(), |share| format!("{:+.1}", share * 100.0 + 0.0))
}

/// A share in per cent.
fn percent(share: Option<f64>) -> String {
    share.map_or("—".into(), |share| format!("{:.1}", share * 100.0))
}

/// A number with decimals, or a dash.
fn decimals(value: Option<f64>, n: usize) -> String {
    value.map_or("—".into(), |value| format!("{value:.n$}"))
}

/// A p, never as 0.
fn p_value(p: f64) -> String {
    if p < 0.001 { "<0.001".into() } else { format!("{p:.3}") }
}

/// Bytes in MB of a million, as disks and downloads count; a dash for no file.
fn megabytes(bytes: u64) -> String {
    if bytes == 0 { "—".into() } else { format!("{:.1}", bytes as f64 / 1e6) }
}
