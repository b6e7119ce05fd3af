//! Names of checkpoint folders, which become names of models and files.

use std::path::{Path, PathBuf};

/// `ORG/NAME` of a folder in the hub's cache, `models--ORG--NAME/snapshots/COMMIT`; `None` for other folders.
pub(super) fn hub_id(dir: &Path) -> Option<String> {
    let dir = resolved(dir);
    let snapshots = dir.parent().filter(|parent| parent.ends_with("snapshots"))?;
    let repository = snapshots.parent()?.file_name()?.to_str()?.strip_prefix("models--")?;
    Some(repository.replacen("--", "/", 1)).filter(|id| !id.is_empty())
}

/// The folder's own name; `None` for the root.
pub(super) fn folder_name(dir: &Path) -> Option<String> {
    resolved(dir).file_name().map(|name| name.to_string_lossy().into_owned())
}

/// Start of the file names for a conversion of `dir`, before `-TYPE.gguf`: the folder's name, or the
/// repository's name if the folder is a snapshot in the hub's cache.
///
/// `.`, `..` and a trailing slash are resolved; a symbolic link keeps its own name.
pub fn output_name(dir: &Path) -> String {
    let hub_name = hub_id(dir).map(|id| match id.rsplit_once('/') {
        Some((_, name)) => name.to_owned(),
        None => id,
    });
    hub_name.or_else(|| folder_name(dir)).unwrap_or_else(|| "model".to_owned())
}

/// Start of the file names for a model that is named after several folders, joined by `+`.
pub(super) fn joined_name(dirs: &[PathBuf]) -> String {
    dirs.iter().map(|dir| output_name(dir)).collect::<Vec<_>>().join("+")
}

/// `dir` as an absolute path without `.` and `..`, its last component as the caller wrote it.
fn resolved(dir: &Path) -> PathBuf {
    let found = match (dir.parent(), dir.file_name()) {
        (Some(parent), Some(name)) => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            parent.canonicalize().map(|parent| parent.join(name))
        }
        _ => dir.canonicalize(),
    };
    found.unwrap_or_else(|_| dir.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_named_after_the_folder_whatever_way_it_is_written() {
        let root = tempfile::tempdir().unwrap();
        let model = root.path().join("my-model");
        let inner = model.join("inner");
        std::fs::create_dir_all(&inner).unwrap();
        for path in [model.clone(), model.join("."), model.join(""), inner.join("..")] {
            assert_eq!(output_name(&path), "my-model", "{}", path.display());
        }
        assert_eq!(output_name(Path::new("/")), "model");
        assert_eq!(output_name(Path::new("nowhere/at-all/")), "at-all");
        let here = std::env::current_dir().unwrap();
        assert_eq!(output_name(Path::new(".")), here.file_name().unwrap().to_str().unwrap());
    }

    #[test]
    fn an_output_from_the_hubs_cache_is_named_after_the_repository() {
        let root = tempfile::tempdir().unwrap();
        for (repository, id, name) in [
            ("models--Qwen--Qwen3-1.7B", "Qwen/Qwen3-1.7B", "Qwen3-1.7B"),
            ("models--gpt2", "gpt2", "gpt2"),
            ("models--a--b--c", "a/b--c", "b--c"),
        ] {
            let snapshot = root.path().join(repository).join("snapshots/70d244cc");
            std::fs::create_dir_all(snapshot.join("inner")).unwrap();
            for path in [snapshot.clone(), snapshot.join("inner/..")] {
                assert_eq!(hub_id(&path).as_deref(), Some(id));
                assert_eq!(output_name(&path), name);
            }
        }
        assert_eq!(hub_id(root.path()), None);
        #[cfg(unix)]
        {
            let link = root.path().join("chosen");
            std::os::unix::fs::symlink(root.path().join("models--gpt2/snapshots/70d244cc"), &link).unwrap();
            assert_eq!(output_name(&link), "chosen");
        }
    }
}
