//! `OUT.gguf.json`: what a file is made of, so that anybody can check it or make it again.
//!
//! The same conversion gives the same manifest: no paths, no times, no thread counts.

use super::{
    plan::{FilePlan, Plan},
    source_hash::SourceHash,
    written::Written,
};
use serde::Serialize;

/// What a written file is made of.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    edgecall: &'static str,
    file: File,
    architecture: &'static str,
    recipe: Recipe,
    source: Vec<SourceHash>,
    tensors: Vec<Tensor>,
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
        let tensors = file.header.tensors().iter().zip(&written.tensor_sha256);
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
        }
    }

    /// As it stands in the file.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("the manifest has only text and numbers");
        json.push(b'\n');
        json
    }
}
