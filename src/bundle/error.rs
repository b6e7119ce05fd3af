//! Reasons why a bundle cannot be used.

use crate::{
    display::{bytes, few},
    kind::Kind,
    profile,
    remedy::Remedy,
};
use std::{io, path::PathBuf};

/// Reasons why a bundle cannot be used. Messages say what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the fields are what the messages print
pub enum Error {
    /// An archive in a format that is not read.
    #[error("{} is {format}, which is not read; unpack it ({command}) and give the folder", path.display())]
    Format { path: PathBuf, format: &'static str, command: &'static str },
    /// Something else than an archive, under an archive's name.
    #[error("{} is {found}; {advice}", path.display())]
    NotAnArchive { path: PathBuf, found: &'static str, advice: &'static str },
    /// A gzip file with something else than a tar in it.
    #[error("{} is compressed with gzip, but what is in it is no tar; give a .tar or a .tar.gz", path.display())]
    NoTarInside { path: PathBuf },
    /// The archive ends early.
    #[error(
        "{} is cut short{}; fetch it again", path.display(),
        entry.as_ref().map(|entry| format!(" in entry `{entry}`")).unwrap_or_default()
    )]
    CutShort { path: PathBuf, entry: Option<String> },
    /// The archive's bytes contradict its format.
    #[error("{} is damaged; fetch it again", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// An entry that is not unpacked.
    #[error(
        "{}: entry `{entry}` {problem}; nothing was left behind. Make the archive again from plain files and \
         folders, or, if you trust where it comes from, unpack it yourself and give the folder", path.display()
    )]
    Entry { path: PathBuf, entry: String, problem: String },
    /// More than any bundle holds.
    #[error(
        "{} {problem}; no bundle is like that. If you trust where it comes from, unpack it yourself and give the \
         folder", path.display()
    )]
    TooMuch { path: PathBuf, problem: String },
    /// The disk has too little free space to unpack.
    #[error("{} has {} free, and unpacking takes at least {}", path.display(), bytes(*free_bytes), bytes(*needed_bytes))]
    DiskSpace { path: PathBuf, needed_bytes: u64, free_bytes: u64 },
    /// The folder to unpack into cannot be created.
    #[error("cannot create a folder in {} to unpack into", path.display())]
    Create {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
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
    /// A file of the bundle that cannot be opened or is too large.
    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// No model in the bundle.
    #[error(
        "{} holds no model: a folder with config.json, tokenizer.json and model*.safetensors, such as model/, is \
         expected; {}", path.display(),
        if found.is_empty() { "it is empty".to_owned() } else { format!("found {}", few(found)) }
    )]
    NoModel { path: PathBuf, found: Vec<String> },
    /// A Modelfile takes the model from elsewhere.
    #[error(
        "{}: its Modelfile takes the model from {}, outside the bundle, and only what lies in the bundle is read; copy that \
         folder into it as model/", path.display(), from.escape_debug()
    )]
    FromOutside { path: PathBuf, from: String },
    /// Several models, none of which is in `model/`.
    #[error("{} holds several models: {}; give the folder of one of them", path.display(), few(folders))]
    SeveralModels { path: PathBuf, folders: Vec<String> },
    /// A model that is a GGUF file already.
    #[error(
        "{} holds its model as {file}, a GGUF file, which needs no conversion; take it out and use it as it is",
        path.display()
    )]
    Gguf { path: PathBuf, file: String },
    /// A line of a Modelfile that cannot be read.
    #[error("{}, line {line}: {problem}", path.display())]
    Modelfile { path: PathBuf, line: usize, problem: String },
    /// A part of a file that is read for the profile and cannot be used.
    #[error("{}, line {line}: {problem}", path.display())]
    Line { path: PathBuf, line: usize, problem: String },
    /// A file that is read for the profile and cannot be used as a whole.
    #[error("{} {problem}", path.display())]
    File { path: PathBuf, problem: String },
    /// The values that were read make no profile.
    #[error("{} cannot be used as the model's settings", path.display())]
    Profile {
        path: PathBuf,
        #[source]
        source: profile::Error,
    },
    /// The user interrupted it.
    #[error("interrupted; nothing was left behind")]
    Interrupted,
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::DiskSpace { .. } | Error::Create { .. } => Kind::CannotCreate,
            Error::Write { .. } | Error::Read { .. } => Kind::Io,
            Error::Unreadable { .. } => Kind::NoInput,
            Error::Interrupted => Kind::Interrupted,
            _ => Kind::Data,
        }
    }

    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::DiskSpace { .. } => vec![Remedy::FreeSpace, Remedy::UnpackFolder],
            Error::Create { .. } => vec![Remedy::UnpackFolder],
            Error::Line { .. } | Error::File { .. } | Error::Profile { .. } => {
                vec![Remedy::OwnProfile]
            }
            Error::Modelfile { .. } => vec![Remedy::WholeProfile],
            _ => Vec::new(),
        }
    }
}
