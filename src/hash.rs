//! SHA-256 of files, and hashes in hexadecimal.

use sha2::{Digest, Sha256};
use std::io::{self, Read};

/// Bytes read at once.
const CHUNK: usize = 1 << 18;

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Adds all bytes of `input` to `hash`. `goes_on` is asked before each block; if it says no, the result is false.
///
/// # Errors
/// The system's error.
pub fn add_all(
    hash: &mut Sha256,
    mut input: impl Read,
    mut goes_on: impl FnMut() -> bool,
) -> io::Result<bool> {
    let mut chunk = vec![0; CHUNK];
    while goes_on() {
        match input.read(&mut chunk) {
            Ok(0) => return Ok(true),
            Ok(read) => hash.update(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_the_hash_of_its_bytes() {
        let bytes = vec![7; CHUNK + 1];
        let mut hash = Sha256::new();
        assert!(add_all(&mut hash, bytes.as_slice(), || true).unwrap());
        assert_eq!(hash.finalize(), Sha256::digest(&bytes));
        assert!(!add_all(&mut Sha256::new(), bytes.as_slice(), || false).unwrap());
        assert_eq!(hex(&[0, 0xaf]), "00af");
    }
}
