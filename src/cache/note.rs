//! Files that hold one short text each: a [`mod@line`] under a key.

use super::{Cache, Key, line};
use std::time::SystemTime;

impl Cache {
    /// The text stored under `key` in a file with this extension, of at most `most` bytes; `None` if there is none, or if
    /// the file or folder cannot be trusted.
    pub(super) fn note(&self, key: &Key, ending: &str, most: u64) -> Option<String> {
        self.folder.check().ok()?;
        line::read(&self.folder.file(&key.name(&[]), ending), most)
    }

    /// Stores `text`, which has no line breaks, under `key` in a file with this extension. A failure is only logged.
    pub(super) fn keep_note(&self, key: &Key, ending: &str, text: &str) {
        let path = self.folder.file(&key.name(&[]), ending);
        let written = self.folder.prepare().and_then(|()| {
            self.folder.write(&path, &[line::with_checksum(text).as_bytes()], SystemTime::now())
        });
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "a note cannot be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const KEY: Key = Key([7; 32]);

    #[test]
    fn a_note_comes_back_as_it_was_and_a_changed_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let note = |most| cache.note(&KEY, "costs", most);
        assert_eq!(note(4096), None);
        cache.keep_note(&KEY, "costs", "12.5 \u{e9} {}");
        assert_eq!(note(4096).as_deref(), Some("12.5 \u{e9} {}"));
        assert_eq!(note(8), None, "it is longer than any that is written");
        assert_eq!(cache.note(&KEY, "trial", 4096), None);

        let path = cache.folder.file(&KEY.name(&[]), "costs");
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert_eq!(note(4096), None, "{at}");
            fs::write(&path, &good[..at]).unwrap();
            assert_eq!(note(4096), None, "{at}");
        }
        cache.keep_note(&KEY, "costs", "13");
        assert_eq!(note(4096).as_deref(), Some("13"));
        cache.clear().unwrap();
        assert_eq!(note(4096), None);
    }
}
