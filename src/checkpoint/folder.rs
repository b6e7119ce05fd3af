//! Checks that a folder is a checkpoint, and recognizes what is often mistaken for one.

use super::{Error, MAX_JSON_BYTES};
use crate::files;
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// Refuses what is not a checkpoint folder.
pub(super) fn check(dir: &Path) -> Result<(), Error> {
    let path = dir.to_path_buf();
    if !dir.exists() {
        return Err(missing(dir));
    }
    if dir.is_file() {
        return Err(if begins_with_gguf(dir) { Error::Gguf { path } } else { Error::NotAFolder { path } });
    }
    // An adapter folder often carries the base model's config.json, so this comes first.
    if dir.join("adapter_config.json").exists() && names(dir)?.iter().all(|name| !is_weights(name)) {
        return Err(Error::Adapter { base: adapter_base(dir), path });
    }
    if dir.join("modules.json").exists() {
        return Err(Error::Embedding { path });
    }
    if dir.join("config.json").exists() {
        return Ok(());
    }
    if let Some(snapshot) = hub_snapshot(dir) {
        return Err(Error::HubCache { path, snapshot });
    }
    let names = names(dir)?;
    if let Some(file) = names.iter().find(|name| *name == "params.json" || name.starts_with("consolidated")) {
        return Err(Error::Consolidated { path, file: file.clone() });
    }
    if let Some(gguf) = names.iter().find(|name| name.ends_with(".gguf")) {
        return Err(Error::Gguf { path: dir.join(gguf) });
    }
    Err(Error::NoConfig { path, inside: checkpoint_inside(dir, &names) })
}

/// The folder in a trainer's folder that is a checkpoint or an adapter: the last `checkpoint-STEP`, else the first of the others.
fn checkpoint_inside(dir: &Path, names: &[String]) -> Option<PathBuf> {
    let has_config = |name: &&String| {
        let inside = dir.join(name);
        inside.join("config.json").is_file() || inside.join("adapter_config.json").is_file()
    };
    let step = |name: &str| name.strip_prefix("checkpoint-")?.parse::<u64>().ok();
    let inside = names.iter().filter(has_config);
    let best = inside.max_by_key(|name| (step(name), std::cmp::Reverse(name.as_str())))?;
    Some(dir.join(best))
}

/// Refuses a folder without safetensors; the error names what it has instead.
pub(super) fn check_weights(dir: &Path) -> Result<(), Error> {
    let names = names(dir)?;
    if names.iter().any(|name| is_weights(name) || name == "model.safetensors.index.json") {
        return Ok(());
    }
    let path = dir.to_path_buf();
    let pickle = |name: &&String| {
        (name.starts_with("pytorch_model") && name.ends_with(".bin"))
            || name.ends_with(".pth")
            || name.ends_with(".pt")
    };
    if let Some(file) = names.iter().find(pickle) {
        return Err(Error::Pickle { path, file: file.clone() });
    }
    if let Some(file) = names.iter().find(|name| name.starts_with("consolidated")) {
        return Err(Error::Consolidated { path, file: file.clone() });
    }
    if let Some(gguf) = names.iter().find(|name| name.ends_with(".gguf")) {
        return Err(Error::Gguf { path: dir.join(gguf) });
    }
    Err(Error::NoWeights { path })
}

fn missing(dir: &Path) -> Error {
    let id = dir.to_string_lossy().into_owned();
    let word = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    match id.split_once('/') {
        Some((org, name)) if word(org) && word(name) => Error::HubId { id },
        _ => Error::Missing { path: dir.to_path_buf() },
    }
}

fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let unreadable = |source| Error::Read { path: dir.to_path_buf(), source };
    let mut names = std::fs::read_dir(dir)
        .map_err(unreadable)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect::<Vec<_>>();
    names.sort();
    Ok(names)
}

fn is_weights(name: &str) -> bool {
    name.starts_with("model") && name.ends_with(".safetensors")
}

fn begins_with_gguf(path: &Path) -> bool {
    let mut magic = [0; 4];
    files::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && &magic == b"GGUF"
}

fn adapter_base(dir: &Path) -> Option<String> {
    let json = files::read(&dir.join("adapter_config.json"), MAX_JSON_BYTES).ok()?;
    let config: serde_json::Value = serde_json::from_slice(&json).ok()?;
    config.get("base_model_name_or_path")?.as_str().map(str::to_owned)
}

/// The snapshot folder `snapshots/COMMIT` in `dir`, if `dir` is a `models--ORG--NAME` folder of the hub's
/// cache.
fn hub_snapshot(dir: &Path) -> Option<PathBuf> {
    let snapshots = dir.join("snapshots");
    let commits = names(&snapshots).ok()?;
    commits.into_iter().map(|commit| snapshots.join(commit)).find(|dir| dir.join("config.json").exists())
}
