//! Files of one checksummed line: 16 hexadecimal digits of XXH3-64, a space, and the text. A line with a wrong
//! checksum counts as missing.

use crate::files;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// `text`, which has no line breaks, as a checksummed line.
pub(super) fn with_checksum(text: &str) -> String {
    format!("{:016x} {text}\n", xxh3_64(text.as_bytes()))
}

/// Reads the text of the line at `path`; `None` if the file is missing, no plain file, longer than `most` bytes, or
/// its checksum is wrong.
pub(super) fn read(path: &Path, most: u64) -> Option<String> {
    let line = String::from_utf8(files::read_unlinked(path, most).ok()?).ok()?;
    let (sum, text) = line.strip_suffix('\n')?.split_once(' ')?;
    let is_ours = sum.len() == 16 && u64::from_str_radix(sum, 16).ok()? == xxh3_64(text.as_bytes());
    is_ours.then(|| text.to_owned())
}
