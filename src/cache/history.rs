//! Logs of earlier answers, one per model and set of tools, newest last.
//!
//! One line per answer: 16 hexadecimal digits of XXH3-64, a space, and the token ids separated by spaces. A
//! line with a wrong checksum is skipped, so two processes may append at once, and a crash may truncate the
//! last line.

use super::{
    Cache, Key,
    folder::{HISTORY, check_length},
};
use crate::{files, runtime::Model};
use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::SystemTime,
};
use xxhash_rust::xxh3::xxh3_64;

/// Size limit of one log; beyond it, the older half is dropped.
pub const MAX_BYTES: usize = 64 << 10;

impl Cache {
    /// The key of the answers that `model` gives with `tools`, as JSON. `None` if no log is kept; also `None`,
    /// with a warning in the log, if the model's file was replaced since it was loaded.
    pub fn answers_key(&self, model: &Model, tools: &str) -> Option<Key> {
        if !self.keeps_history {
            return None;
        }
        Key::new(model, &[b"answers", tools.as_bytes()])
            .inspect_err(|error| tracing::warn!(%error, "no log of answers"))
            .ok()
    }

    /// Token ids of the answers stored under `key`, oldest first; empty if there is no log.
    pub fn answers(&self, key: &Key) -> Vec<Vec<i32>> {
        let path = self.folder.file(&key.name(&[]), HISTORY);
        if !self.keeps_history || !self.folder.is_trusted() {
            return Vec::new();
        }
        read(&path).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "the log of answers cannot be read");
            Vec::new()
        })
    }

    /// Appends an answer to the log of `key`. A failure is only logged.
    pub fn add_answer(&self, key: &Key, tokens: &[i32]) {
        if !self.keeps_history || tokens.is_empty() {
            return;
        }
        let path = self.folder.file(&key.name(&[]), HISTORY);
        let added = self.folder.prepare().and_then(|()| self.add(&path, line(tokens)));
        if let Err(error) = added {
            tracing::warn!(path = %path.display(), %error, "an answer cannot be logged");
        }
    }

    fn add(&self, path: &Path, line: String) -> io::Result<()> {
        if line.len() > MAX_BYTES / 2 {
            return Ok(());
        }
        let mut options = OpenOptions::new();
        let mut file = files::open_unlinked_with(path, options.append(true).create(true).mode(0o600))?;
        check_length(file.metadata()?.len() + line.len() as u64)?;
        // In a single write, so that lines of two processes do not mix.
        file.write_all(line.as_bytes())?;
        if file.metadata()?.len() <= MAX_BYTES as u64 {
            return Ok(());
        }
        let kept = newest(&read(path)?, MAX_BYTES / 2);
        self.folder.write(path, &[kept.as_bytes()], SystemTime::now())
    }
}

fn line(tokens: &[i32]) -> String {
    let ids: Vec<String> = tokens.iter().map(i32::to_string).collect();
    let ids = ids.join(" ");
    format!("{:016x} {ids}\n", xxh3_64(ids.as_bytes()))
}

pub(super) fn read(path: &Path) -> io::Result<Vec<Vec<i32>>> {
    // Two processes may double its size at most; anything beyond is not our file.
    let bytes = match files::read_unlinked(path, 4 * MAX_BYTES as u64) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Ok(Vec::new()),
        bytes => bytes?,
    };
    Ok(bytes.split(|&byte| byte == b'\n').filter_map(answer).collect())
}

/// The token ids of a line, if its checksum is right.
fn answer(line: &[u8]) -> Option<Vec<i32>> {
    let (sum, ids) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    if sum.len() != 16 || u64::from_str_radix(sum, 16).ok()? != xxh3_64(ids.as_bytes()) {
        return None;
    }
    ids.split(' ').map(|id| id.parse().ok()).collect()
}

/// The lines of the newest answers that fit into `bytes`.
fn newest(answers: &[Vec<i32>], bytes: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut left = bytes;
    for line in answers.iter().rev().map(|tokens| line(tokens)) {
        let Some(rest) = left.checked_sub(line.len()) else { break };
        left = rest;
        lines.push(line);
    }
    lines.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const KEY: Key = Key([3; 32]);

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        (folder, cache)
    }

    #[test]
    fn answers_are_read_in_the_order_in_which_they_were_given() {
        let (_folder, cache) = cache();
        assert!(cache.answers(&KEY).is_empty());
        cache.add_answer(&KEY, &[1, 22, 333]);
        cache.add_answer(&KEY, &[4]);
        cache.add_answer(&KEY, &[]);
        assert_eq!(cache.answers(&KEY), [vec![1, 22, 333], vec![4]]);
        assert!(cache.answers(&Key([4; 32])).is_empty());
    }

    #[test]
    fn a_damaged_line_is_skipped_and_the_others_are_read() {
        let (_folder, cache) = cache();
        (0..5).for_each(|i| cache.add_answer(&KEY, &[i, 100 + i]));
        let path = cache.folder.file(&KEY.name(&[]), HISTORY);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            let read = cache.answers(&KEY);
            assert!((3..=4).contains(&read.len()), "byte {at}: {read:?}");
            assert!(read.iter().all(|answer| answer.len() == 2 && answer[1] == 100 + answer[0]), "{read:?}");
        }
        fs::write(&path, [&whole[..whole.len() - 3], b"\xff\n"].concat()).unwrap();
        cache.add_answer(&KEY, &[9]);
        assert_eq!(cache.answers(&KEY).last().unwrap(), &[9]);
    }

    #[test]
    fn a_log_that_grows_too_long_keeps_the_newest() {
        let (_folder, cache) = cache();
        let given = 5_000;
        (0..given).for_each(|i| cache.add_answer(&KEY, &[i; 8]));
        let path = cache.folder.file(&KEY.name(&[]), HISTORY);
        assert!(fs::metadata(&path).unwrap().len() <= MAX_BYTES as u64);
        let read = cache.answers(&KEY);
        assert_eq!(read.last().unwrap(), &[given - 1; 8]);
        assert!(read.len() > 500 && read.windows(2).all(|pair| pair[0][0] + 1 == pair[1][0]));
        cache.add_answer(&KEY, &vec![1; MAX_BYTES]);
        assert_eq!(cache.answers(&KEY).len(), read.len(), "an answer larger than the log is none for it");
    }

    #[test]
    fn a_log_that_is_a_link_or_a_pipe_is_neither_read_nor_written_through() {
        let (folder, cache) = cache();
        cache.add_answer(&KEY, &[1]);
        let path = cache.folder.file(&KEY.name(&[]), HISTORY);
        let elsewhere = folder.path().join("letter");
        fs::rename(&path, &elsewhere).unwrap();
        let before = fs::read(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        cache.add_answer(&KEY, &[2]);
        assert!(cache.answers(&KEY).is_empty());
        assert_eq!(fs::read(&elsewhere).unwrap(), before);

        fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        cache.add_answer(&KEY, &[3]);
        assert!(cache.answers(&KEY).is_empty());
    }

    #[test]
    fn without_history_nothing_is_read_or_written() {
        let (folder, cache) = cache();
        cache.add_answer(&KEY, &[1]);
        let cache = Cache::new(folder.path()).without_history();
        cache.add_answer(&KEY, &[2]);
        assert!(cache.answers(&KEY).is_empty());
        assert_eq!(Cache::new(folder.path()).answers(&KEY), [[1]]);
    }
}
