//! Errors of inspecting a path.

use crate::{chat, checkpoint, dialect, gguf, kind::Kind, remedy::Remedy};
use std::{
    io,
    path::{Path, PathBuf},
};

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
    /// The model has no chat template.
    #[error("{} has no chat template, and so no tool-call format of its own", path.display())]
    NoTemplate {
        /// The model.
        path: PathBuf,
    },
    /// The file is no chat template.
    #[error("{} is no chat template: it is empty, not UTF-8 text, or larger than 1 MiB", path.display())]
    NotTemplate {
        /// The file.
        path: PathBuf,
    },
    /// None of several chat templates can be chosen.
    #[error(transparent)]
    Chat(#[from] chat::Error),
    /// The tool-call format cannot be told.
    #[error(transparent)]
    Dialect(#[from] dialect::Error),
}

impl Error {
    pub(super) fn no_template(path: &Path) -> Error {
        Error::NoTemplate { path: path.to_path_buf() }
    }

    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Checkpoint(e) => e.kind(),
            Error::Read { .. } => Kind::NoInput,
            Error::Gguf { source, .. } => source.kind(),
            Error::NoTemplate { .. } | Error::NotTemplate { .. } => Kind::Data,
            Error::Chat(e) => e.kind(),
            Error::Dialect(e) => e.kind(),
        }
    }

    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::Checkpoint(e) => e.remedies(),
            Error::Chat(e) => e.remedies(),
            Error::Dialect(e) => e.remedies(),
            _ => Vec::new(),
        }
    }
}
