//! Files of a tokenizer, which may be missing.

use super::{
    Error,
    pieces::{self, Piece},
};
use crate::{
    checkpoint::{self, MAX_JSON_BYTES},
    files,
};
use serde_json::{Map, Value};
use std::{io, path::Path};

/// Reads `tokenizer.model`; `None` if it does not exist.
pub(super) fn read_pieces(dir: &Path) -> Result<Option<Vec<Piece>>, checkpoint::Error> {
    let path = dir.join("tokenizer.model");
    let Some(bytes) = read(&path)? else { return Ok(None) };
    pieces::parse(&bytes).map(Some).map_err(|e| e.in_file(&path))
}

/// Reads a file; `None` if it does not exist.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, checkpoint::Error> {
    files::if_present(files::read(path, MAX_JSON_BYTES)).map_err(|e| Error::Read(e).in_file(path))
}

/// Reads a text file; `None` if it does not exist.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, checkpoint::Error> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let text = String::from_utf8(bytes)
        .map_err(|e| Error::Read(io::Error::new(io::ErrorKind::InvalidData, e.utf8_error())).in_file(path))?;
    // Python reads text with universal newlines.
    Ok(Some(text.replace("\r\n", "\n").replace('\r', "\n")))
}

/// Reads a JSON object; `None` if the file does not exist.
pub(super) fn read_json(path: &Path) -> Result<Option<Map<String, Value>>, checkpoint::Error> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| Error::Json(e).in_file(path))
}
