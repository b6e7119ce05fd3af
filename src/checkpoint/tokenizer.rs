//! `tokenizer.json`, `tokenizer_config.json` and the chat template.

use crate::error::Kind;

/// What is wrong with a tokenizer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not JSON, or not a tokenizer.
    #[error("not a tokenizer that can be read")]
    Malformed,
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        Kind::Data
    }
}
