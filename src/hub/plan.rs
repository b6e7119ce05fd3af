//! Files that a source needs, and which of them are here.

use super::{
    Error, Progress, RemoteFile, RepoId, Source,
    cache::Repository,
    client::{Client, Target},
    listing::{Listed, Listing},
    select::{self, INDEX, WHOLE},
    source::{is_gguf, parts},
};
use crate::display::{Align, Table, bytes};
use serde::Serialize;
use std::{collections::BTreeSet, fmt, fs};

/// Longest index of shards that is read.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// Files of a repository to be fetched.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// The repository.
    #[serde(serialize_with = "as_text")]
    pub id: RepoId,
    /// Revision that was asked for.
    pub revision: String,
    /// Commit that it is now.
    pub commit: String,
    /// The files, by name.
    pub files: Vec<PlannedFile>,
    /// GGUF file that was asked for, of a split model the first part.
    #[serde(skip)]
    pub(super) gguf: Option<String>,
}

/// A file of a plan.
#[derive(Debug, Serialize)]
pub struct PlannedFile {
    /// Its path in the repository.
    pub name: String,
    /// Its size.
    pub file_bytes: u64,
    /// Bytes that are in the cache.
    pub cached_bytes: u64,
    #[serde(skip)]
    pub(super) remote: RemoteFile,
    /// Its bytes, if the plan took reading it.
    #[serde(skip)]
    pub(super) read: Option<Vec<u8>>,
}

fn as_text<S: serde::Serializer>(id: &RepoId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(id.as_str())
}

impl Plan {
    /// Bytes of all files.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.file_bytes).fold(0, u64::saturating_add)
    }

    /// Bytes that are in the cache.
    pub fn cached_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.cached_bytes).fold(0, u64::saturating_add)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {} ({})\n", self.id, self.revision, self.commit)?;
        let align = [Align::Left, Align::Right, Align::Right];
        let mut table = Table::new(&["file", "size", "cached"], &align);
        for file in &self.files {
            table.row([file.name.clone(), bytes(file.file_bytes), bytes(file.cached_bytes)]);
        }
        let (total, cached) = (self.total_bytes(), self.cached_bytes());
        table.row([format!("{} files", self.files.len()), bytes(total), bytes(cached)]);
        write!(f, "{table}\nto fetch: {}", bytes(total - cached))
    }
}

/// Finds the files of `source` and looks for them in the cache.
pub(super) fn plan(
    client: &Client,
    repository: &Repository,
    source: &Source,
    progress: &mut dyn Progress,
) -> Result<Plan, Error> {
    let target = Target { id: &source.id, revision: &source.revision, file: None };
    let Listing { commit, files } = client.listing(target, progress)?;
    let mut planner = Planner { client, repository, source, commit: &commit, files: &files, progress };
    let (names, index) = match &source.file {
        Some(file) => (planner.gguf(file)?, None),
        None => planner.checkpoint()?,
    };
    let mut planned = Vec::new();
    for name in &names {
        let remote = planner.remote(name)?;
        let read = index.as_ref().filter(|_| name == INDEX).cloned();
        let cached_bytes = planner.cached_bytes(&remote);
        planned.push(PlannedFile {
            name: name.clone(),
            file_bytes: remote.file_bytes,
            cached_bytes,
            remote,
            read,
        });
    }
    for (name, expected) in &source.pinned {
        let listed = planned.iter().find(|file| file.name == *name);
        if let Some(file) = listed.filter(|file| file.remote.digest.as_str() != expected) {
            let (file, found) = (file.name.clone(), file.remote.digest.clone());
            return Err(Error::Pinned { file, found, expected: expected.clone() });
        }
    }
    let gguf = source.file.as_ref().map(|file| parts(file).swap_remove(0));
    Ok(Plan { id: source.id.clone(), revision: source.revision.clone(), commit, files: planned, gguf })
}

struct Planner<'a> {
    client: &'a Client,
    repository: &'a Repository,
    source: &'a Source,
    commit: &'a str,
    files: &'a [Listed],
    progress: &'a mut dyn Progress,
}

impl Planner<'_> {
    fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.name == name)
    }

    /// GGUF files of the repository, of split models the first parts.
    fn ggufs(&self) -> Vec<String> {
        let names = self.files.iter().map(|file| &file.name);
        let mut names: Vec<String> =
            names.filter(|name| is_gguf(name) && parts(name)[0] == **name).cloned().collect();
        names.sort();
        names
    }

    /// Name to give for a GGUF file, and its size with all parts.
    fn sized(&self, name: &str) -> String {
        let size = |part: &String| {
            let listed = self.files.iter().find(|listed| listed.name == *part);
            listed.and_then(|listed| Some(listed.file.as_ref()?.file_bytes))
        };
        let text = self.source.with_file(name).to_string();
        match parts(name).iter().map(size).sum::<Option<u64>>() {
            Some(total) => format!("{text}  ({})", bytes(total)),
            None => text,
        }
    }

    /// Names of the files of a GGUF model.
    fn gguf(&self, file: &str) -> Result<BTreeSet<String>, Error> {
        let parts = parts(file);
        match parts.iter().find(|part| !self.has(part)) {
            None => Ok(parts.into_iter().collect()),
            Some(missing) => Err(Error::NoSuchFile {
                id: self.source.id.to_string(),
                file: missing.clone(),
                names: self.ggufs(),
            }),
        }
    }

    /// Names of the files of a checkpoint, and the bytes of the index if it has shards.
    fn checkpoint(&mut self) -> Result<(BTreeSet<String>, Option<Vec<u8>>), Error> {
        let listed = self.files.iter().map(|file| &file.name);
        let mut names: BTreeSet<String> =
            listed.clone().filter(|name| select::is_beside(name)).cloned().collect();
        if self.has(WHOLE) {
            names.insert(WHOLE.to_owned());
            return Ok((names, None));
        }
        if self.has(INDEX) {
            let index = self.index()?;
            let id = || self.source.id.to_string();
            let shards = select::shards(&index).map_err(|source| Error::Index { id: id(), source })?;
            if let Some(missing) = shards.iter().find(|shard| !self.has(shard)) {
                let found = format!("no `{missing}`, which its index names");
                return Err(Error::NoWeights { id: id(), found });
            }
            names.extend(shards);
            names.insert(INDEX.to_owned());
            return Ok((names, Some(index)));
        }
        let weights: Vec<String> = listed.clone().filter(|name| select::is_weights(name)).cloned().collect();
        if weights.is_empty() && !names.contains(select::ADAPTER) {
            let ggufs = self.ggufs();
            let id = self.source.id.to_string();
            if !ggufs.is_empty() {
                let first = self.source.with_file(&ggufs[0]).to_string();
                let sized = ggufs.iter().map(|name| self.sized(name)).collect();
                return Err(Error::OnlyGguf { id, sized, first });
            }
            let other = listed.clone().find(|name| select::is_other_weights(name));
            let found =
                other.map_or_else(|| "no weights".to_owned(), |name| format!("its weights as {name}"));
            return Err(Error::NoWeights { id, found });
        }
        names.extend(weights);
        Ok((names, None))
    }

    /// The index, from the cache or the hub.
    fn index(&mut self) -> Result<Vec<u8>, Error> {
        let remote = self.remote(INDEX)?;
        let cached =
            || fs::metadata(self.repository.blob(&remote)).is_ok_and(|file| file.len() == remote.file_bytes);
        let target = Target { id: &self.source.id, revision: self.commit, file: Some(INDEX) };
        if remote.file_bytes > MAX_INDEX_BYTES {
            return Err(Error::TooLong { url: self.client.url(target), limit: MAX_INDEX_BYTES });
        }
        if cached() {
            let path = self.repository.blob(&remote);
            return crate::files::read(&path, MAX_INDEX_BYTES).map_err(|source| Error::Read { path, source });
        }
        let bytes = self.client.bytes(target, remote.file_bytes, self.progress)?;
        let mut hasher = remote.digest.hasher(remote.file_bytes);
        hasher.update(&bytes);
        let found = hasher.finish();
        match found == remote.digest {
            true => Ok(bytes),
            false => Err(Error::Hash { file: INDEX.to_owned(), found, expected: remote.digest }),
        }
    }

    /// Size and hash of a listed file.
    fn remote(&mut self, name: &str) -> Result<RemoteFile, Error> {
        let listed = self.files.iter().find(|file| file.name == name);
        match listed.and_then(|listed| listed.file.clone()) {
            Some(file) => Ok(file),
            None => {
                let target = Target { id: &self.source.id, revision: self.commit, file: Some(name) };
                self.client.metadata(target, self.progress)
            }
        }
    }

    fn cached_bytes(&self, file: &RemoteFile) -> u64 {
        if self.repository.has(file, self.commit) {
            return file.file_bytes;
        }
        let partial = fs::metadata(self.repository.partial(file)).map_or(0, |metadata| metadata.len());
        if partial <= file.file_bytes { partial } else { 0 }
    }
}
