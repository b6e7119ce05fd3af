//! Verification of the models that states were computed with: full hashes of their files.
//!
//! The key of a state contains only a model's header and samples of its weights, since reading gigabytes before
//! each call would cost more than the state saves. So the full hash is computed when the user asks for
//! verification. The first hash of each file is recorded and compared with from then on; the report that
//! `edgecall convert` wrote beside the file is compared with, too.

use super::{
    Cache, ModelId,
    key::hex,
    model_record::{FileRecord, ModelRecord},
};
use crate::{
    files,
    runtime::{FileStat, ModelFile, fingerprint},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Size limit of a report; larger files are not read.
const MAX_REPORT_BYTES: u64 = 64 << 20;

/// A model that states were computed with.
#[derive(Clone, Debug, Serialize)]
pub struct ModelListed {
    /// Identity of its files: 32 hexadecimal digits.
    pub id: String,
    /// Its files, in order; empty if no record names them.
    pub files: Vec<ModelFileListed>,
    /// Result of the verification; `None` if they were not verified.
    pub state: Option<ModelState>,
    /// Explanation of the result, for people.
    pub reason: Option<String>,
}

/// A file of a model.
#[derive(Clone, Debug, Serialize)]
pub struct ModelFileListed {
    /// Its path when a state was last computed or used with it.
    pub path: PathBuf,
    /// Its size then.
    pub bytes: u64,
    /// SHA-256 of the file: current if verified, otherwise as recorded.
    pub sha256: Option<String>,
}

/// Result of comparing a model's files with what was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelState {
    /// Every byte is unchanged since the first hash, or since `edgecall convert` wrote it.
    Same,
    /// Size, times and samples are unchanged. This is the first full hash, so there is nothing to compare it
    /// with.
    HashedFirst,
    /// Size, times and samples are unchanged, but other bytes differ. Calls still use the states.
    Altered,
    /// Another file is there, or it was modified. Calls do not use the states.
    Replaced,
    /// The file is gone.
    Missing,
    /// The file exists and cannot be read.
    Unreadable,
    /// No record names the files.
    Unknown,
}

impl ModelState {
    /// True if calls may use states whose model could not be confirmed.
    pub fn is_doubtful(self) -> bool {
        matches!(self, ModelState::Altered | ModelState::Unreadable | ModelState::Unknown)
    }
}

impl fmt::Display for ModelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ModelState::Same => "same",
            ModelState::HashedFirst => "first hash",
            ModelState::Altered => "altered",
            ModelState::Replaced => "replaced",
            ModelState::Missing => "gone",
            ModelState::Unreadable => "unreadable",
            ModelState::Unknown => "unknown",
        })
    }
}

impl Cache {
    /// The recorded files of the model; with `verify`, they are hashed and compared.
    pub(super) fn listed_model(&self, id: &ModelId, verify: bool) -> ModelListed {
        let record = ModelRecord::read(&ModelRecord::path(&self.folder, id));
        let files = record.iter().flat_map(|record| &record.files);
        let files = files
            .map(|recorded| ModelFileListed {
                path: recorded.path.clone(),
                bytes: recorded.file().stat.bytes,
                sha256: recorded.sha256.clone(),
            })
            .collect();
        let listed = ModelListed { id: id.name(), files, state: None, reason: None };
        match record {
            _ if !verify => listed,
            Some(record) => self.verified(id, record, listed),
            None => listed.found(
                ModelState::Unknown,
                "it is not noted which files they were; the next call that uses the states notes it",
            ),
        }
    }

    fn verified(&self, id: &ModelId, mut record: ModelRecord, mut listed: ModelListed) -> ModelListed {
        let now = match compare_stat(&record.files) {
            Ok(now) => now,
            Err((state, reason)) => return listed.found(state, reason),
        };
        match fingerprint(&now) {
            Ok(found) if found == id.0 => {}
            Ok(_) => return listed.found(ModelState::Replaced, TOUCHED),
            Err(error) => return listed.found(ModelState::Unreadable, error.to_string()),
        }
        let (mut is_compared, mut is_new) = (true, false);
        let mut reasons = Vec::new();
        for (at, file) in now.iter().enumerate() {
            let sha256 = match file.sha256() {
                Ok(sha256) => sha256,
                Err(error) => return listed.found(ModelState::Unreadable, error.to_string()),
            };
            let found = hex(&sha256);
            let recorded = record.files[at].sha256.clone();
            let report = report_path(&file.path);
            let reported = reported(&report, file.stat.bytes);
            listed.files[at].sha256 = Some(found.clone());
            if recorded.as_ref().is_some_and(|recorded| *recorded != found) {
                return listed.found(ModelState::Altered, format!("{} than at the first hash", ALTERED));
            }
            if reported.as_ref().is_some_and(|reported| *reported != found) {
                let report = report.display();
                return listed.found(ModelState::Altered, format!("{ALTERED} than {report} says"));
            }
            match (&recorded, reported) {
                (None, None) => is_compared = false,
                (_, Some(_)) => reasons.push(format!("as {} says", report.display())),
                (Some(_), None) => reasons.push("as at the first hash".to_owned()),
            }
            is_new |= recorded.is_none();
            record.set_sha256(at, sha256);
        }
        let written = match is_new {
            true => record.write(&self.folder, id, SystemTime::now()),
            false => Ok(()),
        };
        reasons.dedup();
        match (is_compared, written) {
            (true, _) => listed.found(ModelState::Same, reasons.join(", ")),
            (false, Ok(())) => {
                listed.found(ModelState::HashedFirst, "noted, to be compared with from now on")
            }
            (false, Err(error)) => {
                listed.found(ModelState::HashedFirst, format!("it cannot be noted: {error}"))
            }
        }
    }
}

const TOUCHED: &str = "another file, or touched since; calls do not use its states";
const ALTERED: &str =
    "calls use its states, for size, time of change and samples are the same, and it has other bytes";

impl ModelListed {
    fn found(self, state: ModelState, reason: impl Into<String>) -> ModelListed {
        ModelListed { state: Some(state), reason: Some(reason.into()), ..self }
    }
}

/// The files with their recorded data, if size, inode and time of change of each are unchanged.
fn compare_stat(files: &[FileRecord]) -> Result<Vec<ModelFile>, (ModelState, String)> {
    let now = |recorded: &FileRecord| {
        let file = recorded.file();
        match FileStat::read(&file.path) {
            Ok(stat) if stat == file.stat => Ok(file),
            Ok(_) => Err((ModelState::Replaced, TOUCHED.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err((
                ModelState::Missing,
                "nothing is there; calls use its states where it was moved on this disk".to_owned(),
            )),
            Err(error) => Err((ModelState::Unreadable, error.to_string())),
        }
    };
    files.iter().map(now).collect()
}

/// Path of the report that `edgecall convert` writes beside the file at `path`.
fn report_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}

/// SHA-256 from the report at `path`; `None` if there is no report for a file of `bytes`.
fn reported(path: &Path, bytes: u64) -> Option<String> {
    #[derive(Deserialize)]
    struct Report {
        file: Written,
    }
    #[derive(Deserialize)]
    struct Written {
        file_bytes: u64,
        sha256: String,
    }
    let report: Report = serde_json::from_slice(&files::read(path, MAX_REPORT_BYTES).ok()?).ok()?;
    (report.file.file_bytes == bytes).then_some(report.file.sha256)
}
