//! What a state is good for: the same model, computed the same way.

use crate::runtime::{Model, Session};
use sha2::{Digest, Sha256};
use std::io;

/// Stands for a model and facts about how it is run or what it is shown, 32 bytes; others have others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub(super) [u8; 32]);

impl Key {
    /// That of `model` and `facts`.
    ///
    /// # Errors
    /// A file that cannot be read or is no longer the one that was loaded.
    pub(super) fn of(model: &Model, facts: &[&[u8]]) -> io::Result<Key> {
        let mut hash = Sha256::new();
        hash.update(model.fingerprint()?);
        for fact in facts {
            hash.update((fact.len() as u64).to_le_bytes());
            hash.update(fact);
        }
        Ok(Key(hash.finalize().into()))
    }

    /// That of `model` as it is run in `session`, and further `facts`.
    ///
    /// # Errors
    /// As [`Key::of`].
    pub(super) fn of_run(model: &Model, session: &Session<'_>, facts: &[&[u8]]) -> io::Result<Key> {
        let setting = session.setting();
        let repack = if model.load_options().repack { "repacked" } else { "as stored" };
        Key::of(model, &[&[setting.as_bytes(), repack.as_bytes()], facts].concat())
    }

    /// The name of what has this key and stands behind `tokens`: 32 hexadecimal digits.
    pub(super) fn name(&self, tokens: &[i32]) -> String {
        let mut hash = Sha256::new();
        hash.update(self.0);
        tokens.iter().for_each(|token| hash.update(token.to_le_bytes()));
        hex(&hash.finalize()[..16])
    }
}

/// Stands for the files of a model: their [fingerprint](crate::runtime::fingerprint).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ModelId(pub [u8; 32]);

impl ModelId {
    /// The name of what is kept about it: 32 hexadecimal digits.
    pub fn name(&self) -> String {
        hex(&self.0[..16])
    }
}

/// `bytes` in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A model's name for people.
pub(super) fn label(model: &Model) -> String {
    let name = model.files().first().and_then(|file| file.path.file_name());
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
