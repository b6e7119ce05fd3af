//! Hashes of files on the hub: SHA-256 of large files, git's SHA-1 of small ones. They name the files in the cache.

use crate::hash::hex;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Expected hash of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256 of the bytes, of a file in large file storage.
    Sha256(String),
    /// Hash of the file as a git object: SHA-1 of `blob LENGTH`, a null byte and the bytes.
    GitBlob(String),
}

impl Digest {
    /// The hash with these digits; `None` if they are none.
    pub(super) fn new(text: &str) -> Option<Digest> {
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match text.len() {
            64 if is_hex => Some(Digest::Sha256(text.to_owned())),
            40 if is_hex => Some(Digest::GitBlob(text.to_owned())),
            _ => None,
        }
    }

    /// The digits: the name of the file in the cache.
    pub fn as_str(&self) -> &str {
        match self {
            Digest::Sha256(digits) | Digest::GitBlob(digits) => digits,
        }
    }

    /// Hasher for a file of this length.
    pub(super) fn hasher(&self, file_bytes: u64) -> Hasher {
        match self {
            Digest::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Digest::GitBlob(_) => {
                let mut hash = Sha1::new();
                hash.update(format!("blob {file_bytes}\0"));
                Hasher::GitBlob(hash)
            }
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Digest::Sha256(digits) => write!(f, "SHA-256 {digits}"),
            Digest::GitBlob(digits) => write!(f, "git hash {digits}"),
        }
    }
}

/// Hash of the bytes so far.
pub(super) enum Hasher {
    Sha256(Sha256),
    GitBlob(Sha1),
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hash) => hash.update(bytes),
            Hasher::GitBlob(hash) => hash.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Digest {
        match self {
            Hasher::Sha256(hash) => Digest::Sha256(hex(&hash.finalize())),
            Hasher::GitBlob(hash) => Digest::GitBlob(hex(&hash.finalize())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_has_the_hash_that_git_gives_it() {
        // `printf 'hello\n' | git hash-object --stdin` and `sha256sum`.
        for digits in [
            "ce013625030ba8dba906f756967f9e9ca394464a",
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        ] {
            let expected = Digest::new(digits).unwrap();
            let mut hasher = expected.hasher(6);
            hasher.update(b"hel");
            hasher.update(b"lo\n");
            assert_eq!(hasher.finish(), expected);
        }
    }

    #[test]
    fn what_could_be_a_path_is_no_hash() {
        for text in ["", "..", &"../".repeat(20)[..40], &"A".repeat(40), &"0".repeat(63)] {
            assert_eq!(Digest::new(text), None, "{text}");
        }
    }
}
