//! The first bytes of a file that is being fetched, with their hash.
//!
//! Every piece is written as it arrives, so a killed process loses nothing of it, and the next one hashes what is there
//! and goes on behind it.

use super::{Error, RemoteFile, digest::Hasher};
use crate::files;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Bytes read at once.
const CHUNK: usize = 1 << 18;

/// The first bytes of a file. The caller holds the file's lock.
pub(super) struct Partial<'a> {
    of: &'a RemoteFile,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    bytes: u64,
    /// True if an earlier process wrote some of them.
    is_resumed: bool,
}

impl<'a> Partial<'a> {
    /// Opens or creates the file at `path`, and reads what is there.
    pub fn open(of: &'a RemoteFile, path: PathBuf) -> Result<Partial<'a>, Error> {
        let mut options = OpenOptions::new();
        let opened = files::open_unlinked_with(&path, options.read(true).append(true).create(true));
        let file = opened.map_err(|source| Error::Create { path: path.clone(), source })?;
        let hasher = of.digest.hasher(of.file_bytes);
        let mut partial = Partial { of, path, file, hasher, bytes: 0, is_resumed: false };
        let there = partial.file.metadata().map_err(|source| partial.unreadable(source))?.len();
        if there > of.file_bytes {
            partial.restart()?;
            return Ok(partial);
        }
        let mut chunk = vec![0; CHUNK];
        loop {
            match partial.file.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => {
                    partial.hasher.update(&chunk[..read]);
                    partial.bytes += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(partial.unreadable(source)),
            }
        }
        partial.is_resumed = partial.bytes > 0;
        Ok(partial)
    }

    fn unreadable(&self, source: io::Error) -> Error {
        Error::Read { path: self.path.clone(), source }
    }

    fn unwritable(&self, source: io::Error) -> Error {
        Error::Write { path: self.path.clone(), source }
    }

    /// Bytes that are there.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes that are missing.
    pub fn missing_bytes(&self) -> u64 {
        self.of.file_bytes - self.bytes
    }

    /// True if an earlier process wrote some of the bytes.
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Appends a piece, which is not longer than what is missing.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.file.write_all(piece).map_err(|source| self.unwritable(source))?;
        self.hasher.update(piece);
        self.bytes += piece.len() as u64;
        Ok(())
    }

    /// Forgets all bytes.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.file.set_len(0).map_err(|source| self.unwritable(source))?;
        self.hasher = self.of.digest.hasher(self.of.file_bytes);
        (self.bytes, self.is_resumed) = (0, false);
        Ok(())
    }

    /// Compares the hash of all bytes with that of the file, and renames the file to `blob`.
    ///
    /// # Errors
    /// [`Error::Hash`]; the bytes are removed then.
    pub fn finish(self, blob: &Path) -> Result<(), Error> {
        let found = self.hasher.finish();
        if found != self.of.digest {
            let _ = fs::remove_file(&self.path);
            return Err(Error::Hash { file: self.of.name.clone(), found, expected: self.of.digest.clone() });
        }
        // A name by its hash promises its bytes, also after a crash of the machine.
        let named = self.file.sync_all().and_then(|()| fs::rename(&self.path, blob));
        named.map_err(|source| Error::Write { path: blob.to_path_buf(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Digest;

    fn hello() -> RemoteFile {
        let digest = Digest::new("ce013625030ba8dba906f756967f9e9ca394464a").unwrap();
        RemoteFile { name: "a".into(), file_bytes: 6, digest }
    }

    #[test]
    fn what_an_earlier_process_wrote_is_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let (path, blob, file) = (folder.path().join("a.incomplete"), folder.path().join("a"), hello());
        let mut partial = Partial::open(&file, path.clone()).unwrap();
        partial.push(b"hel").unwrap();
        drop(partial);
        let mut partial = Partial::open(&file, path.clone()).unwrap();
        assert!(partial.is_resumed());
        assert_eq!((partial.bytes(), partial.missing_bytes()), (3, 3));
        partial.push(b"lo\n").unwrap();
        partial.finish(&blob).unwrap();
        assert!(!path.exists());
        assert_eq!(fs::read(blob).unwrap(), b"hello\n");
    }

    #[test]
    fn wrong_bytes_get_no_name_and_do_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (path, blob, file) = (folder.path().join("a.incomplete"), folder.path().join("a"), hello());
        fs::write(&path, "hellO\n").unwrap();
        let error = Partial::open(&file, path.clone()).unwrap().finish(&blob).unwrap_err();
        assert!(matches!(error, Error::Hash { .. }));
        assert!(!path.exists() && !blob.exists());
        // More than the file has cannot be its beginning.
        fs::write(&path, "hello\nhello").unwrap();
        assert_eq!(Partial::open(&file, path).unwrap().bytes(), 0);
    }
}
