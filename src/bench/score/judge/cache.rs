//! Cache of votes on disk: each is appended as one line as soon as it arrives, so a killed run loses none.

use crate::{bench::Error, files};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
};

/// Limit on the size of the file. Years of votes stay below it, but a path may name a device without an end.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Number of characters kept from the end of a reply.
const KEPT: usize = 1000;

/// Votes by the hash of everything that they depend on.
#[derive(Debug)]
pub struct Cache {
    votes: BTreeMap<String, Option<bool>>,
    path: PathBuf,
    file: File,
}

#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    /// The vote; null if the reply has no verdict.
    good: Option<bool>,
    /// End of the reply, for people who read the file.
    #[serde(default)]
    reply: String,
}

impl Cache {
    /// Opens the cache at `path`, or creates it. Lines that cannot be parsed are skipped, such as the incomplete last
    /// one of a killed run.
    ///
    /// # Errors
    /// [`Error::Create`] and [`Error::Read`].
    pub fn open(path: &Path) -> Result<Cache, Error> {
        let cannot = |source| Error::Create { path: path.to_path_buf(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(cannot)?;
        }
        let mut options = OpenOptions::new();
        options.read(true);
        // Replies may quote conversations, so only the owner may read the file.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = files::open_to_append_with(path, &mut options).map_err(cannot)?;
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

    /// The cached vote: `None` if there is none, `Some(None)` if the reply was unreadable.
    pub fn get(&self, key: &str) -> Option<Option<bool>> {
        self.votes.get(key).copied()
    }

    /// Stores a vote.
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
        // Other runs may append to the same file: a single write, and alone. Where there are no locks it is a single write.
        let lock = self.file.lock();
        let written = self.file.write_all(bytes);
        if lock.is_ok() {
            let _ = self.file.unlock();
        }
        written.map_err(|source| Error::Write { path: self.path.clone(), source })
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
