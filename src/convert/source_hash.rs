//! SHA-256 of the checkpoint's files, computed during the pass over the weights.

use super::Error;
use crate::{
    checkpoint::{MAX_JSON_BYTES, OverlaySource, Shards},
    files,
    hash::{add_all, hex},
};
use sha2::{Digest, Sha256};
use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

const CHUNK: usize = 1 << 18;

/// A file of the checkpoint and its hash.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SourceHash {
    /// The file's name in the checkpoint folder.
    pub name: String,
    /// Its size.
    pub file_bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Hashes each shard from front to back, right after the workers, while its bytes are still in the page cache.
pub(super) struct SourceHasher<'a> {
    shards: &'a Shards,
    states: Vec<Mutex<State>>,
}

struct State {
    sha256: Sha256,
    hashed_bytes: u64,
    buffer: Vec<u8>,
}

impl<'a> SourceHasher<'a> {
    pub(super) fn new(shards: &'a Shards) -> SourceHasher<'a> {
        let state = || State { sha256: Sha256::new(), hashed_bytes: 0, buffer: Vec::new() };
        SourceHasher { shards, states: shards.files().iter().map(|_| Mutex::new(state())).collect() }
    }

    /// Hashes up to the end of a slab, given as its shard and the offset in it, unless another worker is hashing
    /// this shard.
    pub(super) fn advance(&self, slab_end: Option<(usize, u64)>) -> Result<(), Error> {
        let Some((shard, end)) = slab_end else { return Ok(()) };
        match self.states[shard].try_lock() {
            Ok(mut state) => self.hash_to(shard, &mut state, end),
            Err(_) => Ok(()),
        }
    }

    fn hash_to(&self, shard: usize, state: &mut State, end: u64) -> Result<(), Error> {
        while state.hashed_bytes < end {
            let len = (end - state.hashed_bytes).min(CHUNK as u64) as usize;
            state.buffer.resize(len, 0);
            self.shards.files()[shard].read_at(&mut state.buffer, state.hashed_bytes)?;
            state.sha256.update(&state.buffer);
            state.hashed_bytes += len as u64;
        }
        Ok(())
    }

    /// Hashes the rest and returns the hashes in the order of the files.
    pub(super) fn finish(self, interrupt: &AtomicBool) -> Result<Vec<SourceHash>, Error> {
        let mut hashes = Vec::new();
        for (shard, file) in self.shards.files().iter().enumerate() {
            let mut state = self.states[shard].lock().expect("no worker panics with the lock held");
            while state.hashed_bytes < file.file_bytes {
                if interrupt.load(Ordering::Relaxed) {
                    return Err(Error::Interrupted);
                }
                let end = file.file_bytes.min(state.hashed_bytes + CHUNK as u64);
                self.hash_to(shard, &mut state, end)?;
            }
            let sha256 = std::mem::take(&mut state.sha256);
            hashes.push(SourceHash {
                name: file.name.clone(),
                file_bytes: file.file_bytes,
                sha256: hex(&sha256.finalize()),
            });
        }
        Ok(hashes)
    }
}

/// The files beside the shards that influence the output, as far as they exist.
pub(super) const SMALL_FILES: &[&str] = &[
    "README.md",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
    "generation_config.json",
    "merges.txt",
    "model.safetensors.index.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
];

/// Refuses small files that cannot be read, before any work.
pub(super) fn check_small_files(dir: &Path) -> Result<(), Error> {
    for name in SMALL_FILES {
        let path = dir.join(name);
        files::if_present(files::open(&path)).map_err(|source| Error::Unreadable { path, source })?;
    }
    Ok(())
}

/// Hashes the checkpoint's small files.
pub(super) fn small_files(dir: &Path) -> Result<Vec<SourceHash>, Error> {
    let mut hashes = Vec::new();
    for name in SMALL_FILES {
        let path = dir.join(name);
        let read = files::if_present(files::read(&path, MAX_JSON_BYTES));
        if let Some(bytes) = read.map_err(|source| Error::Read { path, source })? {
            hashes.push(SourceHash {
                name: (*name).to_owned(),
                file_bytes: bytes.len() as u64,
                sha256: hex(&Sha256::digest(&bytes)),
            });
        }
    }
    Ok(hashes)
}

/// Hashes the files of a folder that an overlay comes from.
pub(super) fn overlay_files(
    source: &OverlaySource,
    interrupt: &AtomicBool,
) -> Result<Vec<SourceHash>, Error> {
    let mut hashes = Vec::new();
    for (name, path) in source.files.iter().zip(source.paths()) {
        let failed = |source| Error::Read { path: path.clone(), source };
        let file = files::open(&path).map_err(failed)?;
        let file_bytes = file.metadata().map_err(failed)?.len();
        let mut sha256 = Sha256::new();
        if !add_all(&mut sha256, file, || !interrupt.load(Ordering::Relaxed)).map_err(failed)? {
            return Err(Error::Interrupted);
        }
        hashes.push(SourceHash { name: name.clone(), file_bytes, sha256: hex(&sha256.finalize()) });
    }
    Ok(hashes)
}
