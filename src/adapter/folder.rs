//! An adapter's folder: its config, and the header of its tensors.

use super::{
    Error,
    config::LoraConfig,
    keys::{self, Part},
};
use crate::{
    checkpoint::{Shards, SourceTensor},
    display::few,
    files,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
const PICKLE: &str = "adapter_model.bin";
/// Most bytes that are read of a config; real ones are far shorter.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// A LoRA adapter that has been opened and checked; no weights are read.
#[derive(Debug)]
pub struct Adapter {
    /// The folder.
    pub dir: PathBuf,
    /// Warnings about its files.
    pub warnings: Vec<String>,
    pub(super) config: LoraConfig,
    pub(super) shards: Shards,
    /// Its tensors by module and part.
    pub(super) modules: BTreeMap<String, BTreeMap<Part, SourceTensor>>,
}

/// True if `dir` holds an adapter and no model, so that it can only be meant as an adapter.
pub fn is_adapter(dir: &Path) -> bool {
    let is_weights = |name: &str| name.starts_with("model") && name.ends_with(".safetensors");
    let holds_model = || {
        let mut entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.any(|entry| entry.file_name().to_str().is_some_and(is_weights))
    };
    dir.join(CONFIG).is_file() && !holds_model()
}

impl Adapter {
    /// Opens the adapter in `dir`.
    ///
    /// # Errors
    /// The file at fault; a kind or an option that is not merged.
    pub fn open(dir: &Path) -> Result<Adapter, Error> {
        let path = dir.join(CONFIG);
        let read = files::if_present(files::read(&path, MAX_CONFIG_BYTES));
        let Some(json) = read.map_err(|source| Error::Read { path: path.clone(), source })? else {
            return Err(no_config(dir));
        };
        let config = LoraConfig::parse(&json).map_err(|source| Error::Config { path, source })?;
        if !dir.join(WEIGHTS).exists() {
            let path = dir.to_path_buf();
            return Err(match dir.join(PICKLE).exists() {
                true => Error::Pickle { path },
                false => Error::NoWeights { path },
            });
        }
        let shards = Shards::open_file(dir, WEIGHTS)?;
        let mut adapter = Adapter {
            dir: dir.to_path_buf(),
            warnings: Vec::new(),
            config,
            shards,
            modules: BTreeMap::new(),
        };
        adapter.sort_tensors()?;
        if adapter.config.fan_in_fan_out {
            adapter.warn("`fan_in_fan_out` is ignored: the base's matrices are not transposed, as in peft");
        }
        let unknown = std::mem::take(&mut adapter.config.unknown);
        if !unknown.is_empty() {
            adapter
                .warn(&format!("adapter_config.json has fields that are not known here: {}", few(&unknown)));
        }
        Ok(adapter)
    }

    /// Name of the base in the config.
    pub fn base_name(&self) -> Option<&str> {
        self.config.base.as_deref()
    }

    /// Adds a warning that names the adapter.
    pub(super) fn warn(&mut self, problem: &str) {
        self.warnings.push(format!("{}: {problem}", self.dir.display()));
    }

    /// Files of the folder that influence a conversion, tokenizer and model card included.
    pub(super) fn files(&self) -> Vec<String> {
        let beside = TOKENIZER_FILES.iter().chain(&["README.md"]).filter(|name| self.dir.join(name).exists());
        let mut files: Vec<String> =
            [CONFIG, WEIGHTS].iter().chain(beside).map(|name| (*name).to_owned()).collect();
        files.sort();
        files
    }

    /// True if it brings a tokenizer of its own.
    pub(super) fn has_tokenizer(&self) -> bool {
        self.dir.join(TOKENIZER_FILES[0]).is_file()
    }

    fn sort_tensors(&mut self) -> Result<(), Error> {
        let mut foreign = None;
        for tensor in self.shards.tensors() {
            let path = self.dir.clone();
            let Some((module, part, is_foreign)) = keys::parse(&tensor.name) else {
                return Err(Error::UnknownTensor { path, tensor: tensor.name.clone() });
            };
            if is_foreign && foreign.is_none() {
                foreign = Some(format!(
                    "peft would not find tensors with names like `{}`; they are merged all the same",
                    tensor.name
                ));
            }
            let parts = self.modules.entry(module).or_default();
            if let Some(first) = parts.insert(part, tensor.clone())
                && part != Part::Original
            {
                return Err(Error::TwiceTensor { path, first: first.name, second: tensor.name.clone() });
            }
        }
        if let Some(warning) = foreign {
            self.warn(&warning);
        }
        Ok(())
    }
}

/// Files of a tokenizer; without the first there is none.
const TOKENIZER_FILES: [&str; 8] = [
    "tokenizer.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "vocab.json",
];

fn no_config(dir: &Path) -> Error {
    let path = dir.to_path_buf();
    if !dir.exists() {
        return Error::Missing { path };
    }
    Error::NoConfig { inside: adapter_inside(dir), path }
}

/// The folder in a trainer's folder that is an adapter: the last `checkpoint-STEP`, else the first of the others.
fn adapter_inside(dir: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(dir).ok()?.flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let step = |name: &str| name.strip_prefix("checkpoint-")?.parse::<u64>().ok();
    let inside = names.filter(|name| dir.join(name).join(CONFIG).is_file());
    let best = inside.max_by_key(|name| (step(name), std::cmp::Reverse(name.clone())))?;
    Some(dir.join(best))
}
