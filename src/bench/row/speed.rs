//! Cost of a call, from the speed pass in which the models take turns.

use super::{Cost, RowFile, Variant};
use crate::bench::{Error, data::DataId};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// Cost of one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema_version: u32,
    /// Variant of the rows that it belongs to.
    #[serde(rename = "arm")]
    pub variant: Variant,
    /// CPU kernels that computed the call.
    pub kernels: String,
    /// Hashes of the data.
    pub data: DataId,
    /// Index of the conversation, counted from 0.
    pub conversation: usize,
    /// Index of the call in the conversation, counted from 0.
    pub turn: usize,
    /// The measured cost.
    pub cost: Cost,
}

/// Identity of a measured call: variant, host, conversation and turn.
pub type SpeedKey = (Variant, String, usize, usize);

impl Speed {
    /// Identity of the call.
    pub fn key(&self) -> SpeedKey {
        (self.variant.clone(), self.cost.host.clone(), self.conversation, self.turn)
    }
}

/// Merges the measured calls of all files; of equal keys the first one counts.
///
/// # Errors
/// [`Error::File`] for a call of other data than `data`.
pub(super) fn merge(files: &[(PathBuf, RowFile)], data: Option<&DataId>) -> Result<Vec<Speed>, Error> {
    let mut merged: BTreeMap<SpeedKey, Speed> = BTreeMap::new();
    for (path, file) in files {
        for speed in &file.speeds {
            if data.is_some_and(|data| *data != speed.data) {
                let problem = "calls were measured on other data than the rows are from".into();
                return Err(Error::File { path: path.clone(), problem, source: None });
            }
            merged.entry(speed.key()).or_insert_with(|| speed.clone());
        }
    }
    Ok(merged.into_values().collect())
}
