//! Conversation -> prompt.

use crate::error::Kind;

/// Why messages or a chat template cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match *self {}
    }
}
