//! Errors of inspecting a path.

use crate::{checkpoint, gguf, kind::Kind, remedy::Remedy};
use std::{io, path::PathBuf};

/// Error of inspecting a GGUF file or a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The file is not a GGUF file, or a damaged one.
    #[error("{}", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        #[source]
        source: gguf::Error,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Checkpoint(e) => e.kind(),
            Error::Read { .. } => Kind::NoInput,
            Error::Gguf { source, .. } => source.kind(),
        }
    }

    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::Checkpoint(e) => e.remedies(),
            _ => Vec::new(),
        }
    }
}
