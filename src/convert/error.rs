//! Reasons why a conversion is refused or fails.

use super::{pretokenizer, readback, vocab};
use crate::display::{bytes, few};
use crate::{
    chat,
    checkpoint::{self, names},
    guard,
    kind::Kind,
    profile,
    remedy::Remedy,
};
use std::{io, path::PathBuf};

/// Reasons why a conversion is refused or fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the fields are what the messages print
pub enum Error {
    /// The checkpoint's files cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The tokenizer cannot be written to the file.
    #[error("the tokenizer cannot be converted")]
    Vocab(#[from] vocab::Error),
    /// llama.cpp has no such pre-tokenizer.
    #[error(transparent)]
    Pretokenizer(#[from] pretokenizer::Error),
    /// A written file differs from the plan.
    #[error(transparent)]
    Readback(#[from] readback::Error),
    /// The profile cannot be used.
    #[error(transparent)]
    Profile(#[from] profile::Error),
    /// No type was requested.
    #[error("no type to convert to")]
    NoType,
    /// A type was requested twice.
    #[error("type `{0}` is asked for twice")]
    TypeTwice(&'static str),
    /// A setting in `config.json` that the file, or llama.cpp, cannot express.
    #[error("config.json: `{field}` of this {class} cannot be converted: {reason}")]
    Feature { class: &'static str, field: &'static str, reason: &'static str },
    /// Tensors that the architecture needs are missing.
    #[error(
        "the checkpoint lacks {}, which config.json ({class}, {layers} layers) calls for{}", few(names),
        match others.as_slice() {
            [] => "; was it saved completely?".to_owned(),
            others => format!("; it has {} instead: {}", few(others), names::origin(others)),
        }
    )]
    MissingTensors { class: &'static str, layers: u64, names: Vec<String>, others: Vec<String> },
    /// Tensors that the architecture does not have.
    #[error(
        "the checkpoint has {}, which a {class} of {layers} layers has not: {}",
        few(names),
        names::origin(names)
    )]
    ExtraTensors { class: &'static str, layers: u64, names: Vec<String> },
    /// A shape that contradicts `config.json`.
    #[error(
        "tensor `{name}` has shape {found:?}, config.json calls for {expected:?}; do the two belong together?"
    )]
    Shape { name: String, found: Vec<u64>, expected: Vec<u64> },
    /// A stored head that differs from the embedding.
    #[error(
        "`lm_head.weight` differs from `model.embed_tokens.weight`, so dropping it would change the model"
    )]
    HeadDiffers,
    /// A type override that matches no matrix.
    #[error("the type override `{pattern}` finds no matrix of this model; names are like {example}")]
    OverrideUnmatched { pattern: String, example: String },
    /// NaN or infinity.
    #[error(
        "tensor `{tensor}` has {value} at index {index}; such weights cannot be converted: repair the checkpoint"
    )]
    NotFinite { tensor: String, index: u64, value: f32 },
    /// A value outside F16's range.
    #[error(
        "tensor `{tensor}` has {value} at index {index}, which is beyond F16's range (65504); choose bf16, f32 or a \
         quantized type"
    )]
    BeyondF16 { tensor: String, index: u64, value: f32 },
    /// A block whose scale overflows F16.
    #[error(
        "tensor `{tensor}` has values so large that the scales of {ggml_type} overflow near index {index}; choose \
         bf16 or f32"
    )]
    ScaleOverflow { tensor: String, ggml_type: &'static str, index: u64 },
    /// The output exists already.
    #[error("{} exists already", path.display())]
    OutputExists { path: PathBuf },
    /// The output is one of the checkpoint's files.
    #[error("{} belongs to the checkpoint", path.display())]
    OutputIsInput { path: PathBuf },
    /// The output is a device, a pipe or a folder.
    #[error("{} is not a regular file", path.display())]
    OutputIrregular { path: PathBuf },
    /// The output is a link that cannot be followed to a file.
    #[error("{} is a link that leads to no file", path.display())]
    OutputLink {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The folder for the output is missing.
    #[error("{} is no folder", path.display())]
    NoFolder { path: PathBuf },
    /// The output cannot be created.
    #[error("cannot create a file in {}", path.display())]
    Create {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The disk has too little free space for the files.
    #[error(
        "{} has {} free, and {} are needed",
        path.display(), bytes(*free_bytes), bytes(*needed_bytes)
    )]
    DiskSpace { path: PathBuf, needed_bytes: u64, free_bytes: u64 },
    /// Writing failed half-way.
    #[error("writing {} failed; nothing was left behind", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Reading failed half-way.
    #[error("reading {} failed", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Keys or tensors that no call would load.
    #[error("no call would load the file that comes of this checkpoint; correct {place}")]
    Unloadable {
        place: String,
        #[source]
        source: guard::Error,
    },
    /// A chat template that no call would use.
    #[error(
        "no call would use the checkpoint's chat template; correct it, or take that of the original model"
    )]
    Template {
        #[source]
        source: chat::Error,
    },
    /// A file of the checkpoint that cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The user interrupted it.
    #[error("interrupted; nothing was left behind")]
    Interrupted,
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Checkpoint(e) => e.kind(),
            Error::Vocab(e) => e.kind(),
            Error::Pretokenizer(e) => e.kind(),
            Error::Readback(e) => e.kind(),
            Error::Profile(e) => e.kind(),
            // Such as a thread that the system does not start.
            Error::Template { source } => source.kind(),
            Error::NoType | Error::TypeTwice(_) | Error::OverrideUnmatched { .. } => Kind::Usage,
            Error::OutputExists { .. }
            | Error::OutputIsInput { .. }
            | Error::OutputIrregular { .. }
            | Error::OutputLink { .. }
            | Error::NoFolder { .. }
            | Error::Create { .. }
            | Error::DiskSpace { .. } => Kind::CannotCreate,
            Error::Write { .. } | Error::Read { .. } => Kind::Io,
            Error::Unreadable { .. } => Kind::NoInput,
            Error::Interrupted => Kind::Interrupted,
            _ => Kind::Data,
        }
    }

    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::Checkpoint(e) => e.remedies(),
            Error::Pretokenizer(pretokenizer::Error::Unknown { .. }) => vec![Remedy::PreTokenizer(None)],
            Error::HeadDiffers => vec![Remedy::KeepHead],
            Error::OutputExists { .. } => vec![Remedy::Overwrite],
            Error::OutputIsInput { .. } | Error::OutputIrregular { .. } | Error::OutputLink { .. } => {
                vec![Remedy::OtherOutput]
            }
            Error::NoFolder { .. } => vec![Remedy::CreateFolder, Remedy::OtherOutput],
            Error::DiskSpace { .. } => vec![Remedy::FreeSpace, Remedy::OtherOutput],
            _ => Vec::new(),
        }
    }
}
