//! A Hugging Face checkpoint directory, read-only.

mod config;
mod error;
mod fields;
mod folder;
mod rope;
mod shards;
pub mod tokenizer;

pub use error::Error;
pub use fields::Error as ConfigError;
pub use shards::{Dtype, ShardFile, Shards, SourceTensor};

use crate::arch::Config;
use std::path::{Path, PathBuf};

/// A checkpoint directory that has been opened and checked.
#[derive(Debug)]
pub struct Checkpoint {
    /// The directory.
    pub dir: PathBuf,
    /// `config.json`.
    pub config: Config,
    /// The safetensors files.
    pub shards: Shards,
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
        let json = std::fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let config = config::parse(&json).map_err(|source| Error::Config { path, source })?;
        folder::check_weights(dir)?;
        Ok(Checkpoint { dir: dir.to_path_buf(), config, shards: Shards::open(dir)? })
    }
}
