//! The folder of the cached files: private to the user, limited in size.

use crate::machine::limits::deadly_file_bytes;
use std::{
    collections::HashSet,
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Extension of state files.
pub(super) const STATE: &str = "state";
/// Extension of logs of answers.
pub(super) const HISTORY: &str = "answers";
/// Extension of files of decode costs.
pub(super) const COSTS: &str = "costs";
/// Extension of what was derived from chat templates.
pub(super) const DERIVATION: &str = "format";
/// Extension of notes of trials that passed.
pub(super) const TRIAL: &str = "trial";
/// Extension of model notes.
pub(super) const MODEL: &str = "model";
/// Prefix of temporary files that are still being written.
const UNFINISHED: &str = ".unfinished-";
/// Age from which a temporary file is taken for the leftover of a killed process.
const ABANDONED: Duration = Duration::from_secs(3600);
/// Upper limit for all files together.
pub(super) const MAX_BYTES: u64 = 2 << 30;

/// The folder of the cached files. Other files in it are never touched.
#[derive(Clone)]
pub(super) struct Folder {
    path: PathBuf,
}

/// A cached file.
pub(super) struct CachedFile {
    pub path: PathBuf,
    pub bytes: u64,
    pub used: SystemTime,
}

impl Folder {
    /// The folder `saved` below `parent`.
    pub fn below(parent: &Path) -> Folder {
        Folder { path: parent.join("saved") }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the file with this name and extension.
    pub fn file(&self, name: &str, ending: &str) -> PathBuf {
        self.path.join(name).with_extension(ending)
    }

    /// Checks that only this user can write here: a forged state could make a model output anything.
    ///
    /// # Errors
    /// A folder that is missing, or that another user owns or can write to.
    pub fn check(&self) -> io::Result<()> {
        let metadata = fs::symlink_metadata(&self.path)?;
        if !metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("the folder belongs to another user"));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(io::Error::other("other users may use the folder; chmod 700 it"));
        }
        Ok(())
    }

    /// True if the folder exists and passes [`Folder::check`]; a failed check is logged.
    pub fn is_trusted(&self) -> bool {
        match self.check() {
            Ok(()) => true,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(folder = %self.path.display(), %error, "what is kept is not used");
                }
                false
            }
        }
    }

    /// Creates the folder if it is missing, with access for this user alone.
    ///
    /// # Errors
    /// Errors of [`Folder::check`]; a folder that cannot be created.
    pub fn prepare(&self) -> io::Result<()> {
        if !self.path.exists() {
            if let Some(parent) = self.path.parent() {
                fs::create_dir_all(parent)?;
            }
            match DirBuilder::new().mode(0o700).create(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        self.check()
    }

    /// Writes the concatenated `parts` to `target` atomically, replacing what was there, with `used` as its
    /// time of last use.
    ///
    /// # Errors
    /// The system's error; the target is unchanged then.
    pub fn write(&self, target: &Path, parts: &[&[u8]], used: SystemTime) -> io::Result<()> {
        check_length(parts.iter().map(|part| part.len() as u64).sum())?;
        // Readable for its owner alone, and removed if it is not finished.
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.path)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        touch(file.as_file(), used);
        // Without fsync: a file truncated by a crash is detected by its length and checksum.
        file.persist(target).map_err(|error| error.error)?;
        Ok(())
    }

    /// All cached files, least recently used first.
    ///
    /// # Errors
    /// A folder that cannot be listed.
    pub fn files(&self) -> io::Result<Vec<CachedFile>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let path = entry.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            if !matches!(ending, Some(STATE | HISTORY | COSTS | DERIVATION | MODEL | TRIAL)) {
                continue;
            }
            // Another process may have removed it.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() {
                let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.push(CachedFile { path, bytes: metadata.len(), used });
            }
        }
        files.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
        Ok(files)
    }

    /// Removes the least recently used files, except those `in_use`, until `bytes` more fit. Returns true if
    /// they fit.
    ///
    /// # Errors
    /// A folder that cannot be listed.
    pub fn make_room(&self, bytes: u64, in_use: &HashSet<PathBuf>) -> io::Result<bool> {
        self.sweep();
        let files = self.files()?;
        let mut kept: u64 = files.iter().map(|file| file.bytes).sum();
        let limit = limit(free_bytes(&self.path)?, kept);
        for file in files.iter().filter(|file| !in_use.contains(&file.path)) {
            if kept.saturating_add(bytes) <= limit {
                break;
            }
            tracing::debug!(path = %file.path.display(), bytes = file.bytes, "removed what was longest unused");
            if remove(&file.path).is_ok() {
                kept -= file.bytes;
            }
        }
        Ok(kept.saturating_add(bytes) <= limit)
    }

    /// Removes temporary files left by killed processes.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) && age() > Some(ABANDONED) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Size limit for all files together, on a disk with `free` bytes left: 2 GiB, or a tenth of what would be free
/// without the `kept` bytes.
pub(super) fn limit(free: u64, kept: u64) -> u64 {
    MAX_BYTES.min(free.saturating_add(kept) / 10)
}

pub(super) fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Checks that a file may have `bytes`: beyond a limit the write would end the process, which needs no cache.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`].
pub(super) fn check_length(bytes: u64) -> io::Result<()> {
    check_length_below(Path::new("/"), bytes)
}

fn check_length_below(root: &Path, bytes: u64) -> io::Result<()> {
    match deadly_file_bytes(root).is_some_and(|most| bytes > most) {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(()),
    }
}

/// Removes a file; one that is already gone is fine.
///
/// # Errors
/// The system's error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Sets the time of last use of `file`.
pub(super) fn touch(file: &File, used: SystemTime) {
    // If this fails, the file is only evicted earlier.
    let _ = file.set_modified(used);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn folder() -> (tempfile::TempDir, Folder) {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::below(parent.path());
        folder.prepare().unwrap();
        (parent, folder)
    }

    #[test]
    fn folder_and_files_are_the_users_alone() {
        let (_parent, folder) = folder();
        let path = folder.file("a", STATE);
        folder.write(&path, &[b"one", b"two"], SystemTime::now()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"onetwo");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(folder.path()), mode(&path)), (0o700, 0o600));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o770)).unwrap();
        assert!(folder.check().is_err());
        assert!(folder.prepare().unwrap_err().to_string().contains("chmod 700"));
    }

    #[test]
    fn a_file_that_a_limit_forbids_is_an_error() {
        let root = crate::machine::fixture(&[
            ("proc/self/limits", "Max file size  512  unlimited  bytes\n"),
            ("proc/self/status", "SigIgn:\t0000000000001000\n"),
        ]);
        assert!(check_length_below(root.path(), 512).is_ok());
        assert_eq!(check_length_below(root.path(), 513).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn the_limit_is_two_gibibytes_or_a_tenth_of_a_small_disk() {
        assert_eq!(limit(1 << 40, 0), 2 << 30);
        assert_eq!(limit(1_000, 0), 100);
        assert_eq!(limit(900, 100), 100, "what is kept does not make the limit smaller");
        assert_eq!(limit(u64::MAX, u64::MAX), 2 << 30);
    }

    #[test]
    fn what_is_longest_unused_makes_room_and_other_peoples_files_stay() {
        let (_parent, folder) = folder();
        let now = SystemTime::now();
        // Sparse: they only claim to be large.
        let large = |name: &str, hours: u64| {
            let path = folder.file(name, STATE);
            let file = File::create(&path).unwrap();
            file.set_len(1 << 30).unwrap();
            touch(&file, now - Duration::from_secs(3600 * hours));
            path
        };
        let (old, older, new) = (large("old", 2), large("older", 3), large("new", 1));
        fs::write(folder.path().join("letter.txt"), "mine").unwrap();
        let abandoned = folder.path().join(".unfinished-x");
        touch(&File::create(&abandoned).unwrap(), now - 2 * ABANDONED);
        let fresh = folder.path().join(".unfinished-y");
        fs::write(&fresh, "being written").unwrap();
        let in_use = HashSet::from([older.clone()]);
        // Whatever the disk has free: three times 1 GiB are too much.
        let fits = folder.make_room(1 << 29, &in_use).unwrap();
        assert!(older.exists(), "it is in use");
        assert!(!old.exists());
        assert!(fits || !new.exists());
        assert!(folder.path().join("letter.txt").exists() && fresh.exists() && !abandoned.exists());
        assert!(!folder.make_room(3 << 30, &in_use).unwrap());
        assert!(older.exists() && !new.exists());
    }
}
