//! Errors of data sets, row files and benchmark runs.

#[cfg(feature = "engine")]
use crate::{call, runtime};
use crate::{
    chat, http,
    kind::Kind,
    memory::{AddressSpaceError, ModelsError},
    remedy::Remedy,
    tools,
};
use std::path::PathBuf;

/// Error of a data set, a row file or a benchmark run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A call that could not be made.
    #[cfg(feature = "engine")]
    #[error(transparent)]
    Call(#[from] call::Error),
    /// Messages or a chat template that cannot be used.
    #[error(transparent)]
    Chat(#[from] chat::Error),
    /// Tools or a schema that cannot be used.
    #[error(transparent)]
    Tools(#[from] tools::Error),
    /// A model that cannot be loaded or run.
    #[cfg(feature = "engine")]
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    /// A server that gives no answer.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// A line of a file is invalid.
    #[error("{}: line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// Problem, with the field that has it.
        problem: String,
        /// Cause, if a part of the line could not be parsed.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A file as a whole is invalid.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Problem with the file.
        problem: String,
        /// Cause, if a parser reported one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// A row file cannot be created.
    #[error("cannot write {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// A row cannot be appended.
    #[error("cannot add to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// Another process adds to the file.
    #[error(
        "another run is adding to {}; wait until it ends, or name another file for this one",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Rows of different runs cannot be joined.
    #[error("{}: line {line} cannot be joined with {}: {problem}", path.display(), other.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// File or run that the row does not match.
        other: PathBuf,
        /// Difference between the two.
        problem: String,
    },
    /// Two of the models are the same file.
    #[error("{} and {} are the same model, byte for byte; name it once", a.display(), b.display())]
    SameModel {
        /// First path.
        a: PathBuf,
        /// Second path.
        b: PathBuf,
    },
    /// The models of a run do not fit into this machine's memory together.
    #[error(transparent)]
    Memory(#[from] Box<ModelsError>),
    /// A limit on the address space that is too low for the models.
    #[error(transparent)]
    AddressSpace(#[from] AddressSpaceError),
    /// A feature needs ground truth that the data do not have.
    #[error("{feature} needs right answers, and no line of {} has an `answer`", path.display())]
    NoLabels {
        /// Feature that needs it.
        feature: String,
        /// The test set.
        path: PathBuf,
    },
    /// The first 78 rows are defined only for the published test set.
    #[error("the split first78 is the published 78 rows, and {} is not the published test set; use all359", path.display())]
    NotPublic {
        /// The test set.
        path: PathBuf,
    },
}

impl Error {
    /// Class of the error; it decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            #[cfg(feature = "engine")]
            Error::Call(e) => e.kind(),
            Error::Chat(e) => e.kind(),
            Error::Tools(e) => e.kind(),
            #[cfg(feature = "engine")]
            Error::Runtime(e) => e.kind(),
            Error::Http(e) => e.kind(),
            Error::Line { .. } | Error::File { .. } | Error::OtherKey { .. } => Kind::Data,
            Error::Read { .. } => Kind::NoInput,
            Error::Create { .. } | Error::InUse { .. } => Kind::CannotCreate,
            Error::Write { .. } => Kind::Io,
            Error::Memory(_) | Error::AddressSpace(_) => Kind::Unavailable,
            Error::NotPublic { .. } | Error::SameModel { .. } | Error::NoLabels { .. } => Kind::Usage,
        }
    }

    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            #[cfg(feature = "engine")]
            Error::Call(e) => e.remedies(),
            Error::Chat(e) => e.remedies(),
            #[cfg(feature = "engine")]
            Error::Runtime(e) => e.remedies(),
            Error::Http(e) => e.remedies(),
            Error::Memory(_) => vec![Remedy::FewerModels, Remedy::Force],
            _ => Vec::new(),
        }
    }
}

/// Result of the benchmark's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
