//! The record of a model that states were computed with: the paths of its files, and the full hash of each once
//! it was computed. A [`mod@line`] of JSON.

use super::{
    ModelId,
    folder::{Folder, MODEL},
    key::hex,
    line,
};
use crate::{
    files,
    runtime::{FileStat, ModelFile},
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Size limit of the file; real lines are far shorter.
const MAX_BYTES: u64 = 1 << 20;

/// A model's files at the time when states were computed with it, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ModelRecord {
    pub files: Vec<FileRecord>,
}

/// A file of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileRecord {
    pub path: PathBuf,
    bytes: u64,
    inode: u64,
    modified: (i64, i64),
    data_start: u64,
    /// SHA-256 of the whole file in hexadecimal, once it was computed.
    pub sha256: Option<String>,
}

impl FileRecord {
    /// The file with its recorded size, inode and time of change.
    pub fn file(&self) -> ModelFile {
        let stat = FileStat { bytes: self.bytes, inode: self.inode, modified: self.modified };
        ModelFile { path: self.path.clone(), stat, data_start: self.data_start }
    }
}

impl ModelRecord {
    /// The record of `files`, none of them hashed.
    pub fn new(files: &[ModelFile]) -> ModelRecord {
        let recorded = |file: &ModelFile| {
            let FileStat { bytes, inode, modified } = file.stat;
            let (path, data_start) = (file.path.clone(), file.data_start);
            FileRecord { path, bytes, inode, modified, data_start, sha256: None }
        };
        ModelRecord { files: files.iter().map(recorded).collect() }
    }

    /// Writes this record of `id` to `folder`, unless it is already there; hashes that are already recorded stay.
    /// Sets its time of last use to `used`. A failure is only logged.
    pub fn keep(&self, folder: &Folder, id: &ModelId, used: SystemTime) {
        let there = ModelRecord::read(&ModelRecord::path(folder, id));
        let mut record = self.clone();
        for (at, file) in record.files.iter_mut().enumerate() {
            // The file that a link resolves to now, not where it may lead later.
            file.path = fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone());
            // The fingerprint is the same, so a file that was moved keeps its hash.
            let known = there.as_ref().and_then(|there| there.files.get(at));
            file.sha256 = known.and_then(|known| known.sha256.clone());
        }
        if there.as_ref() == Some(&record) {
            if let Ok(file) = files::open_unlinked(&ModelRecord::path(folder, id)) {
                super::folder::touch(&file, used);
            }
        } else if let Err(error) = record.write(folder, id, used) {
            let folder = folder.path().display();
            tracing::warn!(%folder, %error, "it cannot be recorded which model states were made with");
        }
    }

    /// Writes this record of `id`, replacing what is there.
    ///
    /// # Errors
    /// The system's error.
    pub fn write(&self, folder: &Folder, id: &ModelId, used: SystemTime) -> io::Result<()> {
        let json = serde_json::to_string(self).map_err(io::Error::from)?;
        folder.prepare()?;
        folder.write(&ModelRecord::path(folder, id), &[line::with_checksum(&json).as_bytes()], used)
    }

    /// Reads the record at `path`; `None` if it is missing, damaged or empty.
    pub fn read(path: &Path) -> Option<ModelRecord> {
        let json = line::read(path, MAX_BYTES)?;
        serde_json::from_str(&json).ok().filter(|record: &ModelRecord| !record.files.is_empty())
    }

    /// The file name of the model, for listings.
    pub fn name(&self) -> Option<String> {
        let name = self.files.first()?.path.file_name()?;
        Some(name.to_string_lossy().into_owned())
    }

    /// Path of the record of `id`.
    pub fn path(folder: &Folder, id: &ModelId) -> PathBuf {
        folder.file(&id.name(), MODEL)
    }

    /// Records the hash of the file at index `at`.
    pub fn set_sha256(&mut self, at: usize, sha256: [u8; 32]) {
        self.files[at].sha256 = Some(hex(&sha256));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const ID: ModelId = ModelId([5; 32]);

    #[test]
    fn a_note_keeps_its_hashes_when_the_model_is_moved_and_a_changed_one_is_none() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::below(parent.path());
        let path = parent.path().canonicalize().unwrap().join("a.gguf");
        fs::write(&path, "weights").unwrap();
        let file = ModelFile { stat: FileStat::read(&path).unwrap(), path: path.clone(), data_start: 3 };
        let then = SystemTime::now() - Duration::from_secs(900);
        ModelRecord::new(std::slice::from_ref(&file)).keep(&folder, &ID, then);
        let kept = ModelRecord::path(&folder, &ID);
        let mut record = ModelRecord::read(&kept).unwrap();
        assert_eq!((record.files[0].file(), &record.files[0].sha256), (file.clone(), &None));

        record.set_sha256(0, [0xab; 32]);
        record.write(&folder, &ID, then).unwrap();
        let moved = parent.path().canonicalize().unwrap().join("b.gguf");
        fs::rename(&path, &moved).unwrap();
        let file = ModelFile { path: moved.clone(), ..file };
        ModelRecord::new(std::slice::from_ref(&file)).keep(&folder, &ID, then);
        let record = ModelRecord::read(&kept).unwrap();
        assert_eq!(
            (&record.files[0].path, record.files[0].sha256.as_deref()),
            (&moved, Some(&*"ab".repeat(32)))
        );
        let now = SystemTime::now();
        ModelRecord::new(&[file]).keep(&folder, &ID, now);
        assert!(fs::metadata(&kept).unwrap().modified().unwrap() >= now - Duration::from_secs(1));

        let good = fs::read(&kept).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&kept, &bad).unwrap();
            assert_eq!(ModelRecord::read(&kept), None, "{at}");
            fs::write(&kept, &good[..at]).unwrap();
            assert_eq!(ModelRecord::read(&kept), None, "{at}");
        }
    }
}
