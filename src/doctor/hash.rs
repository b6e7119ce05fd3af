//! Comparison of a model file with the hash in its manifest, within a time limit.

use super::{
    finding::{Finding, Topic},
    manifest::Manifest,
    words::shown,
};
use crate::{files, hash};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

/// Time limit for reading the file.
const TIME: Duration = Duration::from_secs(12);

/// Result of the comparison with the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// Every byte is as it was written.
    Same,
    /// The length is right; reading all bytes would take too long.
    SameLength,
    /// The length or the hash differs.
    Differs,
    /// No manifest.
    NoManifest,
    /// The manifest cannot be used, and tells neither length nor hash.
    UnusableManifest,
    /// The file cannot be read to its end.
    Unreadable,
}

impl FileState {
    /// Compares the file at `path` with its manifest.
    pub(super) fn look_at(path: &Path, manifest: Option<&Manifest>) -> FileState {
        FileState::look_for(path, manifest, TIME)
    }

    fn look_for(path: &Path, manifest: Option<&Manifest>, time: Duration) -> FileState {
        let Some(manifest) = manifest else { return FileState::NoManifest };
        let Some(recorded) = &manifest.file else { return FileState::UnusableManifest };
        if !manifest.has_length_of(path) {
            return FileState::Differs;
        }
        match sha256(path, time) {
            Ok(None) => FileState::SameLength,
            Ok(Some(hash)) if hash == recorded.sha256 => FileState::Same,
            Ok(Some(_)) => FileState::Differs,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the file is not hashed");
                FileState::Unreadable
            }
        }
    }

    pub(super) fn finding(self, path: &Path) -> Option<Finding> {
        const AGAIN: &str =
            "copy or convert the model again; where that does not help, check the disk and the memory";
        let path = shown(path);
        match self {
            FileState::Same | FileState::SameLength | FileState::NoManifest | FileState::UnusableManifest => {
                None
            }
            FileState::Differs => Some(Finding::wrong(
                Topic::File,
                format!("{path} is not the file that its manifest was written for"),
                AGAIN,
            )),
            FileState::Unreadable => {
                Some(Finding::wrong(Topic::File, format!("{path} cannot be read to its end"), AGAIN))
            }
        }
    }
}

/// SHA-256 of a file, in hex; `None` if it takes longer than `time`.
fn sha256(path: &Path, time: Duration) -> io::Result<Option<String>> {
    let (mut sha256, started) = (Sha256::new(), Instant::now());
    let is_whole = hash::add_all(&mut sha256, files::open(path)?, || started.elapsed() < time)?;
    Ok(is_whole.then(|| hash::hex(&sha256.finalize())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::manifest_path;
    use std::fs;

    #[test]
    fn a_file_is_held_against_its_manifest_as_far_as_there_is_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        fs::write(&path, "weights").unwrap();
        let look = |time| FileState::look_for(&path, Manifest::read(&path).as_ref(), time);
        assert_eq!(look(TIME), FileState::NoManifest);
        let hash = sha256(&path, TIME).unwrap().unwrap();
        let manifest = format!("{{\"file\": {{\"file_bytes\": 7, \"sha256\": \"{hash}\"}}, \"other\": 1}}");
        fs::write(manifest_path(&path), manifest).unwrap();
        assert_eq!(look(TIME), FileState::Same);
        assert_eq!(look(Duration::ZERO), FileState::SameLength);
        fs::write(&path, "weightz").unwrap();
        assert_eq!(look(TIME), FileState::Differs);
        fs::write(&path, "weight").unwrap();
        assert_eq!(look(TIME), FileState::Differs);
    }

    #[test]
    fn a_damaged_manifest_is_not_taken_for_none_and_its_hash_still_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        fs::write(&path, "weights").unwrap();
        let hash = sha256(&path, TIME).unwrap().unwrap();
        let look = |manifest: &[u8]| {
            fs::write(manifest_path(&path), manifest).unwrap();
            FileState::look_for(&path, Manifest::read(&path).as_ref(), TIME)
        };
        for damaged in [&b""[..], b"{}", b"[]", b"no manifest", b"\xff\x00\x01", b"{\"file\": 1}"] {
            assert_eq!(look(damaged), FileState::UnusableManifest, "{damaged:?}");
        }
        let with = |hash: &str| {
            format!("{{\"file\": {{\"file_bytes\": 7, \"sha256\": \"{hash}\"}}, \"answers\": \"x\"}}")
        };
        assert_eq!(look(with(&hash).as_bytes()), FileState::Same);
        assert_eq!(look(with("0").as_bytes()), FileState::Differs);
    }
}
