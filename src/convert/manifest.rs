//! `OUT.gguf.json`: what a file is made of, so that anybody can check it or make it again.
//!
//! The same conversion gives the same manifest: no paths, no times, no thread counts. One key is the exception, the last
//! one: `answers` holds what the model said on the machine that converted it, and kernels differ in the last bits.

use super::{
    plan::{FilePlan, Plan},
    source_hash::SourceHash,
    written::Written,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::File as Open,
    io::{self, Read},
    path::Path,
};

/// A manifest that is longer than this is none.
const MAX_BYTES: u64 = 64 << 20;

/// What a written file is made of.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    edgecall: &'static str,
    file: File,
    architecture: &'static str,
    recipe: Recipe,
    source: Vec<SourceHash>,
    tensors: Vec<Tensor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answers: Option<Answers>,
}

/// What a file's model said to fixed prompts on the machine that converted it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// The engine that computed them.
    pub engine: String,
    /// The kernels that computed them.
    pub kernels: String,
    /// The answers, one for each prompt.
    pub prompts: Vec<Answer>,
}

/// What a model said to one prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The prompt's name.
    pub prompt: String,
    /// The prompt's tokens.
    pub n_tokens: usize,
    /// The likeliest tokens to come next, the first one first.
    pub top: Vec<Top>,
}

/// A token that may come next.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Top {
    /// Its id.
    pub token: i32,
    /// The natural logarithm of its probability.
    pub logprob: f64,
}

/// What of a manifest tells whether a file is still what was written, and computes what it did.
#[derive(Clone, Debug, Deserialize)]
pub struct Recorded {
    /// The file.
    pub file: RecordedFile,
    /// What its model said; `None` where it was not asked.
    #[serde(default)]
    pub answers: Option<Answers>,
}

/// A file as a manifest has it.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedFile {
    /// Its length.
    pub file_bytes: u64,
    /// The SHA-256 of all of it, in hex.
    pub sha256: String,
}

impl Recorded {
    /// The manifest at `path`; `None` where there is none.
    ///
    /// # Errors
    /// A file that cannot be read or is no manifest.
    pub fn read(path: &Path) -> io::Result<Option<Recorded>> {
        let file = match Open::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut json = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut json)?;
        serde_json::from_slice(&json).map(Some).map_err(io::Error::from)
    }
}

#[derive(Clone, Debug, Serialize)]
struct File {
    file_bytes: u64,
    sha256: String,
}

#[derive(Clone, Debug, Serialize)]
struct Recipe {
    r#type: &'static str,
    tensor_types: Vec<String>,
    via_f16: bool,
    drop_tied_head: bool,
    pretokenizer: String,
}

#[derive(Clone, Debug, Serialize)]
struct Tensor {
    name: String,
    r#type: &'static str,
    dims: Vec<u64>,
    bytes: u64,
    sha256: String,
}

impl Manifest {
    pub(super) fn new(plan: &Plan, file: &FilePlan, written: &Written, sources: &[SourceHash]) -> Manifest {
        let overrides = &plan.recipe.overrides;
        let tensors = file.tensors.iter().zip(&written.tensor_sha256);
        Manifest {
            edgecall: env!("CARGO_PKG_VERSION"),
            file: File { file_bytes: written.file_bytes, sha256: written.sha256.clone() },
            architecture: plan.architecture,
            recipe: Recipe {
                r#type: file.file_type.name(),
                tensor_types: overrides
                    .iter()
                    .map(|rule| format!("{}={}", rule.pattern, rule.ggml_type.name()))
                    .collect(),
                via_f16: plan.recipe.via_f16,
                drop_tied_head: plan.recipe.drop_tied_head,
                pretokenizer: plan.pretokenizer.clone(),
            },
            source: sources.to_vec(),
            tensors: tensors
                .map(|(tensor, sha256)| Tensor {
                    name: tensor.name.clone(),
                    r#type: tensor.ggml_type.name(),
                    dims: tensor.dims.clone(),
                    bytes: tensor.byte_len(),
                    sha256: sha256.clone(),
                })
                .collect(),
            answers: None,
        }
    }

    /// As it stands in the file.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("the manifest has only text and numbers");
        json.push(b'\n');
        json
    }
}
