//! The token check: does the written file's tokenizer do what the checkpoint's does?

use crate::error::Kind;

/// What the token check found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match *self {}
    }
}
