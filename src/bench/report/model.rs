//! A report: all figures of a run, as plain data.

use crate::bench::{
    data::{CallError, DataId, published::Published},
    row::{ChangedSettings, Mode, Role, Served, Start},
    score::{
        confusion::Confusion,
        judge::JudgeSummary,
        stats::Interval,
        verdict::{Comparison, Rules, Verdict},
    },
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Version of the report's JSON format.
pub const SCHEMA_VERSION: u32 = 1;

/// Results of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Verdicts, one for each mode.
    pub verdicts: Vec<ModeVerdict>,
    /// True if the data are labelled. If not, every figure that needs ground truth is null, and there is no verdict.
    pub labelled: bool,
    /// Name of the primary metric, chosen before the run.
    pub primary: String,
    /// Parameters of the statistics and the verdict.
    pub rules: Rules,
    /// Hashes of the data.
    pub data: DataId,
    /// Number of conversations with a row.
    pub conversations: usize,
    /// Number of cases with a row.
    pub cases: usize,
    /// Notes that a reader needs for the figures.
    pub notes: Vec<String>,
    /// Results of each variant.
    #[serde(rename = "arms")]
    pub variants: Vec<VariantReport>,
    /// Comparison of each candidate with its reference, metric by metric.
    pub comparisons: Vec<MetricComparison>,
    /// Comparison of each constrained mode with free decoding of the same model; descriptive only.
    pub constraints: Vec<MetricComparison>,
    /// Judges that made verdicts, with their configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub judges: Vec<JudgeSummary>,
    /// Divergence of the reference from itself under other conditions.
    pub noise_floor: Vec<NoiseFloor>,
    /// Divergence of each candidate's answers from its reference's; it needs no labels.
    pub distances: Vec<Distance>,
    /// Answers with another function or score than the reference's.
    pub flips: Vec<Flip>,
    /// Scores, row by row.
    pub rows: Vec<ScoreRow>,
    /// Command line and environment of each start.
    pub environment: Vec<Start>,
}

/// The verdict in one mode.
#[derive(Clone, Debug, Serialize)]
pub struct ModeVerdict {
    /// The mode.
    pub mode: Mode,
    /// The reference's name.
    pub reference: String,
    /// The verdict in one sentence.
    pub sentence: String,
    /// The verdict's data.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Each finding in words, in the order of the verdict.
    pub words: Vec<String>,
}

/// Results of one variant: a model in a mode.
#[derive(Clone, Debug, Serialize)]
pub struct VariantReport {
    /// Unique name of the variant.
    pub label: String,
    /// The name without the mode.
    pub name: String,
    /// Name of the model.
    pub model: String,
    /// The mode.
    pub mode: Mode,
    /// Role in the comparison.
    pub role: Role,
    /// The served model, if a server answered; fields of the file and settings are then empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Served>,
    /// SHA-256 of the file, in hex.
    pub file_sha256: String,
    /// Size of the file in bytes; 0 for a server.
    pub file_bytes: u64,
    /// Bits per weight.
    pub bits_per_weight: Option<f64>,
    /// Type of the KV cache.
    pub kv_type: String,
    /// Threads.
    pub threads: usize,
    /// Version of edgecall; for a local model also the llama.cpp build.
    pub engine: String,
    /// Version of the decoding rules ([`RULES`](crate::bench::run::RULES)); 0 for a server.
    pub rules: u32,
    /// Settings of the calls, where they are not those of the benchmark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<ChangedSettings>,
    /// CPU kernels that computed its rows.
    pub kernels: Vec<String>,
    /// Number of rows.
    pub rows: usize,
    /// Mean of each metric; the primary one comes first.
    pub means: Vec<Mean>,
    /// Mean of the primary metric for each ground-truth function.
    pub functions: Vec<FunctionReport>,
    /// Number of answers that are not a call, by cause.
    pub rejected: BTreeMap<CallError, usize>,
    /// Called functions by ground-truth function.
    pub confusion: Confusion,
    /// Published score of the checkpoint, if checkpoint and data are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
    /// Negative log-likelihood per token of the ground-truth answers, in nats, if measured.
    pub nll_per_token: Option<f64>,
    /// Negative log-likelihood per token of the reference's own answers, in nats, if the data are unlabelled.
    pub reference_nll_per_token: Option<f64>,
    /// Cost, by host.
    pub costs: Vec<CostReport>,
}

/// Mean of a metric.
#[derive(Clone, Debug, Serialize)]
pub struct Mean {
    /// Name of the metric.
    pub metric: String,
    /// Number of rows that the metric applies to.
    pub rows: usize,
    /// The mean; `None` without such rows.
    pub mean: Option<f64>,
    /// 95 % interval of the mean, from a bootstrap over conversations. To compare two variants use paired differences,
    /// not these intervals.
    pub interval: Option<Interval>,
}

/// Results of a variant on the cases of one function.
#[derive(Clone, Debug, Serialize)]
pub struct FunctionReport {
    /// Name of the function.
    pub function: String,
    /// Number of rows.
    pub rows: usize,
    /// Mean of the primary metric.
    pub mean: f64,
}

/// Cost of a variant on one host.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CostReport {
    /// Name of the host.
    pub host: String,
    /// Number of measured calls.
    pub calls: usize,
    /// Median of the seconds per call.
    pub wall_s_p50: f64,
    /// 95th percentile of the seconds per call.
    pub wall_s_p95: f64,
    /// Mean CPU seconds per call.
    pub cpu_s: Option<f64>,
    /// Computed prompt tokens per second.
    pub prefill_tokens_per_s: Option<f64>,
    /// Generated tokens per second.
    pub decode_tokens_per_s: Option<f64>,
    /// Number of tokens of all prompts.
    pub prompt_tokens: usize,
    /// Prompt tokens that were computed rather than reused.
    pub computed_tokens: usize,
    /// Median seconds to load the model.
    pub load_s: Option<f64>,
    /// Peak resident memory of a process with this model alone, in bytes, mapped weights included.
    pub peak_resident_bytes: Option<u64>,
    /// Highest temperature, in degrees Celsius.
    pub celsius: Option<f64>,
    /// Lowest frequency of the fastest CPU, in MHz.
    pub mhz: Option<f64>,
    /// True if the CPU was throttled during any call.
    pub throttled: Option<bool>,
}

/// Comparison of a candidate with another variant by one metric.
#[derive(Clone, Debug, Serialize)]
pub struct MetricComparison {
    /// Label of the candidate.
    pub candidate: String,
    /// Label of the variant that it is compared with.
    pub reference: String,
    /// Mode of the candidate.
    pub mode: Mode,
    /// Name of the metric.
    pub metric: String,
    /// Pairs whose two sides were computed by different CPU kernels.
    pub cross_kernel_pairs: usize,
    /// Paired difference.
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// Divergence of one variant's answers from another's.
#[derive(Clone, Debug, Serialize)]
pub struct Distance {
    /// Label of the variant.
    pub candidate: String,
    /// Label of the variant that it is compared with.
    pub reference: String,
    /// Number of paired rows.
    pub rows: usize,
    /// Rows with the same output text.
    pub same_outputs: usize,
    /// Rows with the same call: the same function and arguments, in any order of keys. If neither side is a call, the
    /// texts must be equal.
    pub same_calls: usize,
    /// 95 % interval of their fraction, from a bootstrap over conversations.
    pub same_calls_interval: Option<Interval>,
    /// Rows with another function, or where only one side is a call.
    pub name_flips: usize,
    /// Called functions of the candidate by those of the reference.
    pub called: Confusion,
    /// Rows with another primary score; `None` in unlabelled data.
    pub score_flips: Option<usize>,
    /// Median position of the first differing token, counted from 0, over the rows where tokens differ and were stored.
    pub first_divergence: Option<f64>,
    /// Mean of KL(reference || candidate) over all positions, in nats.
    pub kl_mean: Option<f64>,
    /// 99th percentile of that KL.
    pub kl_p99: Option<f64>,
    /// Fraction of positions at which both have the same most likely token.
    pub top1_agreement: Option<f64>,
}

/// Divergence of the reference from itself after one condition was changed.
#[derive(Clone, Debug, Serialize)]
pub struct NoiseFloor {
    /// Mode of decoding.
    pub mode: Mode,
    /// Name of the changed condition.
    pub condition: String,
    /// New setting, in words.
    pub changed_to: Option<String>,
    /// Divergence of the answers, if measured.
    pub distance: Option<Distance>,
    /// Mean difference of the primary metric over the paired rows: changed minus reference.
    pub delta: Option<f64>,
    /// Reason for which it was not measured.
    pub reason: Option<String>,
}

/// An answer with another function or score than the reference's. In unlabelled data: with another call.
#[derive(Clone, Debug, Serialize)]
pub struct Flip {
    /// Label of the candidate.
    pub candidate: String,
    /// Label of the variant that it is compared with.
    pub reference: String,
    /// Index of the conversation, counted from 0.
    pub conversation: usize,
    /// Index of the call in the conversation, counted from 0.
    pub turn: usize,
    /// Last message of the prompt.
    pub prompt_tail: String,
    /// Ground-truth call, if the data are labelled.
    pub gold: Option<String>,
    /// True if the two call different functions.
    pub other_function: bool,
    /// Raw output of the reference.
    pub reference_output: String,
    /// Primary score of the reference; `None` in unlabelled data.
    pub reference_score: Option<f64>,
    /// Raw output of the candidate.
    pub candidate_output: String,
    /// Primary score of the candidate; `None` in unlabelled data.
    pub candidate_score: Option<f64>,
}

/// Scores of one row.
#[derive(Clone, Debug, Serialize)]
pub struct ScoreRow {
    /// Label of the variant.
    #[serde(rename = "arm")]
    pub variant: String,
    /// Index of the conversation, counted from 0.
    pub conversation: usize,
    /// Index of the call in the conversation, counted from 0.
    pub turn: usize,
    /// Function of the ground-truth call, if the data are labelled.
    pub function: Option<String>,
    /// Scores by metric.
    pub scores: BTreeMap<String, f64>,
}

impl Report {
    /// Finds a variant by its label.
    pub fn variant(&self, label: &str) -> Option<&VariantReport> {
        self.variants.iter().find(|variant| variant.label == label)
    }

    /// Divergence of each variant in a mode from its reference, with the variant.
    pub(super) fn distances_of(&self, mode: Mode) -> impl Iterator<Item = (&VariantReport, &Distance)> {
        self.distances.iter().filter_map(move |distance| {
            let variant = self.variant(&distance.candidate)?;
            (variant.mode == mode).then_some((variant, distance))
        })
    }

    /// Variants to compare: all but those of the noise floor.
    pub fn compared(&self) -> impl Iterator<Item = &VariantReport> {
        self.variants.iter().filter(|variant| variant.role != Role::NoiseFloor)
    }

    /// Largest fraction of a mode's rows on which the reference writes another output after one condition was changed.
    pub fn noise(&self, mode: Mode) -> Option<f64> {
        let of_mode = self.noise_floor.iter().filter(|noise| noise.mode == mode);
        of_mode.filter_map(NoiseFloor::output_flips).max_by(f64::total_cmp)
    }
}

impl VariantReport {
    /// Mean of a metric, if it applies to any row.
    pub fn mean(&self, metric: &str) -> Option<&Mean> {
        self.means.iter().find(|mean| mean.metric == metric && mean.mean.is_some())
    }
}

impl Distance {
    /// Fraction of rows with the same call.
    pub(super) fn same_call_share(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.same_calls as f64 / self.rows as f64)
    }

    /// Fraction of rows with the same output text.
    pub(super) fn same_output_share(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.same_outputs as f64 / self.rows as f64)
    }
}

impl NoiseFloor {
    /// Fraction of rows with another output text.
    pub fn output_flips(&self) -> Option<f64> {
        self.share(|distance| Some(distance.rows - distance.same_outputs))
    }

    /// Fraction of rows with another primary score.
    pub fn score_flips(&self) -> Option<f64> {
        self.share(|distance| distance.score_flips)
    }

    /// Fraction of rows with another call.
    pub fn call_flips(&self) -> Option<f64> {
        self.share(|distance| Some(distance.rows - distance.same_calls))
    }

    fn share(&self, count: fn(&Distance) -> Option<usize>) -> Option<f64> {
        let distance = self.distance.as_ref().filter(|distance| distance.rows > 0)?;
        Some(count(distance)? as f64 / distance.rows as f64)
    }
}
