//! Variants of a comparison: a model with its mode and settings.

use serde::{Deserialize, Serialize};
use std::fmt;

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
    /// [`RULES`](crate::bench::run::RULES) when the row was made. 0 in rows from before it existed, and for a server.
    #[serde(default)]
    pub rules: u32,
    /// Settings of the calls, where they are not those of the benchmark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<ChangedSettings>,
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
    pub(super) fn group(&self) -> Option<(String, Rendering)> {
        self.endpoint.as_ref().map(|served| (served.model.clone(), served.rendering))
    }

    /// Variant of a model behind a server; fields that are unknown for a server are empty.
    pub fn served(served: Served, max_tokens: usize) -> Variant {
        Variant {
            file_sha256: String::new(),
            mode: Mode::Free,
            max_tokens,
            kv_type: String::new(),
            repack: false,
            threads: 0,
            n_ubatch: 0,
            flash_attention: false,
            engine: format!("edgecall {}", env!("CARGO_PKG_VERSION")),
            rules: 0,
            changed: None,
            endpoint: Some(served),
        }
    }
}

/// Settings of calls that are not those of the benchmark: the model's own chat template, no reasoning, greedy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChangedSettings {
    /// Reasoning: `off`, `on` or `auto`.
    pub thinking: String,
    /// Temperature in decimal; `0` is greedy.
    pub temperature: String,
    /// Random seed of the data's first call; each later call has the next number. 0 if greedy.
    pub seed: u64,
    /// SHA-256 of the chat template in place of the model's own, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_sha256: Option<String>,
}

impl ChangedSettings {
    /// The settings in words, for messages and reports.
    pub fn words(&self) -> String {
        let mut parts = Vec::new();
        if self.thinking != "off" {
            parts.push(format!("reasoning {}", self.thinking));
        }
        if self.temperature != "0" {
            parts.push(format!("temperature {} with seeds from {}", self.temperature, self.seed));
        }
        if let Some(sha256) = &self.template_sha256 {
            parts.push(format!("another chat template, SHA-256 {sha256:.8}"));
        }
        parts.join(", ")
    }
}

impl Variant {
    /// Settings of the calls in words.
    pub(in crate::bench) fn settings_words(&self) -> String {
        self.changed.as_ref().map_or_else(|| "those of the benchmark".into(), ChangedSettings::words)
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
