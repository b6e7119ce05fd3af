//! Errors of dialects.

use super::derive::NotDerived;
use crate::{chat, json::NotUtf8, kind::Kind, remedy::Remedy};

/// The result of reading or choosing a dialect.
pub type Result<T> = std::result::Result<T, Error>;

/// Reasons why there is no dialect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of a dialect is not UTF-8 text.
    #[error("the dialect is {0}")]
    Utf8(NotUtf8),
    /// A file of a dialect is too large.
    #[error("the dialect has {bytes} bytes; more than {most} are not read")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// A file of a dialect is not JSON, or has a field of the wrong kind; the cause says what.
    #[error("the dialect{} cannot be read", if field.is_empty() { String::new() } else { format!("'s `{field}`") })]
    Json {
        /// The field, such as `arguments.members.values.string`.
        field: String,
        /// The parser's reason.
        #[source]
        source: serde_json::Error,
    },
    /// A field of a dialect that contradicts the others or cannot be.
    #[error("the dialect's `{field}` {problem}")]
    Field {
        /// The field.
        field: String,
        /// The problem.
        problem: String,
    },
    /// No dialect has this name.
    #[error("there is no dialect {name:?}; the known ones are {}", known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// Every name.
        known: Vec<String>,
    },
    /// The template shows no calls, and no entry fits it.
    #[error("the chat template's tool-call format cannot be told")]
    NotTold {
        /// The reason.
        #[source]
        source: NotDerived,
    },
    /// The template cannot be read.
    #[error(transparent)]
    Template(#[from] chat::Error),
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Unknown { .. } => Kind::Usage,
            Error::Template(error) => error.kind(),
            _ => Kind::Data,
        }
    }

    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::NotTold { .. } => vec![Remedy::GenericDialect],
            Error::Template(error) => error.remedies(),
            _ => Vec::new(),
        }
    }
}
