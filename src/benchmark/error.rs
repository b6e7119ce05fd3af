//! Why a data set or a file of rows cannot be used.

use super::run::room::Needs;
use crate::error::Kind;
use std::path::PathBuf;

/// Why a data set or a file of rows cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A line of a file holds something else than it should.
    #[error("{}: line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong, and where in the line.
        problem: String,
        /// The parser's reason, where a part of the line could not be read.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A file as a whole holds something else than it should.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// The parser's reason, if it has one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A file of rows cannot be made.
    #[error("cannot write {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A row cannot be added.
    #[error("cannot add to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Rows of different sweeps were to be joined.
    #[error("{}: line {line} does not belong to the sweep of {}: {problem}", path.display(), other.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The file that it does not go with.
        other: PathBuf,
        /// What differs.
        problem: String,
    },
    /// Two of the models are one file.
    #[error("{} and {} are the same model, byte for byte; name it once", a.display(), b.display())]
    SameModel {
        /// One path.
        a: PathBuf,
        /// The other.
        b: PathBuf,
    },
    /// The models of a sweep do not fit the memory of this machine together.
    #[error(
        "the models and their contexts of {n_ctx} tokens take {need_mib} MiB beside the mapped weights, {all_mib} MiB in \
         all, and this machine has {available_mib} MiB available of {total_mib}:\n{needs}"
    )]
    Memory {
        /// Tokens of each context.
        n_ctx: usize,
        /// What would be allocated.
        need_mib: u64,
        /// The same with the mapped weights.
        all_mib: u64,
        /// What the machine can give.
        available_mib: u64,
        /// What the machine has.
        total_mib: u64,
        /// What each model needs.
        needs: Needs,
    },
    /// Something needs right answers that the data do not have.
    #[error("{what} needs right answers, and no line of {} has an `answer`", path.display())]
    NoLabels {
        /// What needs them.
        what: String,
        /// The test set.
        path: PathBuf,
    },
    /// The first 78 pairs mean something only in the published test set.
    #[error("the split first78 is the published 78 rows, and {} is not the published test set; use all359", path.display())]
    NotPublic {
        /// The test set.
        path: PathBuf,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Line { .. } | Error::File { .. } | Error::OtherKey { .. } => Kind::Data,
            Error::Read { .. } => Kind::NoInput,
            Error::Create { .. } => Kind::CannotCreate,
            Error::Write { .. } => Kind::Io,
            Error::Memory { .. } => Kind::Unavailable,
            Error::NotPublic { .. } | Error::SameModel { .. } | Error::NoLabels { .. } => Kind::Usage,
        }
    }
}
