//! The folder into which an archive is unpacked: named after its process, locked while it runs, and removed in any
//! case.
//!
//! A killed process leaves its folder behind, but not the lock. So the next one that unpacks into the same folder
//! removes every such folder that it can lock itself.

use super::Error;
use crate::files::OwnedNames;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags};
use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    io,
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tempfile::TempDir;

/// Names of these folders.
const NAMES: OwnedNames = OwnedNames { ending: ".unpacked", nameless: "bundle" };
/// Tries to create a folder that nobody sweeps before it is locked.
const TRIES: usize = 8;

/// All such folders of this process, for [`abandon`].
static FOLDERS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The folders of this process. While it is held, no file is created in them and none is abandoned.
pub(super) fn folders() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    FOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the folders into which this process unpacks, and blocks any thread that wants to create more files in them.
///
/// To be called right before the process ends without unwinding, as at the second Ctrl-C.
pub fn abandon() {
    let folders = folders();
    folders.iter().for_each(|folder| drop(fs::remove_dir_all(folder)));
    std::mem::forget(folders);
}

/// A folder that is removed when dropped.
#[derive(Debug)]
pub(super) struct Temporary {
    folder: Option<TempDir>,
    /// Holds the lock.
    _lock: Option<OwnedFd>,
}

impl Temporary {
    /// Creates a folder in `parent`, which only this user can read.
    pub(super) fn create(archive: &Path, parent: &Path) -> Result<Temporary, Error> {
        let failed = |source: io::Error| Error::Create {
            path: parent.to_path_buf(),
            // tempfile's error repeats the path.
            source: source.raw_os_error().map_or(source, io::Error::from_raw_os_error),
        };
        for _ in 0..TRIES {
            // The lock is held so that `abandon` cannot run between the folder's creation and its entry.
            let mut folders = folders();
            let folder = tempfile::Builder::new()
                .prefix(&NAMES.prefix(archive))
                .suffix(NAMES.ending)
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(parent)
                .map_err(failed)?;
            folders.insert(folder.path().to_path_buf());
            drop(folders);
            // A file system without locks has none for a sweep either.
            let lock = lock(folder.path());
            // Another process may have swept it between creation and lock.
            if folder.path().is_dir() {
                return Ok(Temporary { folder: Some(folder), _lock: lock.ok() });
            }
        }
        Err(failed(io::Error::other("the new folder is removed again and again")))
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        self.folder.as_ref().map(TempDir::path).expect("the folder is there until it is dropped")
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let Some(folder) = self.folder.take() else { return };
        let path = folder.path().to_path_buf();
        drop(folder);
        folders().remove(&path);
    }
}

/// Locks the folder at `path`, if it is no link and nobody else has locked it.
fn lock(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive)?;
    Ok(folder)
}

/// Removes the folders in `parent` that killed processes left behind. A running one holds the lock on its own.
pub(super) fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| NAMES.matches(name)) && lock(&entry.path()).is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn folders_of_killed_processes_are_swept_and_those_of_running_ones_and_of_others_stay() {
        let parent = tempfile::tempdir().unwrap();
        let running = Temporary::create(Path::new("a.tar"), parent.path()).unwrap();
        fs::write(running.path().join("weights"), "x").unwrap();
        let killed = parent.path().join(".b.tar.edgecall-1-x.unpacked");
        fs::create_dir_all(killed.join("model")).unwrap();
        fs::write(killed.join("model/config.json"), "{}").unwrap();
        // A link with such a name leads to a folder that is not ours.
        let other = parent.path().join("other");
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&other, parent.path().join(".c.edgecall-1-x.unpacked")).unwrap();
        fs::create_dir(parent.path().join("b.tar.edgecall-1-x.unpacked")).unwrap();
        fs::create_dir(parent.path().join(".b.tar.edgecall-x.unpacked")).unwrap();
        sweep(parent.path());
        assert!(!killed.exists() && running.path().join("weights").exists() && other.exists());
        assert_eq!(names(parent.path()).len(), 5);
        drop(running);
        assert_eq!(names(parent.path()).len(), 4);
    }

    #[test]
    fn the_longest_name_of_an_archive_has_a_folder_that_only_its_user_can_enter() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["a".repeat(255), "ü".repeat(127)] {
            let temporary = Temporary::create(&PathBuf::from(name), parent.path()).unwrap();
            assert!(NAMES.matches(temporary.path().file_name().unwrap().to_str().unwrap()));
            let mode = fs::metadata(temporary.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
        assert!(names(parent.path()).is_empty());
    }
}
