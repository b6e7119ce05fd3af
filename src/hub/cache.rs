//! The hub's cache, laid out as by Python's `huggingface_hub`.
//!
//! ```text
//! models--ORG--NAME/blobs/HASH                   the bytes of a file, named by their hash
//! models--ORG--NAME/blobs/HASH.incomplete        the first bytes of a file that is being fetched
//! models--ORG--NAME/snapshots/COMMIT/FILE        a link to the bytes
//! models--ORG--NAME/refs/REVISION                the commit of a branch or a tag when it was fetched last
//! .locks/models--ORG--NAME/HASH.lock             locked while the file is fetched
//! ```

use super::{
    Error, RemoteFile, RepoId,
    source::{REPOSITORY_PREFIX, is_commit},
};
use crate::files;
use rustix::{fs::FlockOperation, io::Errno};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Longest content of a file in `refs`.
const MAX_REF_BYTES: u64 = 128;

/// The cache of all repositories.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in `folder`, which need not exist.
    pub fn at(folder: PathBuf) -> Cache {
        Cache { folder }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The repositories of which something is here, in the order of their names.
    pub fn repositories(&self) -> Vec<RepoId> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names
            .filter_map(|name| Some(name.strip_prefix(REPOSITORY_PREFIX)?.replacen("--", "/", 1)))
            .collect();
        names.sort();
        names.iter().filter_map(|name| name.parse().ok()).collect()
    }

    /// The part of it for one repository.
    pub(super) fn repository(&self, id: &RepoId) -> Repository {
        let name = id.folder();
        Repository { locks: self.folder.join(".locks").join(&name), folder: self.folder.join(name) }
    }
}

/// The folder of one repository.
pub(super) struct Repository {
    folder: PathBuf,
    locks: PathBuf,
}

/// Lock on one file of a repository, held until it is dropped.
pub(super) struct Lock {
    _file: Option<File>,
}

impl Repository {
    /// The bytes of `file`.
    pub fn blob(&self, file: &RemoteFile) -> PathBuf {
        self.folder.join("blobs").join(file.digest.as_str())
    }

    /// The first bytes of `file`.
    pub fn partial(&self, file: &RemoteFile) -> PathBuf {
        self.folder.join("blobs").join(format!("{}.incomplete", file.digest.as_str()))
    }

    /// The files of a commit.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Commit of `revision`, as it was fetched last.
    pub fn commit(&self, revision: &str) -> Result<Option<String>, Error> {
        if is_commit(revision) {
            return Ok(Some(revision.to_owned()));
        }
        let path = self.folder.join("refs").join(revision);
        let read = files::if_present(files::read(&path, MAX_REF_BYTES)).or_else(|error| match error.kind() {
            // The revision `a` where there is another one, `a/b`.
            io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        });
        let bytes = read.map_err(|source| Error::Read { path, source })?;
        let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        Ok(text.filter(|text| is_commit(text)))
    }

    /// Revisions whose commits are here, by name; commits without a name by their hash.
    pub fn revisions(&self) -> Vec<String> {
        let mut named = Vec::new();
        let refs = self.folder.join("refs");
        let mut folders = vec![refs.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let name = path.strip_prefix(&refs).ok().and_then(Path::to_str).map(str::to_owned);
                match path.is_dir() {
                    true => folders.push(path),
                    false => named.extend(name),
                }
            }
        }
        let snapshots = fs::read_dir(self.folder.join("snapshots")).into_iter().flatten().flatten();
        let mut revisions: Vec<String> = snapshots
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|commit| is_commit(commit))
            .map(|commit| {
                let is_named = |name: &&String| self.commit(name).ok().flatten().as_ref() == Some(&commit);
                named.iter().find(is_named).cloned().unwrap_or(commit)
            })
            .collect();
        revisions.sort();
        revisions
    }

    /// True if `file` is here: its bytes, or the file itself where the file system has no links.
    pub fn has(&self, file: &RemoteFile, commit: &str) -> bool {
        let is_whole = |path: &Path| {
            fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == file.file_bytes)
        };
        is_whole(&self.blob(file))
            || is_whole(&self.snapshot(commit).join(&file.name)) && !self.is_link(file, commit)
    }

    fn is_link(&self, file: &RemoteFile, commit: &str) -> bool {
        let path = self.snapshot(commit).join(&file.name);
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
    }

    /// Creates the folders of the bytes and the locks.
    pub fn prepare(&self) -> Result<(), Error> {
        [self.folder.join("blobs"), self.locks.clone()].iter().try_for_each(|folder| create_folder(folder))
    }

    /// Locks `file` against other downloads, by this program or by Python's. Calls `waits` if it has to wait.
    pub fn lock(&self, file: &RemoteFile, waits: impl FnOnce()) -> Result<Lock, Error> {
        let path = self.locks.join(format!("{}.lock", file.digest.as_str()));
        let mut waits = Some(waits);
        loop {
            let mut options = OpenOptions::new();
            let opened = files::open_unlinked_with(&path, options.read(true).write(true).create(true));
            let lock = opened.map_err(|source| Error::Create { path: path.clone(), source })?;
            let mut locked = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
            if locked == Err(Errno::WOULDBLOCK) {
                if let Some(waits) = waits.take() {
                    waits();
                }
                locked = rustix::fs::flock(&lock, FlockOperation::LockExclusive);
            }
            match locked {
                Err(Errno::INTR) => {}
                // A file system without locks: two downloads may disturb each other, which their hashes show.
                Err(_) => return Ok(Lock { _file: None }),
                // Its last owner may have removed the file, and another process may have made a new one.
                Ok(()) if lock.metadata().is_ok_and(|metadata| metadata.nlink() > 0) => {
                    return Ok(Lock { _file: Some(lock) });
                }
                Ok(()) => {}
            }
        }
    }

    /// Gives `file` its name in the snapshot of `commit`.
    pub fn link(&self, file: &RemoteFile, commit: &str) -> Result<(), Error> {
        let path = self.snapshot(commit).join(&file.name);
        let folder = files::folder_of(&path);
        create_folder(folder)?;
        let ups = "../".repeat(2 + file.name.matches('/').count());
        let target = PathBuf::from(format!("{ups}blobs/{}", file.digest.as_str()));
        if fs::read_link(&path).is_ok_and(|there| there == target) {
            return Ok(());
        }
        let blob = self.blob(file);
        if !blob.exists() {
            // The file itself is there, since the file system has no links.
            return Ok(());
        }
        let failed = |source| Error::Write { path: path.clone(), source };
        // A link gets its name by a rename, so that whoever looks finds the old one or the new one.
        let temporary = tempfile::Builder::new()
            .prefix(".edgecall-")
            .make_in(folder, |path| std::os::unix::fs::symlink(&target, path));
        match temporary {
            Ok(link) => link.into_temp_path().persist(&path).map_err(|error| failed(error.error)),
            Err(_) => fs::rename(&blob, &path).map_err(failed),
        }
    }

    /// Notes that `revision` is `commit` now.
    pub fn set_commit(&self, revision: &str, commit: &str) -> Result<(), Error> {
        if revision == commit || self.commit(revision)?.as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        let folder = files::folder_of(&path);
        create_folder(folder)?;
        let write = || {
            let mut file = tempfile::Builder::new()
                .prefix(".edgecall-")
                .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
                .tempfile_in(folder)?;
            file.write_all(commit.as_bytes())?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|source| Error::Write { path: path.clone(), source })
    }
}

fn create_folder(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|source| Error::Create { path: folder.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Digest;

    const COMMIT: &str = "70d244cc86ccca08cf5af4e1e306ecf908b1ad5e";

    fn repository(folder: &Path) -> Repository {
        Cache::at(folder.to_path_buf()).repository(&"a/b".parse().unwrap())
    }

    fn file(name: &str) -> RemoteFile {
        let digest = Digest::new("ce013625030ba8dba906f756967f9e9ca394464a").unwrap();
        RemoteFile { name: name.to_owned(), file_bytes: 6, digest }
    }

    #[test]
    fn a_file_is_a_link_to_its_bytes_also_in_a_folder_of_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        repository.prepare().unwrap();
        for name in ["a", "b/c/d"] {
            let file = file(name);
            fs::write(repository.blob(&file), "hello\n").unwrap();
            assert!(repository.has(&file, COMMIT));
            repository.link(&file, COMMIT).unwrap();
            repository.link(&file, COMMIT).unwrap();
            let path = folder.path().join("models--a--b/snapshots").join(COMMIT).join(name);
            assert!(fs::read_link(&path).unwrap().starts_with(".."));
            assert_eq!(fs::read(&path).unwrap(), b"hello\n");
        }
        // What links to something else is replaced.
        let path = repository.snapshot(COMMIT).join("a");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "else").unwrap();
        repository.link(&file("a"), COMMIT).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"hello\n");
        let left = fs::read_dir(repository.snapshot(COMMIT)).unwrap().count();
        assert_eq!(left, 2, "a and b");
    }

    #[test]
    fn a_revision_is_the_commit_that_was_noted_last_and_nothing_else_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        assert_eq!(repository.commit("main").unwrap(), None);
        assert_eq!(repository.commit(COMMIT).unwrap().as_deref(), Some(COMMIT));
        for revision in ["main", "refs/pr/1"] {
            repository.set_commit(revision, COMMIT).unwrap();
            assert_eq!(repository.commit(revision).unwrap().as_deref(), Some(COMMIT));
        }
        fs::write(folder.path().join("models--a--b/refs/main"), "../../..").unwrap();
        assert_eq!(repository.commit("main").unwrap(), None);
        assert_eq!(repository.commit("refs").unwrap(), None);
        fs::create_dir_all(repository.snapshot(COMMIT)).unwrap();
        assert_eq!(repository.revisions(), ["refs/pr/1"]);
    }

    #[test]
    fn a_file_is_locked_against_others_and_a_lock_that_was_removed_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        repository.prepare().unwrap();
        let lock = repository.lock(&file("a"), || panic!("nobody else has it")).unwrap();
        let path = folder.path().join(".locks/models--a--b/ce013625030ba8dba906f756967f9e9ca394464a.lock");
        let other = files::open(&path).unwrap();
        assert_eq!(
            rustix::fs::flock(&other, FlockOperation::NonBlockingLockExclusive),
            Err(Errno::WOULDBLOCK)
        );
        drop(lock);
        fs::remove_file(&path).unwrap();
        let _held = repository.lock(&file("a"), || panic!("nobody else has it")).unwrap();
        assert!(path.exists());
    }
}
