//! Identity of a model's files, without reading all of them.

use crate::{files, hash, mmap::Map};
use sha2::{Digest, Sha256};
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use xxhash_rust::xxh3::Xxh3;

/// Number of sampled blocks of a file, spread over its data evenly.
const SAMPLES: u64 = 64;
const SAMPLE_BYTES: u64 = 4096;

/// A file of a model, with its metadata at the time when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFile {
    /// Its path.
    pub path: PathBuf,
    /// Metadata that changes when another file takes its place.
    pub stat: FileStat,
    /// Start of the tensor data, in bytes from the start of the file.
    pub data_start: u64,
}

/// File metadata from the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// Its size.
    pub bytes: u64,
    /// Its inode.
    pub inode: u64,
    /// Time of last change: Unix seconds, and nanoseconds.
    pub modified: (i64, i64),
}

impl FileStat {
    /// Reads the metadata of `path`.
    ///
    /// # Errors
    /// The system's error.
    pub fn read(path: &Path) -> io::Result<FileStat> {
        let metadata = fs::metadata(path)?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Ok(FileStat { bytes: metadata.len(), inode: metadata.ino(), modified })
    }
}

impl ModelFile {
    /// SHA-256 of the whole file.
    ///
    /// # Errors
    /// A file that cannot be read, or whose metadata differ after reading.
    pub fn sha256(&self) -> io::Result<[u8; 32]> {
        let mut hash = Sha256::new();
        hash::add_all(&mut hash, files::open(&self.path)?, || true)?;
        check_unchanged(std::slice::from_ref(self))?;
        Ok(hash.finalize().into())
    }
}

/// Checks that the files are still those that were read.
///
/// # Errors
/// A file that was changed, or whose metadata cannot be read.
pub(super) fn check_unchanged(files: &[ModelFile]) -> io::Result<()> {
    let changed = |file: &&ModelFile| FileStat::read(&file.path).ok() != Some(file.stat);
    match files.iter().find(changed) {
        Some(file) => Err(io::Error::other(format!("{} is no longer what was loaded", file.path.display()))),
        None => Ok(()),
    }
}

/// Fingerprint of the files: a hash of the size, inode and time of change of each, its header with the tensor
/// table, and 64 blocks of 4 KiB.
///
/// # Errors
/// A file that cannot be read.
pub fn fingerprint(files: &[ModelFile]) -> io::Result<[u8; 32]> {
    let mut all = Sha256::new();
    for file in files {
        let FileStat { bytes, inode, modified } = file.stat;
        for number in [bytes, inode, modified.0 as u64, modified.1 as u64, file.data_start] {
            all.update(number.to_le_bytes());
        }
        all.update(content(file)?.to_le_bytes());
    }
    Ok(all.finalize().into())
}

/// XXH3-128 of header and samples. It runs at memory speed: the header of a large vocabulary takes megabytes.
fn content(file: &ModelFile) -> io::Result<u128> {
    let map = Map::open(&file.path)?;
    let data_start = usize::try_from(file.data_start).unwrap_or(usize::MAX);
    let (header, data) = map.split_at(map.len().min(data_start));
    let mut hash = Xxh3::new();
    hash.update(header);
    let step = (data.len() as u64 / SAMPLES).max(1);
    for start in (0..SAMPLES).map(|index| (index * step) as usize) {
        let start = start.min(data.len());
        hash.update(&data[start..data.len().min(start + SAMPLE_BYTES as usize)]);
    }
    Ok(hash.digest128())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &Path) -> ModelFile {
        ModelFile { path: path.to_path_buf(), stat: FileStat::read(path).unwrap(), data_start: 1_000 }
    }

    #[test]
    fn a_change_in_the_header_or_in_a_sampled_block_and_a_touch_change_the_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        let mut bytes = vec![0; 2_000_000];
        fs::write(&path, &bytes).unwrap();
        let as_read = file(&path);
        let first = fingerprint(std::slice::from_ref(&as_read)).unwrap();
        assert_eq!(fingerprint(std::slice::from_ref(&as_read)).unwrap(), first);
        for at in [0, 999, 1_000, 1_000 + 1_999_000 / 64 * 63] {
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            // The same stat: what differs is the content.
            assert_ne!(fingerprint(std::slice::from_ref(&as_read)).unwrap(), first, "byte {at}");
            bytes[at] ^= 1;
        }
        fs::write(&path, &bytes).unwrap();
        fs::File::open(&path).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert!(check_unchanged(std::slice::from_ref(&as_read)).is_err());
        assert_ne!(fingerprint(&[file(&path)]).unwrap(), first);
    }

    #[test]
    fn the_last_byte_counts_in_a_file_that_fills_no_whole_page() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        // The last sample begins at the last 64th of the data and has 4 KiB, so it reaches the end of such a file.
        let mut bytes = vec![0; 1_000 + 64 * 4_001 + 63];
        fs::write(&path, &bytes).unwrap();
        let as_read = file(&path);
        let first = fingerprint(std::slice::from_ref(&as_read)).unwrap();
        *bytes.last_mut().unwrap() = 1;
        fs::write(&path, &bytes).unwrap();
        assert_ne!(fingerprint(&[as_read]).unwrap(), first);
    }

    #[test]
    fn small_and_empty_files_have_fingerprints() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        for length in [0, 10, 1_000, 1_001, 1_040] {
            fs::write(&path, vec![1; length]).unwrap();
            assert!(fingerprint(&[file(&path)]).is_ok());
        }
    }
}
