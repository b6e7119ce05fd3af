//! Checkpoint -> GGUF, in one streaming pass.

pub mod pretokenizer;
pub mod readback;
mod special;
pub mod vocab;

use crate::error::Kind;

/// Why a conversion cannot be made or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match *self {}
    }
}
