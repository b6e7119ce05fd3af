//! Reports on GGUF files and checkpoints, with the memory needed to run them.

mod checkpoint;
mod dialect;
mod error;
mod file;
mod report;
mod table;

pub use checkpoint::{CheckpointReport, SizeRow};
pub use dialect::dialect;
pub use error::Error;
pub use file::FileReport;
pub use report::{
    ChatTemplate, Facts, Need, Report, Rope, Special, Split, TensorRow, Tokenizer, TypeRow, WithTensors,
};

use crate::{
    checkpoint::Checkpoint,
    gguf::{GgmlType, Gguf},
    memory::Target,
    mmap::Map,
};
use std::path::Path;

/// Default context size of the memory estimate, in tokens: enough for tools and a conversation. The full context of a
/// large model would take gigabytes of cache.
pub const DEFAULT_N_CTX: u64 = 4096;

/// Assumptions about a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Context size in tokens; `None` for the model's own, at most [`DEFAULT_N_CTX`].
    pub n_ctx: Option<u64>,
    /// Type of the KV cache, one of [`KV_TYPES`](crate::gguf::KV_TYPES).
    pub kv_type: GgmlType,
    /// Machine that the need is compared with.
    pub target: Target,
}

impl Default for Run {
    fn default() -> Run {
        Run { n_ctx: None, kv_type: GgmlType::F16, target: Target::This }
    }
}

impl Run {
    /// Context size of the estimate for a model trained on `context_length` tokens.
    fn n_ctx(self, context_length: Option<u64>) -> u64 {
        self.n_ctx.unwrap_or(context_length.unwrap_or(DEFAULT_N_CTX).min(DEFAULT_N_CTX))
    }
}

/// Reports on the GGUF file or the checkpoint folder at `path`. No weights are read, except a stored head that should
/// equal the embedding.
///
/// # Errors
/// A path that cannot be read, or that is neither of the two.
pub fn inspect(path: &Path, run: Run) -> Result<Report, Error> {
    let is_file_name = path.extension().is_some_and(|extension| extension == "gguf");
    if path.is_dir() || !(path.exists() || is_file_name) {
        let checkpoint = Checkpoint::open(path)?;
        return Ok(Report::Checkpoint(CheckpointReport::new(&checkpoint, run)));
    }
    let file = Map::open(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
    let gguf = Gguf::parse(&file).map_err(|source| Error::Gguf { path: path.to_path_buf(), source })?;
    Ok(Report::Gguf(FileReport::new(path, &gguf, file.len() as u64, run)))
}
