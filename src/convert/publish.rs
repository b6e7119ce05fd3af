//! Renaming of several files: all of them get their names, or none does.
//!
//! No file system renames several files at once, so a rename that fails is followed by undoing those before it. A
//! target that exists changes places with its new file in one step, so it is never missing; the old file is kept
//! under the temporary name until all are done. A process that is killed in between leaves whole files, old and new.

use super::Error;
use crate::files::folder_of;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};
use tempfile::{NamedTempFile, TempPath};

/// Renames each file to its target. Existing targets are replaced if `replace`, and an error otherwise.
///
/// # Errors
/// The first rename that failed. Those before it are undone, as far as the file system can.
pub(super) fn rename_all(files: Vec<(NamedTempFile, PathBuf)>, replace: bool) -> Result<(), Error> {
    let targets: Vec<PathBuf> = files.iter().map(|(_, target)| target.clone()).collect();
    let mut done = Vec::new();
    for (temp, target) in files {
        match rename(temp, &target, replace) {
            Ok(undo) => done.push((undo, target)),
            Err(source) => {
                done.into_iter().rev().for_each(|(undo, target)| undo.run(&target));
                return Err(match source.kind() {
                    io::ErrorKind::AlreadyExists => Error::OutputExists { path: target },
                    _ => Error::Write { path: target, source },
                });
            }
        }
    }
    // What was replaced is removed here.
    drop(done);
    // The renames are durable once the folder is synced; some file systems cannot do that.
    let folders: BTreeSet<&Path> = targets.iter().map(|target| folder_of(target)).collect();
    for folder in folders {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// Way back from a rename. Dropping it removes what was replaced.
enum Undo {
    /// The target is new.
    Remove,
    /// Name of the file that was replaced.
    Restore(TempPath),
    /// The file system kept nothing.
    Nothing,
}

impl Undo {
    fn run(self, target: &Path) {
        match self {
            Undo::Remove => drop(fs::remove_file(target)),
            Undo::Restore(old) => drop(old.persist(target)),
            Undo::Nothing => {}
        }
    }
}

fn rename(temp: NamedTempFile, target: &Path, replace: bool) -> io::Result<Undo> {
    if !replace || fs::symlink_metadata(target).is_err() {
        let renamed = temp.persist_noclobber(target);
        return match renamed {
            // It appeared in the meantime.
            Err(failed) if replace && failed.error.kind() == io::ErrorKind::AlreadyExists => {
                replace_with(failed.file, target)
            }
            renamed => renamed.map(|_| Undo::Remove).map_err(|failed| failed.error),
        };
    }
    replace_with(temp, target)
}

fn replace_with(temp: NamedTempFile, target: &Path) -> io::Result<Undo> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    // A folder could be exchanged, too.
    let is_file = fs::symlink_metadata(target).is_ok_and(|metadata| metadata.is_file());
    if is_file && renameat_with(CWD, temp.path(), CWD, target, RenameFlags::EXCHANGE).is_ok() {
        return Ok(Undo::Restore(temp.into_temp_path()));
    }
    linked(temp, target)
}

/// Replaces `target` on a file system that cannot exchange two files: a second name keeps the old one.
fn linked(temp: NamedTempFile, target: &Path) -> io::Result<Undo> {
    let second = super::temporary::second_name(temp.path());
    let is_kept = fs::hard_link(target, &second).is_ok();
    let second = is_kept.then(|| TempPath::try_from_path(second)).transpose()?;
    temp.persist(target).map_err(|failed| failed.error)?;
    Ok(second.map_or(Undo::Nothing, Undo::Restore))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::temporary::create_beside;

    fn written(target: &Path, text: &str) -> (NamedTempFile, PathBuf) {
        let temp = create_beside(target).unwrap();
        fs::write(temp.path(), text).unwrap();
        (temp, target.to_path_buf())
    }

    /// Three new files, whose last target is a folder that cannot be replaced.
    fn failing(folder: &Path, replace: bool) -> Error {
        let path = |name: &str| folder.join(name);
        fs::create_dir(path("c")).unwrap();
        fs::write(path("c").join("full"), "").unwrap();
        let files = ["a", "b", "c"].map(|name| written(&path(name), "new"));
        rename_all(files.into(), replace).unwrap_err()
    }

    #[test]
    fn a_rename_that_fails_puts_back_what_was_replaced_and_removes_what_is_new() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "old").unwrap();
        assert!(matches!(failing(folder.path(), true), Error::Write { path, .. } if path.ends_with("c")));
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"old");
        assert!(!folder.path().join("b").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "a and c");
    }

    #[test]
    fn without_leave_to_replace_nothing_is_replaced_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(failing(folder.path(), false), Error::OutputExists { .. }));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "c");
    }

    #[test]
    fn all_files_get_their_names_and_no_other_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a"), "old").unwrap();
        rename_all(["a", "b"].map(|name| written(&path(name), "new")).into(), true).unwrap();
        assert_eq!(["a", "b"].map(|name| fs::read(path(name)).unwrap()), [b"new", b"new"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_system_without_exchange_keeps_the_old_file_by_a_second_name() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        fs::write(&target, "old").unwrap();
        let (temp, _) = written(&target, "new");
        let undo = linked(temp, &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        undo.run(&target);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        let (temp, _) = written(&target, "new");
        drop(linked(temp, &target).unwrap());
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
