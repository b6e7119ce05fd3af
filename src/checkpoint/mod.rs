//! A Hugging Face checkpoint directory, read-only.

mod config;
mod shards;
pub mod tokenizer;

pub use config::Config;
pub use shards::{Dtype, Shards, SourceTensor};

use crate::error::Kind;
use std::path::{Path, PathBuf};

/// A checkpoint directory that has been opened and checked.
pub struct Checkpoint {
    /// The directory.
    pub dir: PathBuf,
    /// `config.json`.
    pub config: Config,
    /// The safetensors files, mapped.
    pub shards: Shards,
}

/// Why a directory cannot be used as a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a directory.
    #[error("{}: no such checkpoint folder", path.display())]
    Missing {
        /// What was asked for.
        path: PathBuf,
    },
    /// The tokenizer files.
    #[error("{}", path.display())]
    Tokenizer {
        /// The file that is wrong.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: tokenizer::Error,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Missing { .. } => Kind::NoInput,
            Error::Tokenizer { source, .. } => source.kind(),
        }
    }
}

impl Checkpoint {
    /// Opens `dir` and checks that it is a checkpoint this crate can read.
    pub fn open(dir: &Path) -> Result<Checkpoint, Error> {
        Err(Error::Missing { path: dir.to_path_buf() })
    }
}
