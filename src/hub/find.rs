//! Models in the cache, fetched by this program or by Python's.

use super::{
    Cache, Error, Source,
    select::{self, INDEX, WHOLE},
    source::{is_gguf, parts},
};
use crate::files;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Longest index of shards that is read.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// Folder of the checkpoint in the cache. `offline` tells that it cannot be fetched now.
///
/// # Errors
/// [`Error::NotCached`]; [`Error::Incomplete`] if files that a conversion reads are missing; [`Error::NameAFile`] if the
/// repository has GGUF files instead.
pub fn checkpoint(cache: &Cache, source: &Source, offline: bool) -> Result<PathBuf, Error> {
    let folder = found(cache, source, offline)?;
    let missing = missing(&folder);
    if missing.is_empty() {
        return Ok(folder);
    }
    let names = ggufs(&folder);
    if !names.is_empty() {
        let names = names.iter().map(|name| source.with_file(name).to_string()).collect();
        return Err(Error::NameAFile { name: source.to_string(), names });
    }
    Err(Error::Incomplete { name: source.to_string(), missing, offline })
}

/// Path of the GGUF file in the cache; of a split model the first part.
///
/// # Errors
/// [`Error::NotCached`]; [`Error::Incomplete`] if the file or parts of it are missing; [`Error::NameAFile`] if the source
/// names no file and the repository has some, and [`Error::IsCheckpoint`] if it has none.
pub fn gguf(cache: &Cache, source: &Source, offline: bool) -> Result<PathBuf, Error> {
    let folder = found(cache, source, offline)?;
    let Some(file) = &source.file else {
        let names: Vec<String> =
            ggufs(&folder).iter().map(|name| source.with_file(name).to_string()).collect();
        return Err(match names.is_empty() {
            true => Error::IsCheckpoint { name: source.to_string() },
            false => Error::NameAFile { name: source.to_string(), names },
        });
    };
    let parts = parts(file);
    let missing: Vec<String> = parts.iter().filter(|part| !folder.join(part).exists()).cloned().collect();
    match missing.is_empty() {
        true => Ok(folder.join(&parts[0])),
        false => Err(Error::Incomplete { name: source.to_string(), missing, offline }),
    }
}

/// Path of `source` in the cache, without the network: the folder of the snapshot, or the GGUF file.
///
/// # Errors
/// A model that is not there, or not whole.
pub fn offline(cache: &Cache, source: &Source) -> Result<PathBuf, Error> {
    match source.file {
        Some(_) => gguf(cache, source, true),
        None => checkpoint(cache, source, true),
    }
}

/// Folder of the snapshot, if it exists.
fn snapshot(cache: &Cache, source: &Source) -> Result<Option<PathBuf>, Error> {
    let repository = cache.repository(&source.id);
    let commit = repository.commit(&source.revision)?;
    Ok(commit.map(|commit| repository.snapshot(&commit)).filter(|folder| folder.is_dir()))
}

fn found(cache: &Cache, source: &Source, offline: bool) -> Result<PathBuf, Error> {
    snapshot(cache, source)?.ok_or_else(|| Error::NotCached {
        name: source.to_string(),
        cache: cache.folder().to_path_buf(),
        others: cache.repository(&source.id).revisions(),
        offline,
    })
}

/// Files without which `folder` is no checkpoint. What has no weights but those that no conversion reads is left to the
/// conversion, which says so.
fn missing(folder: &Path) -> Vec<String> {
    let names = names(folder);
    let has = |name: &str| names.iter().any(|other| other == name);
    let is_there = |name: &String| folder.join(name).exists();
    if has("adapter_config.json") && !names.iter().any(|name| select::is_weights(name)) {
        let weights = vec![select::ADAPTER.to_owned()];
        return weights.into_iter().filter(|name| !is_there(name)).collect();
    }
    if !has("config.json") {
        return vec!["config.json".to_owned()];
    }
    if !has(WHOLE) && has(INDEX) {
        let index = files::read(&folder.join(INDEX), MAX_INDEX_BYTES).ok();
        let shards = index.and_then(|json| select::shards(&json).ok()).unwrap_or_default();
        return shards.into_iter().filter(|name| !is_there(name)).collect();
    }
    let is_any = |name: &String| select::is_weights(name) || select::is_other_weights(name);
    match names.iter().any(is_any) {
        true => Vec::new(),
        false => vec![WHOLE.to_owned()],
    }
}

/// Names of the files in `folder`; links without a target are left out.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// GGUF files in `folder` and its folders, whole ones and first parts.
fn ggufs(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let name = path.strip_prefix(folder).ok().and_then(Path::to_str).unwrap_or_default().to_owned();
            if is_folder {
                folders.push(path);
            } else if is_gguf(&name) && parts(&name)[0] == name {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}
