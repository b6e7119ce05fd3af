//! Errors of a run.

use crate::{kind::Kind, remedy::Remedy, tools};
use std::{error::Error as StdError, io};

/// Result of the functions of a run.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Reasons why a run cannot start or ends without an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file of tools is not TOML or JSON.
    #[error("the tools are not valid {format}: {problem}")]
    Syntax {
        /// `TOML` or `JSON`.
        format: &'static str,
        /// The parser's message, with the place.
        problem: String,
    },
    /// A tool of the file cannot be used.
    #[error("tool {tool}: {problem}")]
    Tool {
        /// The tool's name, or its number from 1.
        tool: String,
        /// The defect, and what to change.
        problem: String,
    },
    /// The definitions of the tools cannot be used.
    #[error(transparent)]
    Tools(#[from] tools::Error),
    /// Two sources have a tool of the same name, although one was renamed.
    #[error("two tools are called `{name}`; leave one of them out")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// There is no tool to call.
    #[error("there is no tool to call: {problem}")]
    NoTools {
        /// The text or value at fault.
        problem: String,
    },
    /// The model gave no answer.
    #[error("step {step} got no answer")]
    NoReply {
        /// The step, from 1.
        step: usize,
        /// Class of the cause.
        kind: Kind,
        /// The cause.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The steps ran out.
    #[error("the model still calls tools after {steps} {}", if *.steps == 1 { "step" } else { "steps" })]
    Steps {
        /// The steps.
        steps: usize,
    },
    /// A line of a log cannot be read.
    #[error("line {line} of the log cannot be read: {problem}")]
    LogLine {
        /// The line, from 1.
        line: usize,
        /// The defect.
        problem: String,
    },
    /// The model calls otherwise than in the log.
    #[error("step {step} deviates from the log: {problem}")]
    Deviation {
        /// The step, from 1.
        step: usize,
        /// The recorded call and the model's.
        problem: String,
    },
    /// A log cannot be created.
    #[error("cannot create the log {path}")]
    CreateLog {
        /// Its path.
        path: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A log cannot be written.
    #[error("cannot write to the log")]
    WriteLog(#[source] io::Error),
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::NoReply { kind, .. } => *kind,
            Error::Steps { .. } | Error::Deviation { .. } => Kind::Negative,
            Error::Tools(error) => error.kind(),
            Error::CreateLog { .. } => Kind::CannotCreate,
            Error::WriteLog(_) => Kind::Io,
            Error::Syntax { .. }
            | Error::Tool { .. }
            | Error::Duplicate { .. }
            | Error::NoTools { .. }
            | Error::LogLine { .. } => Kind::Data,
        }
    }

    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::Steps { .. } => vec![Remedy::MoreSteps],
            _ => Vec::new(),
        }
    }
}
