//! A Hugging Face checkpoint directory, read-only.

mod config;
mod error;
mod folder;
pub(crate) mod names;
mod overlay;
mod rope;
mod shards;
pub mod tokenizer;

pub use crate::arch::fields::Error as ConfigError;
pub use error::Error;
pub use overlay::{Identity, Overlay, OverlayReader, OverlaySource};
pub use shards::{Dtype, ShardFile, Shards, SourceTensor};

use crate::{arch::Config, files};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Most bytes that are read of a JSON file or a template; those of published models are far smaller. A vocabulary of
/// 256,000 tokens takes 35 MB.
pub(crate) const MAX_JSON_BYTES: u64 = 512 << 20;

/// Parses the text of a `config.json`.
///
/// # Errors
/// A malformed, contradictory or unsupported field.
pub fn parse_config(json: &[u8]) -> Result<Config, ConfigError> {
    config::parse(json)
}

/// A checkpoint directory that has been opened and checked.
#[derive(Debug)]
pub struct Checkpoint {
    /// The directory.
    pub dir: PathBuf,
    /// `config.json`.
    pub config: Config,
    /// The safetensors files.
    pub shards: Shards,
    /// Warnings about files that contradict each other, and about names that were changed.
    pub warnings: Vec<String>,
    /// Folders of its tokenizer, its model card and its name.
    pub identity: Identity,
    /// Tensors that are computed while they are read; `None` for a checkpoint as it is stored.
    pub overlay: Option<Arc<dyn Overlay>>,
}

impl Checkpoint {
    /// Opens `dir` and checks that it is a supported checkpoint: a model folder and not something similar, a
    /// `config.json` of a supported architecture, and complete safetensors files. No tensor data are read.
    ///
    /// # Errors
    /// The file at fault, and what to do about it.
    pub fn open(dir: &Path) -> Result<Checkpoint, Error> {
        folder::check(dir)?;
        let path = dir.join("config.json");
        let json = files::read(&path, MAX_JSON_BYTES)
            .map_err(|source| Error::Read { path: path.clone(), source })?;
        let mut config = config::parse(&json).map_err(|source| Error::Config { path, source })?;
        folder::check_weights(dir)?;
        let (shards, warnings) = Shards::open(dir)?;
        let names = shards.tensors().iter().map(|tensor| tensor.name.as_str());
        config.prediction_layers = config.architecture.prediction_layers(names);
        let identity = Identity::plain(dir);
        Ok(Checkpoint { dir: dir.to_path_buf(), config, shards, warnings, identity, overlay: None })
    }
}
