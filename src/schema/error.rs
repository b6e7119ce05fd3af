//! Errors of a schema.

use super::read::{ReadError, unavailable};
use super::report::{Report, ReportBuilder};
use crate::kind::Kind;

/// Reasons why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not a JSON Schema.
    #[error("{pointer}: {message}")]
    Schema {
        /// Its JSON pointer.
        pointer: String,
        /// The defect.
        message: String,
    },
    /// It uses something that is not supported.
    #[error("{pointer}: {}{message}", if keyword.is_empty() { String::new() } else { format!("`{keyword}`: ") })]
    Refused {
        /// Its JSON pointer.
        pointer: String,
        /// The keyword.
        keyword: String,
        /// The reason, and what to change.
        message: String,
        /// The report up to that point.
        report: Box<Report>,
    },
    /// No finite value satisfies it.
    #[error(
        "no JSON value satisfies the schema; look for keywords that contradict each other, and for a schema that requires a value of itself"
    )]
    AcceptsNothing {
        /// The report on its keywords.
        report: Box<Report>,
    },
}

impl Error {
    /// The refusal of one keyword, and a report of it alone.
    pub(super) fn refused(pointer: String, keyword: String, message: String) -> Error {
        let mut report = ReportBuilder::default();
        report.refuse(&pointer, &keyword, &message);
        Error::Refused { pointer, keyword, message, report: Box::new(report.finish()) }
    }

    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        Kind::Data
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Error {
        match error {
            ReadError::Malformed { message } => Error::Schema { pointer: "#".into(), message },
            ReadError::Unavailable { pointer, keyword, reference } => {
                Error::refused(pointer, keyword.into(), unavailable(&reference))
            }
        }
    }
}
