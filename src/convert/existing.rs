//! Existing files compared with what a conversion would write: their manifests name what they were made of.

use super::{
    Error, Plan, Targets, manifest,
    output::manifest_path,
    plan::FilePlan,
    source_hash::{self, SourceHash, SourceHasher},
};
use crate::{
    checkpoint::Checkpoint,
    display::few,
    files,
    hash::{add_all, hex},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{fs, path::Path, sync::atomic::AtomicBool};

/// State of one of a conversion's targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Existing {
    /// No such file.
    Missing,
    /// The file that the conversion would write.
    Fits,
    /// The file of another conversion: another checkpoint, recipe or version.
    Other {
        /// Difference between the two.
        problem: String,
    },
    /// A file that no manifest describes, so that nothing tells what it was made of.
    Unknown {
        /// The part that is missing.
        problem: String,
    },
}

/// Compares each target with its manifest, and the manifest with `checkpoint` and `plan`, by SHA-256.
///
/// The checkpoint is read once if there is any file to compare, and so is each file whose manifest fits.
///
/// # Errors
/// A checkpoint or a file that cannot be read.
pub fn existing(checkpoint: &Checkpoint, plan: &Plan, targets: &Targets) -> Result<Vec<Existing>, Error> {
    let never = AtomicBool::new(false);
    let mut sources: Option<(Vec<SourceHash>, Option<manifest::Merged>)> = None;
    let mut states = Vec::new();
    for (file, path) in plan.files.iter().zip(targets.paths()) {
        let recorded = match recorded(path)? {
            Ok(recorded) => recorded,
            Err(state) => {
                states.push(state);
                continue;
            }
        };
        let sources = match &sources {
            Some(sources) => sources,
            None => sources.insert((hashes(checkpoint)?, manifest::Merged::into(checkpoint, &never)?)),
        };
        states.push(match same_sources(&recorded, &sources.0, sources.1.as_ref()) {
            Err(problem) => Existing::Other { problem },
            Ok(()) => compare(plan, file, path, &recorded)?,
        });
    }
    Ok(states)
}

/// The manifest of the file at `path`, or the state of a file without one.
fn recorded(path: &Path) -> Result<Result<manifest::Conversion, Existing>, Error> {
    let unreadable = |path: &Path| {
        let path = path.to_path_buf();
        move |source| Error::Read { path, source }
    };
    let Some(metadata) = files::if_present(fs::metadata(path)).map_err(unreadable(path))? else {
        return Ok(Err(Existing::Missing));
    };
    if !metadata.is_file() {
        return Err(Error::OutputIrregular { path: path.to_path_buf() });
    }
    let beside = manifest_path(path);
    let unknown = |what: &str| Existing::Unknown {
        problem: format!("cannot be compared with the checkpoint, as {} {what}", beside.display()),
    };
    match manifest::Conversion::read(&beside) {
        Ok(Some(recorded)) => Ok(Ok(recorded)),
        Ok(None) => Ok(Err(unknown("is missing"))),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(unreadable(&beside)(error)),
        Err(_) => Ok(Err(unknown("is no manifest"))),
    }
}

/// Compares what a file was made of with what a conversion would read; the error is the difference.
fn same_sources(
    recorded: &manifest::Conversion,
    sources: &[SourceHash],
    merged: Option<&manifest::Merged>,
) -> Result<(), String> {
    let differing = differing(&recorded.source, sources);
    if !differing.is_empty() {
        let differ = if differing.len() == 1 { "differs" } else { "differ" };
        return Err(format!("is of another checkpoint: {} {differ}", few(&differing)));
    }
    match (&recorded.merged, merged) {
        (recorded, ours) if recorded.as_ref() == ours => Ok(()),
        (None, _) => Err("was converted without an adapter".into()),
        (_, None) => Err("was converted with an adapter".into()),
        _ => Err("was converted with another adapter".into()),
    }
}

fn compare(
    plan: &Plan,
    file: &FilePlan,
    path: &Path,
    recorded: &manifest::Conversion,
) -> Result<Existing, Error> {
    let other = |problem: String| Ok(Existing::Other { problem });
    let ours = serde_json::to_value(manifest::Recipe::new(plan, file)).unwrap_or(Value::Null);
    if recorded.recipe != ours {
        return other("was converted by another recipe".into());
    }
    if recorded.edgecall != env!("CARGO_PKG_VERSION") {
        return other(format!("was converted by version {}", recorded.edgecall));
    }
    let unreadable = |source| Error::Read { path: path.to_path_buf(), source };
    let opened = files::open(path).map_err(unreadable)?;
    let mut hash = Sha256::new();
    if opened.metadata().map_err(unreadable)?.len() != recorded.file.file_bytes
        || !add_all(&mut hash, opened, || true).map_err(unreadable)?
        || hex(&hash.finalize()) != recorded.file.sha256
    {
        return Ok(Existing::Unknown { problem: "is not the file that its manifest describes".into() });
    }
    Ok(Existing::Fits)
}

/// Names of files that only one side has, or that differ.
fn differing(recorded: &[SourceHash], ours: &[SourceHash]) -> Vec<String> {
    let only = |a: &[SourceHash], b: &[SourceHash]| -> Vec<String> {
        a.iter().filter(|file| !b.contains(file)).map(|file| file.name.clone()).collect()
    };
    let mut names = only(recorded, ours);
    names.extend(only(ours, recorded));
    names.sort();
    names.dedup();
    names
}

/// Hashes of the checkpoint's files, as a conversion would record them.
fn hashes(checkpoint: &Checkpoint) -> Result<Vec<SourceHash>, Error> {
    let mut sources = source_hash::small_files(&checkpoint.dir)?;
    sources.extend(SourceHasher::new(&checkpoint.shards).finish(&AtomicBool::new(false))?);
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(name: &str, sha256: &str) -> SourceHash {
        SourceHash { name: name.into(), file_bytes: 1, sha256: sha256.into() }
    }

    #[test]
    fn files_that_changed_or_came_or_went_are_named_once() {
        let old = [hash("config.json", "a"), hash("model.safetensors", "b"), hash("merges.txt", "c")];
        let new = [hash("model.safetensors", "d"), hash("README.md", "e"), hash("config.json", "a")];
        assert_eq!(differing(&old, &new), ["README.md", "merges.txt", "model.safetensors"]);
        assert_eq!(differing(&old, &[old[2].clone(), old[0].clone(), old[1].clone()]), [""; 0]);
    }
}
