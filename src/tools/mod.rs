//! What may be called, and what was.

pub mod json_schema;

use crate::error::Kind;

/// Why tools cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match *self {}
    }
}
