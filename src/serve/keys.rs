//! API keys of the server. They are kept as hashes, and compared without a hint of how much of a key was right.

use crate::{files, http::Key, kind::Kind};
use sha2::{Digest, Sha256};
use std::{
    fmt, io,
    path::{Path, PathBuf},
};
use subtle::{Choice, ConstantTimeEq};

/// Most bytes of a file of keys.
const MAX_FILE_BYTES: u64 = 1 << 16;

/// Reasons why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The file has no key, is too long or no text, or a key has characters that a header cannot contain.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The defect.
        problem: &'static str,
    },
}

impl KeyError {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            KeyError::Read { .. } => Kind::NoInput,
            KeyError::File { .. } => Kind::Data,
        }
    }
}

/// Keys that requests may have.
#[derive(Clone, Default)]
pub struct Keys(Vec<[u8; 32]>);

impl Keys {
    /// A single key.
    pub fn one(key: &str) -> Keys {
        Keys(vec![hash(key)])
    }

    /// The keys in the file at `path`, one a line.
    ///
    /// # Errors
    /// A file that cannot be read, without a key, or with one that no request can send.
    pub fn read(path: &Path) -> Result<Keys, KeyError> {
        Ok(Keys(lines(path)?.iter().map(|key| hash(key)).collect()))
    }

    /// The keys of both.
    pub fn and(mut self, other: Keys) -> Keys {
        self.0.extend(other.0);
        self
    }

    /// True if there is none, so that requests need none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if `key` is one of them. The time that this takes does not depend on the key.
    pub(super) fn accepts(&self, key: &str) -> bool {
        let hash = hash(key);
        let found = self.0.iter().fold(Choice::from(0), |found, known| found | known.ct_eq(&hash));
        found.into()
    }
}

/// The first key in the file at `path`, for a client.
///
/// # Errors
/// As [`Keys::read`].
pub fn first_key(path: &Path) -> Result<Key, KeyError> {
    let wrong =
        |_| KeyError::File { path: path.to_path_buf(), problem: "has a key that no header can contain" };
    Key::new("its file", lines(path)?.first().map_or("", String::as_str), true).map_err(wrong)
}

/// The lines of a file of keys, at least one.
fn lines(path: &Path) -> Result<Vec<String>, KeyError> {
    let unreadable = |source| KeyError::Read { path: path.to_path_buf(), source };
    let wrong = |problem| KeyError::File { path: path.to_path_buf(), problem };
    let file = files::open_input(path).map_err(unreadable)?;
    let bytes = files::read_within(MAX_FILE_BYTES, file).map_err(unreadable)?;
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(|| wrong("is no short text with a key on each line"))?;
    let keys: Vec<String> =
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    if keys.is_empty() {
        return Err(wrong("has no key; write one on its first line"));
    }
    if !keys.iter().all(|key| key.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(wrong("has a key with spaces or other characters that no header can contain"));
    }
    Ok(keys)
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_a_file_is_a_key_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, "one\n\n two \n").unwrap();
        let keys = Keys::read(&path).unwrap();
        assert!(keys.accepts("one") && keys.accepts("two"));
        for wrong in ["", "on", "one ", "onetwo", "three"] {
            assert!(!keys.accepts(wrong), "{wrong:?}");
        }
        assert_eq!(format!("{keys:?}"), "Keys(2)");
    }

    #[test]
    fn a_file_without_a_usable_key_is_refused_and_its_text_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        for text in ["", "\n \n", "two words\n", "k\u{e4}se"] {
            std::fs::write(&path, text).unwrap();
            let error = Keys::read(&path).unwrap_err().to_string();
            assert!(!error.contains("words") && !error.contains("se\n"), "{error}");
        }
        assert!(matches!(Keys::read(&folder.path().join("none")), Err(KeyError::Read { .. })));
    }
}
