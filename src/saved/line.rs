//! Small files of one line: 16 hexadecimal digits of XXH3-64, a space, and what they are the sum of. A line whose sum is
//! wrong is as good as none.

use std::{fs, path::Path};
use xxhash_rust::xxh3::xxh3_64;

/// The line of `text`, which has one line itself.
pub(super) fn sealed(text: &str) -> String {
    format!("{:016x} {text}\n", xxh3_64(text.as_bytes()))
}

/// The text of the line at `path`; `None` where there is none of at most `most` bytes that can be believed.
pub(super) fn read(path: &Path, most: u64) -> Option<String> {
    if fs::metadata(path).ok()?.len() > most {
        return None;
    }
    let line = fs::read_to_string(path).ok()?;
    let (sum, text) = line.strip_suffix('\n')?.split_once(' ')?;
    let is_ours = sum.len() == 16 && u64::from_str_radix(sum, 16).ok()? == xxh3_64(text.as_bytes());
    is_ours.then(|| text.to_owned())
}
