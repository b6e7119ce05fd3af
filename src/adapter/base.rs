//! The base model of an adapter: the folder that its config names, or a snapshot in the hub's cache.

use super::{Adapter, Error};
use crate::files;
use std::{
    env,
    path::{Path, PathBuf},
};

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

/// Most bytes that are read of a file that names a commit.
const MAX_REF_BYTES: u64 = 4096;

/// The hub's cache of downloaded models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubCache(PathBuf);

impl HubCache {
    /// The cache that the hub's own client uses: `HF_HUB_CACHE`, `HF_HOME/hub`, or `huggingface/hub` in the user's
    /// cache folder. `None` if there is no such folder.
    pub fn of_user() -> Option<HubCache> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        let cache = set("HF_HUB_CACHE")
            .or_else(|| Some(set("HF_HOME")?.join("hub")))
            .or_else(|| Some(home()?.join("huggingface/hub")))?;
        cache.is_dir().then_some(HubCache(cache))
    }

    /// The cache in this folder.
    pub fn new(dir: &Path) -> HubCache {
        HubCache(dir.to_path_buf())
    }

    /// The snapshot of the repository `id` at `revision`, or at its main branch.
    fn snapshot(&self, id: &str, revision: Option<&str>) -> Option<PathBuf> {
        let repository = self.0.join(format!("models--{}", id.replace('/', "--")));
        let snapshots = repository.join("snapshots");
        let revision = revision.unwrap_or("main");
        let commit = files::read(&repository.join("refs").join(revision), MAX_REF_BYTES).ok();
        let commit = commit.and_then(|commit| String::from_utf8(commit).ok());
        let commit = commit.map_or_else(|| revision.to_owned(), |commit| commit.trim().to_owned());
        let exact = snapshots.join(commit);
        if exact.join("config.json").is_file() {
            return Some(exact);
        }
        if revision != "main" {
            return None;
        }
        let mut others: Vec<PathBuf> = entries(&snapshots).map(|name| snapshots.join(name)).collect();
        others.retain(|dir| dir.join("config.json").is_file());
        others.sort();
        others.pop()
    }

    /// Ids of the repositories called `name`, of any owner; letters may be of another case.
    fn ids_called(&self, name: &str) -> Vec<String> {
        let id = |folder: String| Some(folder.strip_prefix("models--")?.replacen("--", "/", 1));
        let ids = entries(&self.0).filter_map(id);
        let mut ids: Vec<String> = ids.filter(|id| last_part(id).eq_ignore_ascii_case(name)).collect();
        ids.sort();
        ids
    }
}

/// Names in a folder; none if it cannot be read.
fn entries(dir: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

/// The folder of the base that `adapter`'s config names.
///
/// It is looked for as a folder, seen from the current folder and from the adapter's, and then as a repository in the
/// hub's cache. The name of a quantized model leads to its 16-bit original.
///
/// # Errors
/// [`Error::NoBase`] and [`Error::AmbiguousBase`].
pub fn find_base(adapter: &Adapter, hub: Option<&HubCache>) -> Result<PathBuf, Error> {
    let path = adapter.dir.clone();
    let Some(name) = adapter.base_name() else {
        return Err(Error::NoBase { path, name: None, looked: Vec::new() });
    };
    let mut looked = Vec::new();
    if let Some(original) = original(name) {
        if let Some(dir) = find(original, None, &adapter.dir, hub, &mut looked) {
            return Ok(dir);
        }
        let ids = hub.map_or_else(Vec::new, |hub| hub.ids_called(last_part(original)));
        let snapshots: Vec<(String, PathBuf)> = ids
            .into_iter()
            .filter_map(|id| Some((hub?.snapshot(&id, None)?, id)))
            .map(|(dir, id)| (id, dir))
            .collect();
        match snapshots.as_slice() {
            [] => {}
            [(_, dir)] => return Ok(dir.clone()),
            several => {
                let found = several.iter().map(|(id, _)| id.clone()).collect();
                return Err(Error::AmbiguousBase { path, name: name.to_owned(), found });
            }
        }
    }
    find(name, adapter.config.revision.as_deref(), &adapter.dir, hub, &mut looked)
        .ok_or_else(|| Error::NoBase { path, name: Some(name.to_owned()), looked })
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
    hub: Option<&HubCache>,
    looked: &mut Vec<String>,
) -> Option<PathBuf> {
    for dir in [PathBuf::from(name), adapter.join(name)] {
        if dir.join("config.json").is_file() {
            return Some(dir);
        }
        looked.push(dir.display().to_string());
    }
    let is_id = !name.starts_with(['/', '.']) && name.matches('/').count() <= 1;
    let hub = hub.filter(|_| is_id)?;
    looked.push(format!("{name} in {}", hub.0.display()));
    hub.snapshot(name, revision)
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

    #[test]
    fn a_snapshot_is_that_of_the_main_branch_or_the_revision() {
        let place = tempfile::tempdir().unwrap();
        let repository = place.path().join("models--Qwen--Qwen3-1.7B");
        for commit in ["aaa", "bbb", "ccc"] {
            let snapshot = repository.join("snapshots").join(commit);
            std::fs::create_dir_all(&snapshot).unwrap();
            std::fs::write(snapshot.join("config.json"), "{}").unwrap();
        }
        std::fs::create_dir(repository.join("refs")).unwrap();
        std::fs::write(repository.join("refs/main"), "bbb\n").unwrap();
        let hub = HubCache::new(place.path());
        let commit = |revision| {
            let snapshot = hub.snapshot("Qwen/Qwen3-1.7B", revision)?;
            Some(snapshot.file_name()?.to_str()?.to_owned())
        };
        assert_eq!(commit(None).as_deref(), Some("bbb"));
        assert_eq!(commit(Some("aaa")).as_deref(), Some("aaa"));
        assert_eq!(commit(Some("other")), None);
        std::fs::remove_file(repository.join("refs/main")).unwrap();
        assert_eq!(commit(None).as_deref(), Some("ccc"));
        assert_eq!(hub.ids_called("qwen3-1.7b"), ["Qwen/Qwen3-1.7B"]);
    }
}
