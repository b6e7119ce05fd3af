//! `OUT.gguf.json`, the manifest: everything needed to check a file or to make it again.
//!
//! The same conversion gives the same manifest: no paths, no times, no thread counts. The exception is the last
//! key, `answers`. It records the model's answers on the machine of the conversion, and kernels differ in the
//! last bits.

use super::{Error, folder_name::output_name};
use super::{
    plan::{FilePlan, Plan},
    source_hash::{self, SourceHash},
    written::Written,
};
use crate::{checkpoint::Checkpoint, files, hash::hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{io, path::Path, sync::atomic::AtomicBool};

/// Most bytes that are read of a manifest; real ones are far shorter.
pub(super) const MAX_BYTES: u64 = 64 << 20;

/// The manifest of a written file.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    edgecall: &'static str,
    file: File,
    /// SHA-256 of the JSON form of the file's profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    profile_sha256: Option<String>,
    architecture: &'static str,
    recipe: Recipe,
    source: Vec<SourceHash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merged: Option<Merged>,
    tensors: Vec<Tensor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answers: Option<Answers>,
}

/// Answers of a file's model to fixed prompts, on the machine of the conversion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// The engine that computed them.
    pub engine: String,
    /// The kernels that computed them.
    pub kernels: String,
    /// The answers, one for each prompt.
    pub prompts: Vec<Answer>,
}

/// The answer to one prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The prompt's name.
    pub prompt: String,
    /// Number of tokens in the prompt.
    pub n_tokens: usize,
    /// The likeliest next tokens, likeliest first.
    pub top: Vec<Top>,
}

/// A candidate for the next token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Top {
    /// Its id.
    pub token: i32,
    /// Natural logarithm of its probability.
    pub logprob: f64,
}

/// The parts of a manifest that are needed to check the file and its answers.
#[derive(Clone, Debug, Deserialize)]
pub struct Recorded {
    /// The file.
    pub file: RecordedFile,
    /// The answers of its model; `None` if they were not computed.
    #[serde(default)]
    pub answers: Option<Answers>,
}

/// Size and hash of a file, as recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedFile {
    /// Its size.
    pub file_bytes: u64,
    /// SHA-256 of the whole file, in hexadecimal.
    pub sha256: String,
}

/// The bytes of the manifest at `path`; `None` if it does not exist.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    files::if_present(files::read(path, MAX_BYTES))
}

#[derive(Clone, Debug, Serialize)]
struct File {
    file_bytes: u64,
    sha256: String,
}

/// The parts of a manifest that tell what its file was made of.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Conversion {
    pub(super) edgecall: String,
    pub(super) file: RecordedFile,
    pub(super) recipe: serde_json::Value,
    pub(super) source: Vec<SourceHash>,
    #[serde(default)]
    pub(super) merged: Option<Merged>,
}

/// Adapters that were merged into the model of `source`, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Merged {
    /// Name of the base model's folder.
    base: String,
    /// Name of the arithmetic.
    method: String,
    adapters: Vec<Adapter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Adapter {
    /// Name of its folder.
    name: String,
    files: Vec<SourceHash>,
}

impl Merged {
    /// Adapters that are merged into the checkpoint; `None` if there are none.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(super) fn into(checkpoint: &Checkpoint, interrupt: &AtomicBool) -> Result<Option<Merged>, Error> {
        let Some(overlay) = &checkpoint.overlay else { return Ok(None) };
        let mut adapters = Vec::new();
        for source in overlay.sources() {
            let files = source_hash::overlay_files(source, interrupt)?;
            adapters.push(Adapter { name: output_name(&source.dir), files });
        }
        let method = overlay.method().to_owned();
        Ok(Some(Merged { base: output_name(&checkpoint.dir), method, adapters }))
    }
}

impl Conversion {
    /// Reads the manifest at `path`; `None` if it does not exist.
    ///
    /// # Errors
    /// A file that cannot be read or is not a manifest.
    pub(super) fn read(path: &Path) -> io::Result<Option<Conversion>> {
        let Some(json) = read(path)? else { return Ok(None) };
        serde_json::from_slice(&json).map(Some).map_err(io::Error::from)
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Recipe {
    r#type: &'static str,
    tensor_types: Vec<String>,
    via_f16: bool,
    drop_tied_head: bool,
    pretokenizer: String,
}

impl Recipe {
    /// The recipe of one of the plan's files.
    pub(super) fn new(plan: &Plan, file: &FilePlan) -> Recipe {
        let overrides = &plan.recipe.overrides;
        Recipe {
            r#type: file.file_type.name(),
            tensor_types: overrides
                .iter()
                .map(|rule| format!("{}={}", rule.pattern, rule.ggml_type.name()))
                .collect(),
            via_f16: plan.recipe.via_f16,
            drop_tied_head: plan.recipe.drop_tied_head,
            pretokenizer: plan.pretokenizer.clone(),
        }
    }
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
    pub(super) fn new(
        plan: &Plan,
        file: &FilePlan,
        written: &Written,
        sources: &[SourceHash],
        merged: Option<&Merged>,
    ) -> Manifest {
        let tensors = file.tensors.iter().zip(&written.tensor_sha256);
        Manifest {
            edgecall: env!("CARGO_PKG_VERSION"),
            file: File { file_bytes: written.file_bytes, sha256: written.sha256.clone() },
            profile_sha256: plan
                .recipe
                .profile
                .as_ref()
                .map(|profile| hex(&Sha256::digest(profile.to_json()))),
            architecture: plan.architecture,
            recipe: Recipe::new(plan, file),
            source: sources.to_vec(),
            merged: merged.cloned(),
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

    /// The contents of the manifest file.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("the manifest has only text and numbers");
        json.push(b'\n');
        json
    }
}

/// The manifest `json` for the file that took the place of the one with the SHA-256 `before`: `file` is its size and
/// SHA-256. `None` if `json` is no manifest, or one of another file. All else in it stays, such as the hashes of the
/// tensors.
pub(super) fn renewed(
    json: &[u8],
    before: &str,
    (file_bytes, sha256): (u64, &str),
    profile_sha256: Option<String>,
) -> Option<Vec<u8>> {
    const PROFILE: &str = "profile_sha256";
    let mut manifest: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json).ok()?;
    let file = manifest.get_mut("file")?.as_object_mut()?;
    if file.get("sha256")?.as_str()? != before {
        return None;
    }
    file.insert("file_bytes".into(), file_bytes.into());
    file.insert("sha256".into(), sha256.into());
    manifest.shift_remove(PROFILE);
    if let Some(profile) = profile_sha256 {
        let after_file = manifest.keys().position(|key| key == "file").map_or(0, |at| at + 1);
        manifest.shift_insert(after_file, PROFILE.into(), profile.into());
    }
    let mut json = serde_json::to_vec_pretty(&manifest).expect("the manifest has only text and numbers");
    json.push(b'\n');
    Some(json)
}
