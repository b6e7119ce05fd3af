//! A Hugging Face checkpoint directory, read-only.

mod config;
mod error;
mod folder;
mod rope;
mod shards;
pub mod tokenizer;

pub use config::{Config, Error as ConfigError};
pub use error::Error;
pub use rope::{Rope, RopeScaling};
pub use shards::{Dtype, ShardFile, Shards, SourceTensor};

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
    /// Opens `dir` and checks that it is a checkpoint this crate can read: that the folder holds a
    /// model and not something that looks like one, that `config.json` is of a supported
    /// architecture, and that every safetensors file is whole. No tensor data are read.
    ///
    /// # Errors
    /// What stands in the way, by file, and what to do about it.
    pub fn open(dir: &Path) -> Result<Checkpoint, Error> {
        folder::check(dir)?;
        let path = dir.join("config.json");
        let json = std::fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let config = Config::parse(&json).map_err(|source| Error::Config { path, source })?;
        folder::check_weights(dir)?;
        Ok(Checkpoint { dir: dir.to_path_buf(), config, shards: Shards::open(dir)? })
    }
}
