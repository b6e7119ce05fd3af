//! Votes on disk: one line each, added as soon as it is given, so that a run that is killed has lost none.

use crate::benchmark::Error;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
};

/// Far more than years of votes; the file may be a device without an end.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Characters of a reply that are kept, its last ones.
const KEPT: usize = 1000;

/// Votes by the hash of all that they depend on.
#[derive(Debug)]
pub struct Cache {
    votes: BTreeMap<String, Option<bool>>,
    path: PathBuf,
    file: File,
}

#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    /// Null where the reply had no verdict.
    good: Option<bool>,
    /// The end of the reply, for people.
    #[serde(default)]
    reply: String,
}

impl Cache {
    /// Opens the cache at `path`, which is made if it is not there. Lines that cannot be read, such as the torn last one
    /// of a killed run, are passed over.
    ///
    /// # Errors
    /// [`Error::Create`] and [`Error::Read`].
    pub fn open(path: &Path) -> Result<Cache, Error> {
        let cannot = |source| Error::Create { path: path.to_path_buf(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(cannot)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        // Replies repeat conversations.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(cannot)?;
        let mut bytes = Vec::new();
        let unreadable = |source| Error::Read { path: path.to_path_buf(), source };
        (&file).take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
        let mut cache = Cache { votes: BTreeMap::new(), path: path.to_path_buf(), file };
        for line in bytes.split(|byte| *byte == b'\n') {
            if let Ok(Line { key, good, .. }) = serde_json::from_slice(line) {
                cache.votes.insert(key, good);
            }
        }
        if bytes.last().is_some_and(|byte| *byte != b'\n') {
            cache.append(b"\n")?;
        }
        Ok(cache)
    }

    /// The vote of this key, if it was given; nothing in it if it could not be read.
    pub fn get(&self, key: &str) -> Option<Option<bool>> {
        self.votes.get(key).copied()
    }

    /// Keeps a vote.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn insert(&mut self, key: &str, good: Option<bool>, reply: &str) -> Result<(), Error> {
        let start = reply.char_indices().rev().nth(KEPT - 1).map_or(0, |(at, _)| at);
        let line = Line { key: key.to_owned(), good, reply: reply[start..].to_owned() };
        let mut bytes = serde_json::to_vec(&line)
            .map_err(|e| Error::Write { path: self.path.clone(), source: e.into() })?;
        bytes.push(b'\n');
        self.append(&bytes)?;
        self.votes.insert(key.to_owned(), good);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        // In one write: other runs may add to the same file.
        self.file.write_all(bytes).map_err(|source| Error::Write { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_outlive_the_process_and_a_torn_line_costs_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/votes.jsonl");
        let mut cache = Cache::open(&path).unwrap();
        cache.insert("one", Some(true), &"é".repeat(5000)).unwrap();
        cache.insert("two", None, "no idea").unwrap();
        cache.insert("three", Some(false), "VERDICT: bad").unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() < 3000);
        std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
        let mut again = Cache::open(&path).unwrap();
        assert_eq!(
            (again.get("one"), again.get("two"), again.get("three")),
            (Some(Some(true)), Some(None), None)
        );
        again.insert("four", Some(true), "").unwrap();
        assert_eq!(Cache::open(&path).unwrap().get("four"), Some(Some(true)));
    }
}
