//! Errors of the comparison with a witness.

use crate::{call, checkpoint, gguf, kind::Kind, remedy::Remedy, runtime, verify};
use std::path::PathBuf;

/// Reasons why a file could not be compared with a witness.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The witness or the model cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The witness is not JSON, or a field of it has the wrong type.
    #[error("{}: `{field}` is not as a witness has it; write it again with scripts/witness.py", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The path of the field; `.` is the whole document.
        field: String,
        /// The parser's reason.
        #[source]
        source: serde_json::Error,
    },
    /// A field of the witness has an impossible value.
    #[error("{}: `{field}` {problem}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The path of the field.
        field: String,
        /// The reason why it is impossible.
        problem: String,
    },
    /// The configuration of the witness's model cannot be used.
    #[error("{}: `config`", path.display())]
    Config {
        /// The witness.
        path: PathBuf,
        /// The field at fault.
        #[source]
        source: checkpoint::ConfigError,
    },
    /// The model is not GGUF any more.
    #[error("{}", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        #[source]
        source: gguf::Error,
    },
    /// The file is not what the witness says.
    #[error("{}: {verdict}", path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// The verdict of the comparison.
        verdict: String,
    },
    /// The model cannot be run here.
    #[error(transparent)]
    Verify(Box<verify::Error>),
    /// A text cannot be tokenized.
    #[error(transparent)]
    Call(Box<call::Error>),
    /// llama.cpp cannot load or run the model.
    #[error(transparent)]
    Runtime(Box<runtime::Error>),
}

impl From<verify::Error> for Error {
    fn from(error: verify::Error) -> Error {
        Error::Verify(Box::new(error))
    }
}

impl From<call::Error> for Error {
    fn from(error: call::Error) -> Error {
        Error::Call(Box::new(error))
    }
}

impl From<runtime::Error> for Error {
    fn from(error: runtime::Error) -> Error {
        Error::Runtime(Box::new(error))
    }
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Read { .. } => Kind::NoInput,
            Error::Json { .. } | Error::Field { .. } | Error::Config { .. } => Kind::Data,
            Error::Gguf { source, .. } => source.kind(),
            Error::Differs { .. } => Kind::Negative,
            Error::Verify(e) => e.kind(),
            Error::Call(e) => e.kind(),
            Error::Runtime(e) => e.kind(),
        }
    }

    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::Differs { .. } => vec![Remedy::SkipWitness],
            Error::Verify(e) => e.remedies(),
            Error::Call(e) => e.remedies(),
            Error::Runtime(e) => e.remedies(),
            _ => Vec::new(),
        }
    }
}
