//! The vocabulary of an adapter's own tokenizer, held against the base's.

use super::{Error, folder::Adapter};
use crate::{checkpoint::MAX_JSON_BYTES, files};
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

/// Share of other tokens from which on the adapter belongs to another model: a few are replaced on purpose.
const MOST_REPLACED: f64 = 0.01;

/// The part of `tokenizer.json` that is compared: the tokens without those that were added.
#[derive(Deserialize)]
struct File {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    vocab: BTreeMap<String, u64>,
}

/// Refuses an adapter whose tokenizer has other tokens than that of the base in `base`.
///
/// # Errors
/// [`Error::Vocabulary`].
pub(super) fn check(adapter: &Adapter, base: &Path) -> Result<(), Error> {
    let read = |dir: &Path| files::read(&dir.join("tokenizer.json"), MAX_JSON_BYTES).ok();
    let (Some(ours), Some(theirs)) = (read(&adapter.dir), read(base)) else { return Ok(()) };
    if ours == theirs {
        return Ok(());
    }
    // A tokenizer of another kind is refused where it is read for the file.
    let tokens = |json: Vec<u8>| serde_json::from_slice::<File>(&json).ok().map(|file| file.model.vocab);
    let (Some(ours), Some(theirs)) = (tokens(ours), tokens(theirs)) else { return Ok(()) };
    let theirs: BTreeMap<u64, &str> = theirs.iter().map(|(text, id)| (*id, text.as_str())).collect();
    let both = ours.iter().filter_map(|(text, id)| Some((*id, text.as_str(), *theirs.get(id)?)));
    let total = both.clone().count();
    let mut others: Vec<(u64, &str, &str)> = both.filter(|(_, ours, theirs)| ours != theirs).collect();
    others.sort_unstable();
    match others.first() {
        Some(&(id, ours, theirs)) if others.len() as f64 > MOST_REPLACED * total as f64 => {
            Err(Error::Vocabulary {
                path: adapter.dir.clone(),
                differ: others.len(),
                total,
                example: format!("id {id}: {ours:?} and {theirs:?}"),
                name: adapter.base_name().map(str::to_owned),
            })
        }
        _ => Ok(()),
    }
}
