//! What a GGUF file or a checkpoint is, and what it needs to run.

pub mod machine;
pub mod memory;

mod file;
mod report;
mod table;

pub use file::FileReport;
pub use report::{
    ChatTemplate, Facts, Fit, Need, Report, Rope, Special, Split, TensorRow, Tokenizer, TypeRow, WithTensors,
};

use crate::{
    error::{Error, Result},
    gguf::{GgmlType, Gguf},
    mmap::Map,
};
use std::path::Path;

/// The context that a model is measured at where none is asked for, in tokens: enough for tools and
/// a conversation. The full context of a large model would be gigabytes of cache.
pub const DEFAULT_N_CTX: u64 = 4096;

/// What to assume of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The context in tokens; `None` is the model's, at most [`DEFAULT_N_CTX`].
    pub n_ctx: Option<u64>,
    /// The type of the KV cache, one of [`memory::KV_TYPES`].
    pub kv_type: GgmlType,
}

impl Default for Run {
    fn default() -> Run {
        Run { n_ctx: None, kv_type: GgmlType::F16 }
    }
}

/// Looks at the GGUF file at `path`.
///
/// # Errors
/// Why it cannot be read or is no GGUF file.
pub fn inspect(path: &Path, run: Run) -> Result<Report> {
    let file = Map::open(path).map_err(|source| Error::read(path, source))?;
    let gguf = Gguf::parse(&file).map_err(|source| Error::gguf(path, source))?;
    Ok(Report::Gguf(FileReport::of(path, &gguf, file.len() as u64, run)))
}
