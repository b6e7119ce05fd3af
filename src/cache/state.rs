//! Diagnosis of the folder: usable or not, its contents and its limits.

use super::{
    Cache,
    folder::{free_bytes, limit},
};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Condition of the folder.
#[derive(Clone, Debug, Serialize)]
pub struct FolderState {
    /// The folder.
    pub path: PathBuf,
    /// True if it exists; otherwise the first call creates it.
    pub exists: bool,
    /// The reason why its files are not used or none can be saved; `None` if all is well.
    pub problem: Option<String>,
    /// Number of cached files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Size limit of all files together; `None` if the disk's free space is unknown.
    pub limit_bytes: Option<u64>,
    /// Free bytes on the disk; `None` if unknown.
    pub free_bytes: Option<u64>,
}

impl Cache {
    /// Inspects the folder without changing anything.
    pub fn folder_state(&self) -> FolderState {
        let path = self.path();
        let exists = path.exists();
        // The nearest existing directory, for a folder that the first call will create.
        let there = path.ancestors().map(or_current).find(|folder| folder.exists());
        let is_writable = |folder| rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok();
        let problem = match there {
            _ if exists && self.folder.check().is_err() => {
                self.folder.check().err().map(|error| error.to_string())
            }
            Some(folder) if !folder.is_dir() => Some(format!("{} is no folder", folder.display())),
            Some(folder) if is_writable(folder) => None,
            Some(folder) => Some(format!("{} cannot be written to", folder.display())),
            None => Some("no folder above it is there".to_owned()),
        };
        let files = self.folder.files().unwrap_or_default();
        let bytes = files.iter().map(|file| file.bytes).sum();
        let free_bytes = there.and_then(|folder| free_bytes(folder).ok());
        FolderState {
            path: path.to_path_buf(),
            exists,
            problem,
            files: files.len(),
            bytes,
            limit_bytes: free_bytes.map(|free| limit(free, bytes)),
            free_bytes,
        }
    }
}

/// `folder`, with the current one for the empty path in which the ancestors of a relative one end.
fn or_current(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn a_folder_that_others_may_use_or_that_is_no_folder_is_a_problem_and_a_missing_one_is_none() {
        let parent = tempfile::tempdir().unwrap();
        let cache = Cache::new(parent.path());
        let state = cache.folder_state();
        assert_eq!((state.exists, state.problem, state.files), (false, None, 0));
        assert!(state.limit_bytes.unwrap() <= 2 << 30 && !cache.path().exists());

        fs::create_dir(cache.path()).unwrap();
        fs::set_permissions(cache.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let problem = cache.folder_state().problem.unwrap();
        assert!(problem.contains("chmod 700"), "{problem}");
        fs::set_permissions(cache.path(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(cache.path().join("a.state"), "four").unwrap();
        let state = cache.folder_state();
        assert_eq!((state.exists, state.problem, state.files, state.bytes), (true, None, 1, 4));

        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(Cache::new(&file).folder_state().problem.unwrap().contains("is no folder"));
    }

    #[test]
    fn a_relative_folder_that_is_not_there_yet_is_no_problem() {
        for path in ["folder-that-is-not-there", "folder-that-is-not-there/below"] {
            let state = Cache::new(Path::new(path)).folder_state();
            assert_eq!((state.exists, state.problem), (false, None), "{path}");
            assert!(state.limit_bytes.is_some(), "{path}");
        }
    }
}
