//! What a state is good for: the same model, computed the same way.

use crate::{
    mmap::Map,
    runtime::{FileStat, Model, ModelFile},
};
use sha2::{Digest, Sha256};
use std::io;
use xxhash_rust::xxh3::Xxh3;

/// Stands for a model and a setting, 32 bytes; others have others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub(super) [u8; 32]);

/// So much of a model is looked at beside its header, spread over it evenly.
const SAMPLES: u64 = 64;
const SAMPLE_BYTES: u64 = 4096;

impl Key {
    /// That of `model` and `facts` about how it is run, or what it is shown.
    ///
    /// Of the model's files count the size, inode and time of change, the header with the tensor table, and 64 blocks
    /// of 4 KiB.
    ///
    /// # Errors
    /// A file that cannot be read or is no longer the one that was loaded.
    pub fn of(model: &Model, facts: &[&[u8]]) -> io::Result<Key> {
        let mut hash = Sha256::new();
        for file in model.files() {
            hash.update(file_facts(file)?);
        }
        for fact in facts {
            hash.update((fact.len() as u64).to_le_bytes());
            hash.update(fact);
        }
        Ok(Key(hash.finalize().into()))
    }

    /// The name of what has this key and `content`: 32 hexadecimal digits.
    pub(super) fn name(&self, content: &[i32]) -> String {
        let mut hash = Sha256::new();
        hash.update(self.0);
        content.iter().for_each(|token| hash.update(token.to_le_bytes()));
        hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn file_facts(file: &ModelFile) -> io::Result<Vec<u8>> {
    let now = FileStat::of(&file.path)?;
    if now != file.stat {
        return Err(io::Error::other("the model's file was replaced while it was loaded"));
    }
    let mut facts = Vec::new();
    for number in [now.bytes, now.inode, now.modified_ns as u64, file.data_start] {
        facts.extend(number.to_le_bytes());
    }
    let map = Map::open(&file.path)?;
    let (header, data) = map.split_at(map.len().min(usize::try_from(file.data_start).unwrap_or(usize::MAX)));
    let mut hash = Xxh3::new();
    hash.update(header);
    let step = (data.len() as u64 / SAMPLES).max(1);
    for sample in (0..SAMPLES).map(|index| index * step) {
        let start = (sample as usize).min(data.len());
        let end = data.len().min(start + SAMPLE_BYTES as usize);
        hash.update(&data[start..end]);
    }
    facts.extend(hash.digest128().to_le_bytes());
    Ok(facts)
}

/// A model's name for people.
pub(super) fn label(model: &Model) -> String {
    let name = model.files().first().and_then(|file| file.path.file_name());
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
