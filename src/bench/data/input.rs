//! Input files: read with a limit on their size, as UTF-8.

use crate::{bench::Error, files};
use std::path::Path;

/// Limit on the size of an input file. No test set is this large, but a path may name a device without an end.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Reads a whole file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let wrong = |source| Error::Read { path: path.to_path_buf(), source };
    let read = files::open_input(path).and_then(|file| files::read_within(MAX_FILE_BYTES, file));
    read.map_err(wrong)?.ok_or_else(|| Error::File {
        path: path.to_path_buf(),
        problem: format!("more than {MAX_FILE_BYTES} bytes; no test set has as many"),
        source: None,
    })
}

/// The bytes as text, without a byte order mark.
pub(super) fn text<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(Error::Line {
                path: path.to_path_buf(),
                line,
                problem: "is not UTF-8; save the file as UTF-8".into(),
                source: None,
            })
        }
    }
}
