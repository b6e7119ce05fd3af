//! Formats of tool calls that were derived from chat templates, so that later processes need not derive them again.

use super::{Cache, Key, folder::DERIVATION};
use sha2::{Digest, Sha256};

/// Size limit of a derivation; real ones have a few thousand bytes.
const MAX_BYTES: u64 = 1 << 20;

impl Cache {
    /// The key of what is derived from a chat template by the program's `version`.
    pub fn derivation_key(template: &str, version: &str) -> Key {
        Key::hashed(Sha256::new(), &[b"derivation", version.as_bytes(), template.as_bytes()])
    }

    /// The derivation stored under `key`, as JSON; `None` if there is none, or if the file or folder cannot be trusted.
    pub fn derivation(&self, key: &Key) -> Option<String> {
        self.note(key, DERIVATION, MAX_BYTES)
    }

    /// Stores a derivation, JSON on one line, under `key`. A failure is only logged.
    pub fn keep_derivation(&self, key: &Key, json: &str) {
        if (json.len() as u64) < MAX_BYTES / 2 {
            self.keep_note(key, DERIVATION, json);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derivation_is_known_for_its_template_and_version_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let key = Cache::derivation_key("{{ messages }}", "1.0");
        assert_eq!(cache.derivation(&key), None);
        cache.keep_derivation(&key, r#"{"shown":{}}"#);
        assert_eq!(cache.derivation(&key).as_deref(), Some(r#"{"shown":{}}"#));
        for (template, version) in [("{{ messages }}", "1.1"), ("{{ messages }} ", "1.0"), ("", "1.0")] {
            assert_eq!(cache.derivation(&Cache::derivation_key(template, version)), None);
        }
        assert_eq!(cache.list(true).unwrap().files.len(), 1);
        cache.keep_derivation(&Cache::derivation_key("", "1.0"), &"x".repeat(MAX_BYTES as usize));
        assert_eq!(cache.list(true).unwrap().files.len(), 1, "what could not be read is not written");
    }
}
