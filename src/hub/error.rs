//! Reasons why a model of the hub is neither fetched nor found.

use super::Digest;
use crate::{
    display::{bytes, few, grouped},
    http::{self, FetchError},
    kind::Kind,
    remedy::Remedy,
};
use std::path::PathBuf;

/// Reasons why a model of the hub is neither fetched nor found. Messages say what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the fields are what the messages print
pub enum Error {
    /// Not a name of something on the hub.
    #[error("`{text}` {problem}")]
    Name { text: String, problem: &'static str },
    /// Not the name of a known model.
    #[error(
        "`{name}` is no model that edgecall has a name for; there is {}",
        known.iter().map(|name| format!("edgecall:{name}")).collect::<Vec<_>>().join(", ")
    )]
    Known { name: String, known: Vec<&'static str> },
    /// The address of the hub cannot be used.
    #[error("HF_ENDPOINT cannot be used")]
    Endpoint(#[source] http::Error),
    /// The token cannot be used.
    #[error(transparent)]
    Token(#[from] http::Error),
    /// No folder for the cache.
    #[error("there is no folder for the hub's cache: set HF_HOME, or HOME")]
    NoCacheFolder,
    /// A file of the user or the cache that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A file or folder of the cache that cannot be created.
    #[error("cannot create {}; set HF_HOME to a folder that you may write to", path.display())]
    Create {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Writing failed half way.
    #[error("writing {} failed", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Not in the cache.
    #[error(
        "{name}{} not in the hub's cache, {}{}",
        if *offline { " is" } else { ": no such file or folder, and" }, cache.display(),
        if others.is_empty() { String::new() } else { format!(", which has other revisions of it: {}", few(others)) }
    )]
    NotCached { name: String, cache: PathBuf, others: Vec<String>, offline: bool },
    /// Only a part of it is in the cache.
    #[error("{name} is in the hub's cache without {}", few(missing))]
    Incomplete { name: String, missing: Vec<String>, offline: bool },
    /// A checkpoint where a GGUF file is expected.
    #[error("{name} is a checkpoint, not a GGUF file")]
    IsCheckpoint { name: String },
    /// A repository of GGUF files where one of them is expected.
    #[error("{name} has GGUF files; name one of them:{}", lines(names))]
    NameAFile { name: String, names: Vec<String> },
    /// A repository that has GGUF files and no checkpoint.
    #[error("{id} has no checkpoint but GGUF files; fetch one of them:{}", lines(sized))]
    OnlyGguf { id: String, sized: Vec<String>, first: String },
    /// No such file in the repository.
    #[error(
        "{id} has no file `{file}`{}",
        if names.is_empty() { "; it has no GGUF file at all".to_owned() } else { format!("; it has:{}", lines(names)) }
    )]
    NoSuchFile { id: String, file: String, names: Vec<String> },
    /// Nothing that a conversion reads.
    #[error("{id} has {found}; a conversion needs model*.safetensors, so nothing was fetched")]
    NoWeights { id: String, found: String },
    /// No answer.
    #[error("fetching {what} failed, {}", tried(*tries))]
    Connection {
        what: String,
        tries: u32,
        #[source]
        source: FetchError,
    },
    /// No such repository, or one that only others may see.
    #[error(
        "{hub} has no model {id}, or it is private; is the name right?{}",
        match token {
            Some(token) => format!(" The token in {token} may not see it if it is"),
            None => " For a private one put a token of an account that may see it into HF_TOKEN".to_owned(),
        }
    )]
    NoRepository { hub: String, id: String, token: Option<&'static str> },
    /// No such revision.
    #[error("{id} has no revision `{revision}`; leave it out, or give a branch, a tag or a commit")]
    NoRevision { id: String, revision: String },
    /// A repository whose terms have to be accepted.
    #[error(
        "{id} is gated: its owner lets only accounts read it that have accepted its terms. Open {hub}/{id}, log in and \
         accept them (some owners take days to answer); {}",
        match token {
            Some(token) => format!(
                "the token in {token} must be one of that account, and allow reading gated repositories ({hub}/settings/tokens)"
            ),
            None => format!("then put a token of that account into HF_TOKEN ({hub}/settings/tokens)"),
        }
    )]
    Gated { hub: String, id: String, token: Option<&'static str> },
    /// The token is refused, or there is none.
    #[error(
        "{url} wants {}{}",
        match token {
            Some(token) => format!("another token than that in {token}: is it expired, or one of another hub?"),
            None if *kept_back => "a token, and none was sent, since the connection is not encrypted: use https".to_owned(),
            None => "a token: put one into HF_TOKEN".to_owned(),
        },
        words(said)
    )]
    Unauthorized { url: String, token: Option<&'static str>, kept_back: bool, said: String },
    /// Too many requests.
    #[error(
        "{url} had too many requests from here (status 429), {}{}", tried(*tries),
        if *with_token { "" } else { "; with a token in HF_TOKEN more are allowed" }
    )]
    TooManyRequests { url: String, tries: u32, with_token: bool },
    /// Another status.
    #[error("{url} answered with status {status}, {}{}", tried(*tries), words(said))]
    Status { url: String, status: u16, said: String, tries: u32 },
    /// A page for people.
    #[error(
        "{url} answered with a web page; does this network want a login first, or does HF_ENDPOINT name something else \
         than a hub?"
    )]
    WebPage { url: String },
    /// Not the answer of a hub.
    #[error("{url} answered with something else than a list of files; does HF_ENDPOINT name a hub?")]
    NotAListing {
        url: String,
        #[source]
        source: serde_json::Error,
    },
    /// Too long an answer.
    #[error("{url} answered with more than {}", bytes(*limit))]
    TooLong { url: String, limit: u64 },
    /// A list of files that cannot be trusted.
    #[error("{url} lists {problem}; nothing was fetched")]
    Listing { url: String, problem: String },
    /// The index of the weights cannot be read.
    #[error("{id}: model.safetensors.index.json is no index of shards; nothing else was fetched")]
    Index {
        id: String,
        #[source]
        source: serde_json::Error,
    },
    /// A file with a length other than the listed one.
    #[error(
        "{file}: the server sends {}, and the hub lists {} bytes, so it is not taken; try again later, or another \
         HF_ENDPOINT",
        found.map_or_else(|| "other bytes than asked for".to_owned(), |found| format!("{} bytes", grouped(found))),
        grouped(*expected)
    )]
    Length { file: String, found: Option<u64>, expected: u64 },
    /// A file with a hash other than the listed one.
    #[error(
        "{file}: what was fetched has the {found}, and the hub lists the {expected}; nothing of it is kept. Try again \
         later, or another HF_ENDPOINT"
    )]
    Hash { file: String, found: Digest, expected: Digest },
    /// A file with another hash than that which is known of it.
    #[error(
        "{file}: the hub lists the {found}, and the one that edgecall knows is {expected}; it was changed since, so \
         nothing was fetched"
    )]
    Pinned { file: String, found: Digest, expected: String },
    /// Too little space on the disk.
    #[error(
        "{} has {} free, and {} are to be fetched; HF_HOME may name a folder on another disk",
        path.display(), bytes(*free_bytes), bytes(*needed_bytes)
    )]
    DiskSpace { path: PathBuf, free_bytes: u64, needed_bytes: u64 },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Name { .. }
            | Error::Known { .. }
            | Error::Endpoint(_)
            | Error::Token(_)
            | Error::NoCacheFolder
            | Error::NameAFile { .. }
            | Error::OnlyGguf { .. } => Kind::Usage,
            Error::Read { .. }
            | Error::NotCached { .. }
            | Error::Incomplete { .. }
            | Error::NoSuchFile { .. }
            | Error::NoRepository { .. }
            | Error::NoRevision { .. } => Kind::NoInput,
            Error::Create { .. } | Error::DiskSpace { .. } => Kind::CannotCreate,
            Error::Write { .. } => Kind::Io,
            Error::IsCheckpoint { .. }
            | Error::NoWeights { .. }
            | Error::Listing { .. }
            | Error::Index { .. }
            | Error::Length { .. }
            | Error::Hash { .. }
            | Error::Pinned { .. } => Kind::Data,
            Error::Connection { .. }
            | Error::Gated { .. }
            | Error::Unauthorized { .. }
            | Error::TooManyRequests { .. }
            | Error::Status { .. }
            | Error::WebPage { .. }
            | Error::NotAListing { .. }
            | Error::TooLong { .. } => Kind::Unavailable,
        }
    }

    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::NotCached { offline: true, .. } | Error::Incomplete { offline: true, .. } => {
                vec![Remedy::Online]
            }
            Error::NotCached { name, .. } | Error::Incomplete { name, .. } => {
                vec![Remedy::Download { id: name.clone() }]
            }
            Error::OnlyGguf { first, .. } => vec![Remedy::DownloadOne { name: first.clone() }],
            Error::IsCheckpoint { name } => vec![Remedy::Convert { id: name.clone() }],
            Error::Connection { source: FetchError::TimedOut { .. }, .. } => {
                vec![Remedy::LongerTimeout, Remedy::MoreRetries]
            }
            Error::Connection { source, .. } if source.is_for_now() => vec![Remedy::MoreRetries],
            Error::TooManyRequests { .. } => vec![Remedy::MoreRetries],
            Error::Status { status: 408 | 425 | 500..=599, .. } => vec![Remedy::MoreRetries],
            Error::DiskSpace { .. } => vec![Remedy::FreeSpace],
            _ => Vec::new(),
        }
    }
}

fn tried(tries: u32) -> String {
    if tries == 1 { "tried once".into() } else { format!("tried {tries} times") }
}

/// The server's words, behind a colon.
fn words(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

/// Names as lines of their own.
fn lines(names: &[String]) -> String {
    names.iter().map(|name| format!("\n  {name}")).collect()
}
