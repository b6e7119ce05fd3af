//! Conversation + tools + model -> tool call: where the three streams meet.

use crate::error::Kind;

/// Why there is no call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match *self {}
    }
}
