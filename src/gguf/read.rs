//! Bytes of a GGUF file -> [`Gguf`]: everything bounds-checked, refused by name.

use super::{TensorInfo, Value};
use crate::error::Kind;

/// What is wrong with a GGUF file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file does not begin with `GGUF`.
    #[error("not a GGUF file: it begins with {found:02x?}, not with `GGUF`")]
    Magic {
        /// The first bytes.
        found: Vec<u8>,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        Kind::Data
    }
}

/// The front of a GGUF file, checked against the file's length.
#[derive(Clone, Debug)]
pub struct Gguf {
    /// The format version, 2 or 3.
    pub version: u32,
    /// The metadata in file order.
    pub metadata: Vec<(String, Value)>,
    /// The tensor table in file order.
    pub tensors: Vec<TensorInfo>,
    /// Where the data section begins, in bytes from the start of the file.
    pub data_start: u64,
    /// The alignment of the data section.
    pub alignment: u64,
}
