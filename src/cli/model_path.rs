//! Paths of models that may be named as on the Hugging Face hub: what exists is a path, else the hub's cache is asked.

use edgecall::hub::{self, KNOWN_PREFIX, Settings, Source};
use std::path::{Path, PathBuf};

/// Path of a GGUF file, given as a path or as `ORG/NAME:FILE.gguf`.
///
/// # Errors
/// A name of the hub that is not in the cache, with the command that fetches it.
#[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "there are no calls"))]
pub fn gguf(path: &Path) -> Result<PathBuf, hub::Error> {
    found(path, |settings, source| match source.file.is_some() || is_named(path) {
        true => hub::gguf(&settings.cache, source, false),
        // Most that have the form of ORG/NAME are paths that are misspelt.
        false if path.extension().is_some_and(|ending| ending == "gguf") => Ok(path.to_path_buf()),
        false => hub::gguf(&settings.cache, source, false),
    })
}

/// Path of a checkpoint's folder, given as a path or as `ORG/NAME`.
///
/// # Errors
/// Those of [`gguf`].
pub fn checkpoint(path: &Path) -> Result<PathBuf, hub::Error> {
    found(path, |settings, source| match source.file {
        Some(_) => hub::gguf(&settings.cache, source, false),
        None => hub::checkpoint(&settings.cache, source, false),
    })
}

/// Path of a checkpoint's folder or a GGUF file.
///
/// # Errors
/// Those of [`gguf`].
pub fn either(path: &Path) -> Result<PathBuf, hub::Error> {
    match path.extension().is_some_and(|ending| ending == "gguf") {
        true => gguf(path),
        false => checkpoint(path),
    }
}

fn found(
    path: &Path,
    find: impl FnOnce(&Settings, &Source) -> Result<PathBuf, hub::Error>,
) -> Result<PathBuf, hub::Error> {
    let Some(text) = path.to_str().filter(|_| path.symlink_metadata().is_err()) else {
        return Ok(path.to_path_buf());
    };
    let source = match text.parse::<Source>() {
        Ok(source) => source,
        Err(error) if is_named(path) => return Err(error),
        // A path; whoever opens it says what is wrong with it.
        Err(_) => return Ok(path.to_path_buf()),
    };
    match Settings::from_env() {
        Ok(settings) => find(&settings, &source),
        Err(_) => Ok(path.to_path_buf()),
    }
}

fn is_named(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.starts_with(KNOWN_PREFIX))
}
