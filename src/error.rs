//! The library's error: every leaf error gathered, with the class that decides an exit code.

use std::path::{Path, PathBuf};

/// Result of the library's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of an error: what a caller can do about it, not where it came from.
///
/// The command line maps each class to an exit code after `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The program ran and the answer is no: no call within the budget, a gate not reached.
    Negative,
    /// The arguments contradict each other or name something that cannot be.
    Usage,
    /// The input is malformed or of a kind that is not supported.
    Data,
    /// An input file is missing or cannot be read.
    NoInput,
    /// A model, a backend or a CPU feature is not available.
    Unavailable,
    /// A bug in this program.
    Bug,
    /// An output file cannot be created.
    CannotCreate,
    /// Reading or writing failed half way.
    Io,
    /// The user interrupted the program.
    Interrupted,
}

/// Any error of the library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A checkpoint folder that cannot be read or is not supported.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint::Error),
    /// A GGUF file that is malformed.
    #[error("{}", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// The fault in it.
        #[source]
        source: crate::gguf::Error,
    },
    /// A conversion that cannot be made or failed.
    #[error(transparent)]
    Convert(#[from] crate::convert::Error),
    /// Tools or a schema that cannot be used.
    #[error(transparent)]
    Tools(#[from] crate::tools::Error),
    /// Messages or a chat template that cannot be used.
    #[error(transparent)]
    Chat(#[from] crate::chat::Error),
    /// A model that cannot be loaded or run.
    #[error(transparent)]
    Runtime(#[from] crate::runtime::Error),
    /// A call that could not be made.
    #[error(transparent)]
    Call(#[from] crate::call::Error),
    /// A data set or rows that cannot be used.
    #[error(transparent)]
    Benchmark(#[from] crate::bench::Error),
    /// A server that gives no answer.
    #[error(transparent)]
    Http(#[from] crate::http::Error),
    /// A written file whose tokenizer does not do what the checkpoint's does.
    #[error(transparent)]
    Verify(#[from] crate::verify::Error),
    /// An input file that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A file that cannot be removed.
    #[error("cannot remove {}", path.display())]
    Remove {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Checkpoint(e) => e.kind(),
            Error::Gguf { source, .. } => source.kind(),
            Error::Convert(e) => e.kind(),
            Error::Tools(e) => e.kind(),
            Error::Chat(e) => e.kind(),
            Error::Runtime(e) => e.kind(),
            Error::Call(e) => e.kind(),
            Error::Benchmark(e) => e.kind(),
            Error::Http(e) => e.kind(),
            Error::Verify(e) => e.kind(),
            Error::Read { .. } => Kind::NoInput,
            Error::Remove { .. } => Kind::Io,
        }
    }

    /// An [`Error::Read`] for `path`.
    pub fn read(path: &Path, source: std::io::Error) -> Error {
        Error::Read { path: path.to_path_buf(), source }
    }

    /// An [`Error::Gguf`] for `path`.
    pub fn gguf(path: &Path, source: crate::gguf::Error) -> Error {
        Error::Gguf { path: path.to_path_buf(), source }
    }
}
