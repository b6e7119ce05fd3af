//! Folders of the user.

use std::{env, path::PathBuf};

/// Folder for caches: `edgecall` in the user's cache directory (`XDG_CACHE_HOME`, or `~/.cache`). `None` if there is no
/// such directory.
pub fn cache_folder() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("edgecall"))
}
