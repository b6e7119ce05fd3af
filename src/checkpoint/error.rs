//! Reasons why a directory cannot be used as a checkpoint.

use super::{ConfigError, tokenizer};
use crate::{display::few, kind::Kind, remedy::Remedy};
use std::path::PathBuf;

/// Reasons why a directory cannot be used as a checkpoint. Messages say what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the fields are what the messages print
pub enum Error {
    /// No such path.
    #[error("{}: no such checkpoint folder", path.display())]
    Missing { path: PathBuf },
    /// No such path, and the name looks like a model id on the Hugging Face hub.
    #[error("{id}: no such folder")]
    HubId { id: String },
    /// A folder of the hub's cache, above the one with the files.
    #[error("{} is a folder of the hub's cache; the checkpoint in it is {}", path.display(), snapshot.display())]
    HubCache { path: PathBuf, snapshot: PathBuf },
    /// A GGUF file.
    #[error(
        "{} is a GGUF file already; look at it with `edgecall inspect`, or give the folder of the \
         safetensors checkpoint that it was made from", path.display()
    )]
    Gguf { path: PathBuf },
    /// A file other than GGUF.
    #[error("{} is a file; give the checkpoint folder that holds it", path.display())]
    NotAFolder { path: PathBuf },
    /// An adapter without its base model.
    #[error(
        "{} is an adapter{}, not a model; `edgecall convert` merges it into its base and converts the result", path.display(), base.as_ref().map(|base| format!(" for {base}")).unwrap_or_default()
    )]
    Adapter { path: PathBuf, base: Option<String> },
    /// Weights as Python pickles.
    #[error(
        "{} holds its weights as {file}, which is not read because a pickle runs code; save it as safetensors \
         (transformers: `AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(OUT)`)", path.display()
    )]
    Pickle { path: PathBuf, file: String },
    /// Mistral's own layout.
    #[error(
        "{} is in Mistral's own layout ({file}); fetch the transformers layout of the model, with config.json and \
         model*.safetensors", path.display()
    )]
    Consolidated { path: PathBuf, file: String },
    /// No `config.json`.
    #[error(
        "{} has no config.json; {}", path.display(),
        match inside {
            Some(inside) => format!("{} has one: give that folder", inside.display()),
            None => "a checkpoint folder holds config.json, tokenizer.json and model*.safetensors".to_owned(),
        }
    )]
    NoConfig { path: PathBuf, inside: Option<PathBuf> },
    /// No weights at all.
    #[error("{} has no model*.safetensors; was the download completed?", path.display())]
    NoWeights { path: PathBuf },
    /// An embedding model.
    #[error(
        "{} is an embedding model (modules.json); it makes vectors, not text, and its pooling is not converted",
        path.display()
    )]
    Embedding { path: PathBuf },
    /// `config.json` cannot be used.
    #[error("{}", path.display())]
    Config {
        path: PathBuf,
        #[source]
        source: ConfigError,
    },
    /// The index is not valid JSON, or has no `weight_map`.
    #[error("{}: not an index of shards", path.display())]
    Index {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// The index names a file outside the folder.
    #[error("{}: shard `{name}` lies outside the checkpoint folder", path.display())]
    IndexOutside { path: PathBuf, name: String },
    /// The index and the files name different tensors.
    #[error(
        "{} does not fit the shards:{}{}; fetch the folder again", path.display(),
        list(" missing in them", missing), list(" not in the index", extra)
    )]
    IndexMismatch { path: PathBuf, missing: Vec<String>, extra: Vec<String> },
    /// A shard that the index names is missing.
    #[error(
        "{} is missing, though the index names it; fetch it{}", path.display(),
        if others.is_empty() {
            String::new()
        } else {
            format!(
                ", or delete model.safetensors.index.json if it is that of another save: the folder has {}",
                few(others)
            )
        }
    )]
    MissingShard { path: PathBuf, others: Vec<String> },
    /// A git-lfs pointer instead of a file.
    #[error("{} is a git-lfs pointer, not the weights; fetch them with `git lfs pull`", path.display())]
    LfsPointer { path: PathBuf },
    /// A truncated shard.
    #[error(
        "{} is cut short: it has {file_bytes} bytes{}; fetch it again", path.display(),
        promised.map(|bytes| format!(" where its header promises {bytes}")).unwrap_or_default()
    )]
    CutShort { path: PathBuf, file_bytes: u64, promised: Option<u64> },
    /// A shard with a malformed header, such as one with overlapping or out-of-range offsets.
    #[error("{} is not a valid safetensors file; fetch it again", path.display())]
    Shard {
        path: PathBuf,
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// A tensor in two shards.
    #[error("tensor `{name}` is in {first} and again in {second}; remove the file that does not belong here")]
    DuplicateTensor { name: String, first: String, second: String },
    /// A dtype that is not a plain float.
    #[error(
        "{}: tensor `{tensor}` has dtype {found}; supported are BF16, F16 and F32: convert a checkpoint that is not \
         quantized", path.display()
    )]
    Dtype { path: PathBuf, tensor: String, found: String },
    /// A file that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A shard that could be opened, but then not read.
    #[error("reading {} failed", path.display())]
    ShardRead {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The tokenizer files cannot be used.
    #[error("{}", path.display())]
    Tokenizer {
        path: PathBuf,
        #[source]
        source: tokenizer::Error,
    },
}

impl Error {
    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::HubId { id } => vec![Remedy::Download { id: id.clone() }],
            _ => Vec::new(),
        }
    }

    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Missing { .. }
            | Error::HubId { .. }
            | Error::HubCache { .. }
            | Error::NotAFolder { .. }
            | Error::NoConfig { .. }
            | Error::NoWeights { .. }
            | Error::MissingShard { .. }
            | Error::LfsPointer { .. }
            | Error::Read { .. } => Kind::NoInput,
            Error::ShardRead { .. } => Kind::Io,
            Error::Tokenizer { source, .. } => source.kind(),
            _ => Kind::Data,
        }
    }
}

/// The first few names under a heading, or an empty string.
fn list(heading: &str, names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("{heading}: {}", few(names)) }
}
