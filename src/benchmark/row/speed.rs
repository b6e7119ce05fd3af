//! What a call cost in the pass that measures speed, where models take turns.

use super::{Arm, Cost, Data, RowFile};
use crate::benchmark::Error;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// One measured call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema_version: u32,
    /// Model and settings: those of the rows that it belongs to.
    pub arm: Arm,
    /// The kernels of the CPU that computed.
    pub kernels: String,
    /// The data it is from.
    pub data: Data,
    /// The conversation, counted from 0.
    pub conversation: usize,
    /// The call of the conversation, counted from 0.
    pub turn: usize,
    /// What it cost.
    pub cost: Cost,
}

/// What tells a measured call from all others: each host measures its own.
pub type SpeedKey = (Arm, String, usize, usize);

impl Speed {
    /// What tells it from all others.
    pub fn key(&self) -> SpeedKey {
        (self.arm.clone(), self.cost.host.clone(), self.conversation, self.turn)
    }
}

/// The measured calls of all files, each once: the first that was measured.
///
/// # Errors
/// [`Error::File`] for one of other data than `data`.
pub(super) fn merge(files: &[(PathBuf, RowFile)], data: Option<&Data>) -> Result<Vec<Speed>, Error> {
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
