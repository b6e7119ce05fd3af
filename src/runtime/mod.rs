//! The only module that names llama_cpp_2 or llguidance.

use crate::error::Kind;

/// Why a model cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match *self {}
    }
}
