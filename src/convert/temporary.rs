//! Temporary files beside their targets: named after their process, locked while it runs, and removed in any case.
//!
//! A killed process leaves its files behind, but not its locks. So the next conversion into the same folder removes
//! every such file that it can lock itself.

use super::Error;
use crate::files::{OwnedNames, folder_of, open_unlinked};
use rustix::fs::FlockOperation;
use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tempfile::NamedTempFile;

/// Names of temporary files.
const NAMES: OwnedNames = OwnedNames { ending: ".part", nameless: "edgecall" };
/// Tries to create a file that nobody sweeps before it is locked.
const TRIES: usize = 8;

/// Paths of all temporary files in this process, for [`abandon`].
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The paths of this process's temporary files. While it is held, no file is created, renamed or abandoned.
pub(super) fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the temporary files of all conversions in this process, and blocks any that want to create or rename
/// more.
///
/// To be called right before the process ends without unwinding, as at the second Ctrl-C. The conversions must
/// not be joined afterwards. A conversion that is renaming its files finishes that first.
pub fn abandon() {
    let unfinished = unfinished();
    for path in unfinished.iter() {
        // A folder that was created for the files is removed in the second loop, unless something else is in
        // it.
        let _ = fs::remove_file(path);
    }
    for path in unfinished.iter().rev() {
        let _ = fs::remove_dir(path);
    }
    // Threads that want to create or rename a file now wait until the process ends.
    std::mem::forget(unfinished);
}

/// Creates a temporary file beside `target`, and holds a lock on it as long as it is open.
pub(super) fn create_beside(target: &Path) -> Result<NamedTempFile, Error> {
    let folder = folder_of(target);
    let failed = |source: io::Error| Error::Create {
        path: folder.to_path_buf(),
        // tempfile's error repeats the path.
        source: source.raw_os_error().map_or(source, io::Error::from_raw_os_error),
    };
    for _ in 0..TRIES {
        let temp = tempfile::Builder::new()
            .prefix(&NAMES.prefix(target))
            .suffix(NAMES.ending)
            // The umask applies; a temporary file's 0600 would stay with the model.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(failed)?;
        // A file system without locks has none for a sweep either.
        let _ = rustix::fs::flock(temp.as_file(), FlockOperation::NonBlockingLockExclusive);
        // Another conversion may have swept it between creation and lock.
        if temp.as_file().metadata().is_ok_and(|metadata| metadata.nlink() > 0) {
            return Ok(temp);
        }
    }
    Err(failed(io::Error::other("the new file is removed again and again")))
}

/// A second name beside the temporary file at `path`, which is swept like that one.
pub(super) fn second_name(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!("{}-old{}", name.trim_end_matches(NAMES.ending), NAMES.ending))
}

/// Removes the temporary files in `folder` that killed processes left behind. A running conversion holds locks on its
/// own.
pub(super) fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().to_str().is_some_and(|name| NAMES.matches(name)) {
            continue;
        }
        let path = entry.path();
        let Ok(file) = open_unlinked(&path) else { continue };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_file(path);
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
    fn files_of_killed_conversions_are_swept_and_those_of_running_ones_and_of_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let running = create_beside(&folder.path().join("a.gguf")).unwrap();
        let (killed, path) = create_beside(&folder.path().join("b.gguf")).unwrap().keep().unwrap();
        // The lock of a process ends with it.
        drop(killed);
        let others =
            [".b.gguf.part", ".x.edgecall-.part", "b.gguf.edgecall-1-x.part", ".b.edgecall-1-x.part.txt"];
        others.iter().for_each(|name| fs::write(folder.path().join(name), "mine").unwrap());
        sweep(folder.path());
        assert!(!path.exists() && running.path().exists());
        assert_eq!(names(folder.path()).len(), others.len() + 1);
        drop(running);
        assert_eq!(names(folder.path()).len(), others.len());
    }

    #[test]
    fn a_hundred_killed_conversions_leave_nothing_after_the_next_sweep() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..100 {
            drop(create_beside(&folder.path().join("a.gguf")).unwrap().keep().unwrap());
        }
        assert_eq!(names(folder.path()).len(), 100);
        sweep(folder.path());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn the_longest_name_of_a_target_has_a_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a".repeat(255), "ü".repeat(127)] {
            let temp = create_beside(&folder.path().join(&name)).unwrap();
            assert!(NAMES.matches(temp.path().file_name().unwrap().to_str().unwrap()));
            temp.persist(folder.path().join(&name)).unwrap();
        }
    }
}
