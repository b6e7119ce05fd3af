//! Keys of cached files: hashes of the model, its settings and what it is shown.

pub(super) use crate::hash::hex;
use crate::runtime::{Model, Session};
use sha2::{Digest, Sha256};
use std::io;

/// SHA-256 of a model's fingerprint and of facts about its run or its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub(super) [u8; 32]);

impl Key {
    /// The key of `model` and `facts`.
    ///
    /// # Errors
    /// A file that cannot be read, or that was replaced since it was loaded.
    pub(super) fn new(model: &Model, facts: &[&[u8]]) -> io::Result<Key> {
        Ok(Key::hashed(Sha256::new().chain_update(model.fingerprint()?), facts))
    }

    /// The key of what `hash` has taken and of `facts`, each with its length.
    pub(super) fn hashed(mut hash: Sha256, facts: &[&[u8]]) -> Key {
        for fact in facts {
            hash.update((fact.len() as u64).to_le_bytes());
            hash.update(fact);
        }
        Key(hash.finalize().into())
    }

    /// The key of `model` with the settings of `session`, and further `facts`.
    ///
    /// # Errors
    /// As [`Key::new`].
    pub(super) fn for_session(model: &Model, session: &Session<'_>, facts: &[&[u8]]) -> io::Result<Key> {
        let setting = session.setting();
        let repack = if model.load_options().repack { "repacked" } else { "as stored" };
        Key::new(model, &[&[setting.as_bytes(), repack.as_bytes()], facts].concat())
    }

    /// File name for this key and the state after `tokens`: 32 hexadecimal digits.
    pub(super) fn name(&self, tokens: &[i32]) -> String {
        let mut hash = Sha256::new();
        hash.update(self.0);
        tokens.iter().for_each(|token| hash.update(token.to_le_bytes()));
        hex(&hash.finalize()[..16])
    }
}

/// Identity of a model's files: their [fingerprint](crate::runtime::fingerprint).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ModelId(pub [u8; 32]);

impl ModelId {
    /// File name of the model's record: 32 hexadecimal digits.
    pub fn name(&self) -> String {
        hex(&self.0[..16])
    }
}

/// The model's file name, for listings.
pub(super) fn label(model: &Model) -> String {
    let name = model.files().first().and_then(|file| file.path.file_name());
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
