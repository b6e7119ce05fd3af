//! The parts of a bundle's folder: the model, and the files that tell how it is called.

use super::{Error, entry_path::is_clutter, modelfile};
use crate::files;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Most folders above the model.
const MAX_DEPTH: usize = 3;
/// Most bytes of a Modelfile.
const MAX_MODELFILE_BYTES: u64 = 4 << 20;
/// Most entries of a folder that are looked at.
const MAX_LISTED: usize = 10_000;
/// Names of the folder with the merged model, best first.
const MODEL_FOLDERS: &[&str] =
    &["model", "model/model", "merged", "model-merged", "merged-model", "merged_model"];

/// The client that the vendor writes for a model.
pub(super) const CLIENT: &str = "model_client.py";
/// Ollama's file.
pub(super) const MODELFILE: &str = "Modelfile";
/// The task and the tools that a model was trained on.
pub(super) const JOB: &str = "job_description.json";
/// Settings of the training.
pub(super) const CONFIG: &[&str] = &["config.yaml", "config.yml"];

/// The parts of a bundle's folder.
#[derive(Debug)]
pub(super) struct Layout {
    /// The folder that holds all of it.
    pub(super) root: PathBuf,
    /// The folder with the model.
    pub(super) model: Model,
    /// Adapters that lie beside a merged model, relative to `root`.
    pub(super) unused_adapters: Vec<String>,
    /// The Modelfile's `FROM`, if it leads out of the bundle and was not followed.
    pub(super) from_outside: Option<String>,
}

/// The model of a bundle.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Model {
    /// A checkpoint folder.
    Checkpoint(PathBuf),
    /// The folder of an adapter; there is no merged model.
    Adapter(PathBuf),
}

/// The model that a Modelfile takes with `FROM`.
#[derive(Debug, PartialEq, Eq)]
enum From {
    /// A checkpoint in the bundle, relative to its root.
    Checkpoint(String),
    /// A GGUF file in the bundle, relative to its root.
    Gguf(String),
    /// A path out of the bundle.
    Outside(String),
}

/// A folder that holds a model of some kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Checkpoint,
    Adapter,
    Gguf,
}

/// The parts of what was unpacked into `folder` from `archive`.
///
/// # Errors
/// No model, or several.
pub(super) fn of_archive(folder: &Path, archive: &Path) -> Result<Layout, Error> {
    let root = behind_single_folders(folder);
    layout(root, archive)
}

/// The parts of a bundle's folder at `path`; `None` for a folder that is none, such as a plain checkpoint.
///
/// # Errors
/// A bundle without a model, or with several.
pub(super) fn of_folder(path: &Path) -> Result<Option<Layout>, Error> {
    let root = behind_single_folders(path);
    let own = content(&root);
    // Some trainers write a Modelfile into every checkpoint, and an adapter's own folder is given for the adapter.
    let telling: &[&str] = match own {
        Some(Content::Adapter) => &[],
        Some(Content::Checkpoint) => &[CLIENT, JOB],
        Some(Content::Gguf) | None => &[CLIENT, MODELFILE, JOB],
    };
    let has_settings = telling.iter().any(|name| root.join(name).is_file());
    let has_model = MODEL_FOLDERS.iter().any(|name| content(&root.join(name)) == Some(Content::Checkpoint));
    if !has_model && !has_settings {
        return Ok(None);
    }
    layout(root, path).map(Some)
}

fn layout(root: PathBuf, path: &Path) -> Result<Layout, Error> {
    let mut found = Vec::new();
    collect(&root, Path::new(""), 0, &mut found);
    let of = |kind| found.iter().filter(move |(_, content)| *content == kind).map(|(name, _)| name.clone());
    let checkpoints: Vec<String> = of(Content::Checkpoint).collect();
    let adapters: Vec<String> = of(Content::Adapter).collect();
    let path = path.to_path_buf();
    let (from, gguf, from_outside) = match from(&root) {
        Some(From::Checkpoint(folder)) => (Some(folder), None, None),
        Some(From::Gguf(file)) => (None, Some(file), None),
        Some(From::Outside(from)) => (None, None, Some(from)),
        None => (None, None, None),
    };
    let is_found = |name: &&&str| checkpoints.iter().any(|found| found == **name);
    let named = from.or_else(|| MODEL_FOLDERS.iter().find(is_found).map(|name| (*name).to_owned()));
    let model = match (named, checkpoints.as_slice()) {
        (Some(name), _) => Model::Checkpoint(joined(&root, &name)),
        (None, [only]) => Model::Checkpoint(joined(&root, only)),
        (None, [_, _, ..]) => {
            let folders = checkpoints.iter().map(|name| shown(name)).collect();
            return Err(Error::SeveralModels { path, folders });
        }
        (None, []) => match (adapters.first(), of(Content::Gguf).next()) {
            (Some(adapter), _) => Model::Adapter(joined(&root, adapter)),
            (None, Some(folder)) => {
                let file = gguf_in(&joined(&root, &folder)).unwrap_or_default();
                let file = if folder.is_empty() { file } else { format!("{folder}/{file}") };
                return Err(Error::Gguf { path, file: gguf.unwrap_or(file) });
            }
            (None, None) if from_outside.is_some() => {
                return Err(Error::FromOutside { path, from: from_outside.unwrap_or_default() });
            }
            (None, None) => return Err(Error::NoModel { found: listed(&root), path }),
        },
    };
    let unused_adapters = match model {
        Model::Checkpoint(_) => adapters.iter().map(|name| shown(name)).collect(),
        Model::Adapter(_) => Vec::new(),
    };
    Ok(Layout { root, model, unused_adapters, from_outside })
}

/// The model that the Modelfile in `root` takes, if it is a path to one. A name in Ollama's registry is none.
fn from(root: &Path) -> Option<From> {
    // What is wrong with it is said when its settings are read.
    let bytes = files::read(&root.join(MODELFILE), MAX_MODELFILE_BYTES).ok()?;
    let instructions = modelfile::read(std::str::from_utf8(&bytes).ok()?).ok()?;
    let from = instructions.into_iter().find(|instruction| instruction.name == "FROM")?.value;
    let is_path = |start: &&str| from.starts_with(start);
    let Ok(target) = fs::canonicalize(root.join(&from)) else {
        return ["/", "../", "~"].iter().any(is_path).then(|| From::Outside(from.clone()));
    };
    // Behind links, too.
    let Ok(inside) = target.strip_prefix(fs::canonicalize(root).ok()?) else {
        return Some(From::Outside(from));
    };
    let relative = inside.to_str()?.to_owned();
    if target.extension().is_some_and(|ending| ending == "gguf") {
        return Some(From::Gguf(relative));
    }
    match content(&target)? {
        Content::Checkpoint => Some(From::Checkpoint(relative)),
        Content::Gguf => Some(From::Gguf(joined(inside, &gguf_in(&target)?).to_str()?.to_owned())),
        Content::Adapter => None,
    }
}

/// Folders in `root` that hold a model, as paths relative to it; a folder's own before those in it.
fn collect(root: &Path, relative: &Path, depth: usize, found: &mut Vec<(String, Content)>) {
    let folder = root.join(relative);
    let name = relative.to_string_lossy().into_owned();
    let kind = content(&folder);
    found.extend(kind.map(|kind| (name, kind)));
    // A trainer's `checkpoint-STEP` folders lie in the folder of the model.
    if depth == MAX_DEPTH || (kind == Some(Content::Checkpoint) && depth > 0) {
        return;
    }
    for child in names(&folder).into_iter().filter(|name| folder.join(name).is_dir()) {
        collect(root, &relative.join(child), depth + 1, found);
    }
}

/// The kind of model whose files lie right in `folder`.
fn content(folder: &Path) -> Option<Content> {
    if !folder.is_dir() {
        return None;
    }
    let names = names(folder);
    let has = |name: &str| names.iter().any(|found| found == name);
    let is_weights = |name: &String| {
        name.starts_with("model")
            && (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json"))
    };
    // An adapter's folder often has the config.json of its base model.
    if has("adapter_config.json") && !names.iter().any(is_weights) {
        Some(Content::Adapter)
    } else if has("config.json") {
        Some(Content::Checkpoint)
    } else if names.iter().any(|name| name.ends_with(".gguf")) {
        Some(Content::Gguf)
    } else {
        None
    }
}

fn gguf_in(folder: &Path) -> Option<String> {
    names(folder).into_iter().find(|name| name.ends_with(".gguf"))
}

/// `folder`, or the folder in it that everything lies in.
fn behind_single_folders(folder: &Path) -> PathBuf {
    let mut folder = folder.to_path_buf();
    for _ in 0..MAX_DEPTH {
        let names = names(&folder);
        match names.as_slice() {
            // A folder with the model's name is a part of the bundle, not all of it.
            [only] if folder.join(only).is_dir() && !MODEL_FOLDERS.contains(&only.as_str()) => {
                folder.push(only)
            }
            _ => break,
        }
    }
    folder
}

/// Names in `folder` that belong to the bundle, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .take(MAX_LISTED)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !is_clutter(&[name]))
        .collect();
    names.sort();
    names
}

/// Names in `root` for a message; folders end with a slash.
fn listed(root: &Path) -> Vec<String> {
    let folder_or_file = |name: String| {
        let slash = if root.join(&name).is_dir() { "/" } else { "" };
        format!("{}{slash}", name.escape_debug())
    };
    names(root).into_iter().map(folder_or_file).collect()
}

fn joined(root: &Path, relative: &str) -> PathBuf {
    if relative.is_empty() { root.to_path_buf() } else { root.join(relative) }
}

fn shown(relative: &str) -> String {
    if relative.is_empty() { ".".into() } else { relative.escape_debug().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with empty files of these names.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    const MODEL: [&str; 2] = ["model/config.json", "model/model.safetensors"];

    #[test]
    fn the_merged_model_is_found_below_one_folder_beside_an_adapter_and_beside_other_models() {
        for (files, model) in [
            (vec!["model_client.py"], "model"),
            (vec!["model-adapters/adapter_config.json"], "model"),
            (vec!["._model", "__MACOSX/model/._config.json"], "model"),
            (vec!["base/config.json", "base/model.safetensors"], "model"),
            (vec!["model/checkpoint-5/config.json", "model/checkpoint-5/model.safetensors"], "model"),
        ] {
            let folder = folder(&[&MODEL[..], &files].concat());
            let layout = of_archive(folder.path(), Path::new("x.tar")).unwrap();
            assert_eq!(layout.model, Model::Checkpoint(folder.path().join(model)), "{files:?}");
            assert_eq!(layout.unused_adapters.len(), usize::from(files[0].contains("adapter")));
        }
        let deep = folder(&["top/in/model/model/config.json", "top/in/README.md"]);
        let layout = of_archive(deep.path(), Path::new("x.tar")).unwrap();
        assert_eq!(layout.root, deep.path().join("top/in"));
        assert_eq!(layout.model, Model::Checkpoint(deep.path().join("top/in/model/model")));
        let bare = folder(&["config.json", "model.safetensors"]);
        let layout = of_archive(bare.path(), Path::new("x.tar")).unwrap();
        assert_eq!(layout.model, Model::Checkpoint(bare.path().to_path_buf()));
    }

    #[test]
    fn a_bundle_without_one_model_says_what_it_has() {
        let error = |files: &[&str]| {
            let folder = folder(files);
            of_archive(folder.path(), Path::new("x.tar")).unwrap_err().to_string()
        };
        assert!(error(&["a.txt", "notes/b.txt"]).contains("found `a.txt`, `notes/`"));
        assert!(error(&[]).contains("it is empty"));
        assert!(error(&["a/config.json", "b/config.json", "c.txt"]).contains("several models: `a`, `b`"));
        assert!(error(&["model/m.gguf", "model_client.py"]).contains("as model/m.gguf"));
        assert!(error(&["m.gguf"]).contains("as m.gguf"));
    }

    #[test]
    fn an_adapter_is_found_where_there_is_no_merged_model() {
        for name in ["model-adapter", "model-adapters/first", "model"] {
            let folder = folder(&[
                &format!("{name}/adapter_config.json"),
                &format!("{name}/config.json"),
                "Modelfile",
            ]);
            let layout = of_archive(folder.path(), Path::new("x.tar")).unwrap();
            assert_eq!(layout.model, Model::Adapter(folder.path().join(name)));
        }
    }

    #[test]
    fn the_model_is_the_one_that_a_modelfile_takes_and_never_one_outside_the_bundle() {
        let outside = folder(&["config.json", "model.safetensors"]);
        let absolute = format!("FROM {}", outside.path().display());
        let several = ["a/config.json", "b/config.json", "model/config.json", "g/m-1.gguf", "g/m-2.gguf"];
        let layout = |files: &[&str], from: &str| {
            let folder = folder(files);
            // A link that nothing names is the user's own, and a model like any other.
            if files.len() > 2 {
                std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
            }
            fs::write(folder.path().join(MODELFILE), from).unwrap();
            let layout = of_archive(folder.path(), Path::new("x.tar")).map_err(|error| error.to_string());
            layout.map(|layout| {
                let (Model::Checkpoint(model) | Model::Adapter(model)) = layout.model;
                let model = model.strip_prefix(folder.path()).unwrap().display().to_string();
                (model, layout.from_outside)
            })
        };
        for (from, model, is_outside) in [
            ("FROM ./b", "b", false),
            ("from \"b\"", "b", false),
            ("FROM a/../b/", "b", false),
            // A file for Ollama beside the checkpoint that it was made of; a name in a registry; nothing there.
            ("FROM ./g/m-2.gguf", "model", false),
            ("FROM qwen3:1.7b", "model", false),
            ("FROM ./c", "model", false),
            ("FROM ../c", "model", true),
            ("FROM /", "model", true),
            ("FROM ./link", "model", true),
            (&absolute, "model", true),
        ] {
            let (found, from_outside) = layout(&several, from).unwrap();
            assert_eq!((&*found, from_outside.is_some()), (model, is_outside), "{from}");
        }
        let gguf = layout(&["m-1.gguf", "m-2.gguf"], "FROM ./m-2.gguf").unwrap_err();
        assert!(gguf.contains("holds its model as m-2.gguf"), "{gguf}");
        let nothing = layout(&["notes.txt"], &absolute).unwrap_err();
        assert!(nothing.contains("outside the bundle"), "{nothing}");
    }

    #[test]
    fn a_plain_checkpoint_or_any_other_folder_is_no_bundle() {
        for files in [
            &["config.json", "model.safetensors"][..],
            &["checkpoint-5/config.json", "checkpoint-5/model.safetensors", "trainer_state.json"],
            &["notes.txt"],
            &["adapter_config.json", "adapter_model.safetensors", "job_description.json"],
            &["config.json", "model.safetensors", "Modelfile"],
        ] {
            assert!(of_folder(folder(files).path()).unwrap().is_none(), "{files:?}");
        }
        assert!(of_folder(Path::new("/no/such/folder")).unwrap().is_none());
        for files in [&MODEL[..], &["config.json", "model_client.py"], &["x/model/config.json"]] {
            assert!(of_folder(folder(files).path()).unwrap().is_some(), "{files:?}");
        }
        assert!(of_folder(folder(&["job_description.json"]).path()).is_err());
    }
}
