//! Models that were loaded and used once without a crash: a [line](super::line) with the name of each trial that passed.
//!
//! Only passed trials are kept: a file that crashed is tried again, since memory or another program may have been to blame.

use super::{Cache, Key, folder::TRIAL, key::hex};
use crate::runtime::{ModelFile, fingerprint};
use sha2::{Digest, Sha256};
use std::{fs, io, os::unix::ffi::OsStrExt};

/// Size limit of the file; real lines are far shorter.
const MAX_BYTES: u64 = 4096;

impl Cache {
    /// The key of a trial of `file` under `facts`, such as the program's version and the options of the load. It contains
    /// the file's place, size, inode, time of change, header, and samples of its data.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn trial_key(file: &ModelFile, facts: &[&[u8]]) -> io::Result<Key> {
        let path = fs::canonicalize(&file.path)?;
        let hash = Sha256::new().chain_update(fingerprint(std::slice::from_ref(file))?);
        Ok(Key::hashed(hash, &[&[b"trial", path.as_os_str().as_bytes()], facts].concat()))
    }

    /// True if a trial under `key` is known to have passed. A file or folder that cannot be trusted counts as unknown.
    pub fn has_passed(&self, key: &Key) -> bool {
        self.note(key, TRIAL, MAX_BYTES).is_some_and(|text| text == passed(key))
    }

    /// Notes that a trial under `key` passed. A failure is only logged.
    pub fn keep_passed(&self, key: &Key) {
        self.keep_note(key, TRIAL, &passed(key));
    }
}

fn passed(key: &Key) -> String {
    format!("passed {}", hex(&key.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::FileStat;

    #[test]
    fn a_trial_is_known_for_the_same_file_and_facts_alone_and_a_damaged_note_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let path = folder.path().join("a.gguf");
        fs::write(&path, "header and weights").unwrap();
        let key = |fact: &[u8]| {
            let file = ModelFile { stat: FileStat::read(&path).unwrap(), path: path.clone(), data_start: 6 };
            Cache::trial_key(&file, &[fact]).unwrap()
        };
        let first = key(b"1.0");
        assert!(!cache.has_passed(&first));
        cache.keep_passed(&first);
        assert!(cache.has_passed(&first) && !cache.has_passed(&key(b"1.1")));
        assert_eq!(cache.list(true).unwrap().files.len(), 1);

        let kept = cache.folder.file(&first.name(&[]), TRIAL);
        let good = fs::read(&kept).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&kept, &bad).unwrap();
            assert!(!cache.has_passed(&first), "{at}");
            fs::write(&kept, &good[..at]).unwrap();
            assert!(!cache.has_passed(&first), "{at}");
        }
        fs::write(&kept, &good).unwrap();
        assert!(cache.has_passed(&first));
        fs::write(&path, "Header and weights").unwrap();
        assert!(!cache.has_passed(&key(b"1.0")), "another file is there");
    }
}
