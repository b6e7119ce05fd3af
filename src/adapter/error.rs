//! Reasons why an adapter cannot be merged.

use super::fields;
use crate::{checkpoint, display::few, kind::Kind, remedy::Remedy};
use std::{io, path::PathBuf};

/// Reasons why an adapter cannot be merged. Messages say what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the fields are what the messages print
pub enum Error {
    /// A file of the adapter or of its base cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// No such folder.
    #[error("{}: no such adapter folder", path.display())]
    Missing { path: PathBuf },
    /// No adapter in the folder.
    #[error(
        "{} has no adapter_config.json; {}", path.display(),
        match inside {
            Some(inside) => format!("{} has one: give that folder", inside.display()),
            None => "an adapter folder holds adapter_config.json and adapter_model.safetensors".to_owned(),
        }
    )]
    NoConfig { path: PathBuf, inside: Option<PathBuf> },
    /// Weights as a Python pickle.
    #[error(
        "{} holds its weights as adapter_model.bin, which is not read because a pickle runs code; save it as \
         safetensors (peft: `PeftModel.from_pretrained(BASE, DIR).save_pretrained(OUT)`)", path.display()
    )]
    Pickle { path: PathBuf },
    /// No weights.
    #[error("{} has no adapter_model.safetensors; was the download or the training completed?", path.display())]
    NoWeights { path: PathBuf },
    /// `adapter_config.json` cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// `adapter_config.json` cannot be used.
    #[error("{}", path.display())]
    Config {
        path: PathBuf,
        #[source]
        source: fields::Error,
    },
    /// The config names no base, or none that is on this machine; `on_hub` is its name on the hub, if it can be one.
    #[error("{}: {}", path.display(), base_problem(name.as_deref(), looked))]
    NoBase { path: PathBuf, name: Option<String>, looked: Vec<String>, on_hub: Option<String> },
    /// Several folders of the hub's cache fit a quantized base.
    #[error(
        "{}: the base {name} is quantized, and several folders of the hub's cache may be its 16-bit original: {}",
        path.display(), few(found)
    )]
    AmbiguousBase { path: PathBuf, name: String, found: Vec<String> },
    /// A tensor with a name that belongs to no part of a LoRA adapter.
    #[error(
        "{}: the tensor `{tensor}` is no part of a LoRA adapter that is merged here; merge it with peft \
         (`merge_and_unload()`, then `save_pretrained`) and convert the merged folder", path.display()
    )]
    UnknownTensor { path: PathBuf, tensor: String },
    /// Two tensors for the same part.
    #[error("{}: `{first}` and `{second}` are the same part of the adapter; remove one", path.display())]
    TwiceTensor { path: PathBuf, first: String, second: String },
    /// A module without one of its matrices.
    #[error("{}: module `{module}` has {has} and no {lacks}; was it saved completely?", path.display())]
    Incomplete { path: PathBuf, module: String, has: &'static str, lacks: &'static str },
    /// Modules that the base does not have.
    #[error(
        "{}: the base model {} has no modules {}; the adapter was trained on another model{}", path.display(),
        base.display(), few(modules), trained_on(name.as_deref())
    )]
    MissingModules { path: PathBuf, base: PathBuf, modules: Vec<String>, name: Option<String> },
    /// The base has more layers than the adapter was trained on.
    #[error(
        "{}: the adapter has nothing for layers {first} to {last} of {}, which its config targets; it was trained on \
         another model{}", path.display(), base.display(), trained_on(name.as_deref())
    )]
    MissingLayers { path: PathBuf, base: PathBuf, first: u64, last: u64, name: Option<String> },
    /// A tensor whose shape does not fit the base.
    #[error(
        "{}: `{tensor}` has shape {found:?}, and {} calls for {expected:?}; the adapter was trained on another \
         model{}", path.display(), bases.given.display(), trained_on(bases.named.as_deref())
    )]
    Shape { path: PathBuf, tensor: String, found: Vec<u64>, expected: Vec<u64>, bases: Box<Bases> },
    /// A rank in the file that differs from the config's.
    #[error(
        "{}: `{tensor}` has rank {found}, and adapter_config.json says {expected} (`r`, `rank_pattern`); do the two \
         files belong together?", path.display()
    )]
    Rank { path: PathBuf, tensor: String, found: u64, expected: u64 },
    /// A trained bias of LoRA without a bias in the base.
    #[error("{}: `lora_bias` on module `{module}`, which has no bias in the base model", path.display())]
    NoBias { path: PathBuf, module: String },
    /// Token indices that do not fit.
    #[error("{}: `trainable_token_indices` of `{module}`: {problem}", path.display())]
    Tokens { path: PathBuf, module: String, problem: String },
    /// Two matrices for one tied matrix.
    #[error(
        "{}: the base model ties its head to the embedding, and the adapter holds two different matrices for them; \
         untie the base before training (`tie_word_embeddings`), or merge with peft", path.display()
    )]
    TiedTwice { path: PathBuf },
    /// DoRA on an embedding.
    #[error("{}: DoRA on the embedding `{module}` is not merged here; merge with peft", path.display())]
    EmbeddingDora { path: PathBuf, module: String },
    /// An adapter that leaves the model as it is.
    #[error("{}: the adapter changes nothing: {reason}", path.display())]
    NoEffect { path: PathBuf, reason: &'static str },
    /// The vocabulary of the adapter's tokenizer is not that of the base.
    #[error(
        "{}: its tokenizer has other tokens than the base's ({differ} of {total} differ, such as {example}); the adapter \
         was trained on another model{}", path.display(), trained_on(name.as_deref())
    )]
    Vocabulary { path: PathBuf, differ: usize, total: usize, example: String, name: Option<String> },
}

/// The base that an adapter was held against, and the one that its config names.
#[derive(Debug)]
#[allow(missing_docs)] // the fields are what the messages print
pub struct Bases {
    pub given: PathBuf,
    pub named: Option<String>,
}

fn trained_on(name: Option<&str>) -> String {
    name.map(|name| format!(" ({name})")).unwrap_or_default()
}

fn base_problem(name: Option<&str>, looked: &[String]) -> String {
    match name {
        None => "adapter_config.json names no base model".to_owned(),
        Some(name) => {
            format!("the base model {name} is not on this machine (looked for {})", looked.join(", "))
        }
    }
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Checkpoint(error) => error.kind(),
            Error::Missing { .. }
            | Error::NoConfig { .. }
            | Error::NoWeights { .. }
            | Error::NoBase { .. }
            | Error::AmbiguousBase { .. }
            | Error::Read { .. } => Kind::NoInput,
            _ => Kind::Data,
        }
    }

    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::Checkpoint(error) => error.remedies(),
            Error::NoBase { on_hub, .. } => {
                let download = on_hub.clone().map(|id| Remedy::Download { id });
                [Remedy::BaseModel].into_iter().chain(download).collect()
            }
            Error::AmbiguousBase { .. } => vec![Remedy::BaseModel],
            _ => Vec::new(),
        }
    }
}
