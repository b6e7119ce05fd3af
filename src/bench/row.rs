//! Rows of a run. A file has one JSON object a line: a header for each start, and a row for each answer.
//!
//! A run only appends rows. Verdicts of a judge are added to existing rows: the file is written again under a temporary
//! name and then renamed.

mod condition;
mod file;
mod judge_votes;
mod merge;
mod speed;
mod variant;

pub use condition::Condition;
pub use file::{Record, RowFile, RowWriter, Start, check_unused};
pub use judge_votes::{JudgeConfig, JudgeVotes};
#[cfg(feature = "engine")]
pub(super) use merge::other_rules;
pub use merge::{merge, sort};
pub use speed::{Speed, SpeedKey};
pub use variant::{ChangedSettings, Mode, Rendering, Role, Served, Variant};

use crate::bench::data::{Call, CallError, DataId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of this JSON format.
pub const SCHEMA_VERSION: u32 = 1;

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
    pub judge: Option<JudgeVotes>,
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
}

#[cfg(test)]
pub(super) mod tests;
