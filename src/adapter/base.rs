//! The base model of an adapter: the folder that its config names, or a snapshot in the hub's cache.

use super::{Adapter, Error};
use crate::hub::{self, Cache, RepoId, Source};
use std::path::{Path, PathBuf};

/// Endings of the names of quantized models, without their 16-bit originals.
const QUANTIZED: [&str; 9] = [
    "-unsloth-bnb-4bit",
    "-bnb-4bit",
    "-bnb-8bit",
    "-4bit",
    "-8bit",
    "-gptq-int4",
    "-gptq-int8",
    "-awq",
    "-fp8",
];

/// The folder of the base that `adapter`'s config names.
///
/// It is looked for as a folder, seen from the current folder and from the adapter's, and then as a repository in the
/// hub's cache. The name of a quantized model leads to its 16-bit original.
///
/// # Errors
/// [`Error::NoBase`] and [`Error::AmbiguousBase`].
pub fn find_base(adapter: &Adapter, hub: Option<&Cache>) -> Result<PathBuf, Error> {
    let path = adapter.dir.clone();
    let Some(name) = adapter.base_name() else {
        return Err(Error::NoBase { path, name: None, looked: Vec::new(), on_hub: None });
    };
    let mut looked = Vec::new();
    if let Some(original) = original(name) {
        if let Some(dir) = find(original, None, &adapter.dir, hub, &mut looked) {
            return Ok(dir);
        }
        let snapshots = hub.map_or_else(Vec::new, |hub| called(hub, last_part(original)));
        match snapshots.as_slice() {
            [] => {}
            [(_, dir)] => return Ok(dir.clone()),
            several => {
                let found = several.iter().map(|(id, _)| id.clone()).collect();
                return Err(Error::AmbiguousBase { path, name: name.to_owned(), found });
            }
        }
    }
    find(name, adapter.config.revision.as_deref(), &adapter.dir, hub, &mut looked).ok_or_else(|| {
        let on_hub = original(name).unwrap_or(name).parse::<RepoId>().ok().map(|id| id.to_string());
        Error::NoBase { path, name: Some(name.to_owned()), looked, on_hub }
    })
}

/// A warning about an adapter that was trained on a quantized base, if its config says so, and is merged into `base`.
pub(super) fn quantized_base(adapter: &Adapter, base: &Path) -> Option<String> {
    let name = adapter.base_name()?;
    original(name)?;
    Some(format!(
        "{}: the adapter was trained on the quantized model {name}, and is merged into the 16-bit model {}: the \
         weights under it differ from those of the training by the error of the quantization",
        adapter.dir.display(),
        base.display()
    ))
}

/// A warning about a snapshot in the hub's cache that is of another model than the one that the adapter names.
pub(super) fn other_base(adapter: &Adapter, base: &Path) -> Option<String> {
    let named =
        adapter.base_name().filter(|name| name.matches('/').count() == 1 && !name.starts_with(['/', '.']))?;
    let snapshots = base.parent().filter(|parent| parent.ends_with("snapshots"))?;
    let folder = snapshots.parent()?.file_name()?.to_str()?;
    let id = folder.strip_prefix("models--")?.replacen("--", "/", 1);
    let wanted = original(named).unwrap_or(named);
    (!last_part(&id).eq_ignore_ascii_case(last_part(wanted))).then(|| {
        format!("{}: the adapter was trained on {named}, and the base is {id}", adapter.dir.display())
    })
}

/// The name of the 16-bit original of a quantized model; `None` for a name that does not end like one.
fn original(name: &str) -> Option<&str> {
    let name = name.trim_end_matches('/');
    let lower = name.to_ascii_lowercase();
    let ending = QUANTIZED.iter().find(|ending| lower.ends_with(*ending))?;
    name.get(..name.len() - ending.len()).filter(|name| !last_part(name).is_empty())
}

fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The folder or the snapshot called `name`. Adds the places that were looked at to `looked`.
fn find(
    name: &str,
    revision: Option<&str>,
    adapter: &Path,
    hub: Option<&Cache>,
    looked: &mut Vec<String>,
) -> Option<PathBuf> {
    for dir in [PathBuf::from(name), adapter.join(name)] {
        if dir.join("config.json").is_file() {
            return Some(dir);
        }
        looked.push(dir.display().to_string());
    }
    let source = match revision {
        Some(revision) => format!("{name}@{revision}").parse::<Source>(),
        None => name.parse(),
    };
    let (hub, source) = (hub?, source.ok()?);
    looked.push(format!("{name} in {}", hub.folder().display()));
    hub::checkpoint(hub, &source, false).ok()
}

/// Ids and snapshots of the checkpoints called `name`, of any owner; letters may be of another case.
fn called(hub: &Cache, name: &str) -> Vec<(String, PathBuf)> {
    let ids = hub.repositories().into_iter().filter(|id| last_part(id.as_str()).eq_ignore_ascii_case(name));
    ids.filter_map(|id| {
        let text = id.to_string();
        Some((text, hub::checkpoint(hub, &Source::new(id), false).ok()?))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantized_name_leads_to_its_original() {
        for (name, expected) in [
            ("unsloth/qwen3-1.7b-unsloth-bnb-4bit", Some("unsloth/qwen3-1.7b")),
            ("unsloth/Llama-3.2-1B-bnb-4bit", Some("unsloth/Llama-3.2-1B")),
            ("Qwen/Qwen2.5-1.5B-Instruct-AWQ", Some("Qwen/Qwen2.5-1.5B-Instruct")),
            ("Qwen/Qwen2.5-1.5B-Instruct-GPTQ-Int4", Some("Qwen/Qwen2.5-1.5B-Instruct")),
            ("Qwen/Qwen3-1.7B", None),
            ("-4bit", None),
        ] {
            assert_eq!(original(name), expected, "{name}");
        }
    }
}
