//! Listing, verification and removal of the cached files.

use super::Error;
use super::{
    Cache, ModelId, ModelListed, ModelState,
    entry::{EntryError, Head},
    folder::{COSTS, CachedFile, DERIVATION, MODEL, STATE, TRIAL, remove},
    model_record::ModelRecord,
};
use crate::files;
use serde::Serialize;
use std::{collections::BTreeSet, fmt, io, path::PathBuf, time::SystemTime};

/// All cached files.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    /// The folder.
    pub folder: PathBuf,
    /// The bytes of all files.
    pub bytes: u64,
    /// The files, the one used last first.
    pub files: Vec<Listed>,
    /// The models that the states were computed with.
    pub models: Vec<ModelListed>,
}

/// Kind of a cached file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// The state of a piece of a prompt.
    Prefix,
    /// A log of answers.
    Answers,
    /// Measured costs of decodes.
    Costs,
    /// Format of tool calls, derived from a chat template.
    Format,
    /// Paths and hashes of the files of a model that states were computed with.
    Model,
    /// Note that a model was loaded and used once without a crash.
    Trial,
}

/// One file.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// Its name in the folder.
    pub name: String,
    /// Kind of file, by its extension.
    #[serde(rename = "what")]
    pub kind: FileKind,
    /// The model's file name; `None` for a log of answers, costs, a format and a trial.
    pub model: Option<String>,
    /// [`ModelListed::id`] of the model that a state was computed with.
    pub model_id: Option<String>,
    /// Tokens from the prompt's beginning to the end of the piece; for a log of answers, those of all answers.
    pub tokens: Option<usize>,
    /// Index of the first token of the piece whose state it holds.
    pub first_token: Option<usize>,
    /// Its size.
    pub bytes: u64,
    /// Seconds since it was used last.
    pub age_s: u64,
    /// The reason why it will not be used; `None` if it is fine.
    pub flaw: Option<String>,
}

/// Totals of the files that were removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cleared {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Cache {
    /// Lists the cached files. With `verify`, every state is read and its checksum compared, and every model
    /// that states were computed with is hashed in full and compared with the recorded hash. Otherwise only
    /// heads are read.
    ///
    /// # Errors
    /// A folder that exists and cannot be listed.
    pub fn list(&self, verify: bool) -> Result<Listing, Error> {
        let mut made_with = BTreeSet::new();
        let mut files = Vec::new();
        for kept in self.kept()?.iter().rev() {
            let (file, model) = self.listed(kept, verify);
            files.push(file);
            made_with.extend(model);
        }
        let bytes = files.iter().map(|file| file.bytes).sum();
        let models = made_with.into_iter().map(|id| self.listed_model(&id, verify)).collect();
        Ok(Listing { folder: self.path().to_path_buf(), bytes, files, models })
    }

    /// Removes all cached files, and nothing else.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub fn clear(&self) -> Result<Cleared, Error> {
        let mut cleared = Cleared { files: 0, bytes: 0 };
        for kept in self.kept()? {
            remove(&kept.path).map_err(|source| Error::Remove { path: kept.path.clone(), source })?;
            cleared.files += 1;
            cleared.bytes += kept.bytes;
        }
        Ok(cleared)
    }

    fn kept(&self) -> Result<Vec<CachedFile>, Error> {
        match self.folder.files() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            files => files.map_err(|source| Error::Read { path: self.path().to_path_buf(), source }),
        }
    }

    fn listed(&self, kept: &CachedFile, verify: bool) -> (Listed, Option<ModelId>) {
        let name = kept.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let age_s = SystemTime::now().duration_since(kept.used).map_or(0, |age| age.as_secs());
        let kind = match kept.path.extension().and_then(|ending| ending.to_str()) {
            Some(STATE) => FileKind::Prefix,
            Some(COSTS) => FileKind::Costs,
            Some(DERIVATION) => FileKind::Format,
            Some(MODEL) => FileKind::Model,
            Some(TRIAL) => FileKind::Trial,
            _ => FileKind::Answers,
        };
        let listed = Listed {
            name,
            kind,
            model: None,
            model_id: None,
            tokens: None,
            first_token: None,
            bytes: kept.bytes,
            age_s,
            flaw: None,
        };
        match kind {
            FileKind::Costs | FileKind::Format | FileKind::Trial => (listed, None),
            FileKind::Answers => {
                let tokens = super::history::read(&kept.path).map(|all| all.iter().map(Vec::len).sum());
                (Listed { tokens: tokens.ok(), ..listed }, None)
            }
            FileKind::Model => match ModelRecord::read(&kept.path) {
                Some(record) => (Listed { model: record.name(), ..listed }, None),
                None => (Listed { flaw: Some(EntryError::Head.to_string()), ..listed }, None),
            },
            FileKind::Prefix => match self.read_head(kept, verify) {
                Err(flaw) => (Listed { flaw: Some(flaw.to_string()), ..listed }, None),
                Ok(head) => {
                    let (tokens, first_token) = (Some(head.tokens.len()), Some(head.start));
                    let (model, model_id) = (Some(head.label), Some(head.model.name()));
                    (Listed { model, model_id, tokens, first_token, ..listed }, Some(head.model))
                }
            },
        }
    }

    fn read_head(&self, kept: &CachedFile, verify: bool) -> Result<Head, EntryError> {
        let mut file = files::open_unlinked(&kept.path)?;
        let head = Head::read(&mut file, kept.bytes)?;
        if self.folder.file(&head.key.name(&head.tokens), STATE) != kept.path {
            return Err(EntryError::Other);
        }
        if verify {
            head.read_state(&mut file, &mut Vec::new())?;
        }
        Ok(head)
    }
}

impl Listing {
    /// Result of verifying the model that the state in `file` was computed with; `None` if it was not verified.
    fn state_of(&self, file: &Listed) -> Option<ModelState> {
        self.models.iter().find(|model| Some(&model.id) == file.model_id.as_ref())?.state
    }

    /// Summary of all defects found, in one sentence; `None` if there are none.
    pub fn complaint(&self) -> Option<String> {
        let doubtful = |file: &&Listed| self.state_of(file).is_some_and(ModelState::is_doubtful);
        let bad = self.files.iter().filter(|file| file.flaw.is_some()).count();
        let doubtful = self.files.iter().filter(doubtful).count();
        let mut parts = Vec::new();
        if bad > 0 {
            parts.push("some files are bad; calls will ignore and replace them".to_owned());
        }
        if doubtful > 0 {
            parts.push(format!(
                "{doubtful} states cannot be shown to be those of the model on the disk; mend what stands beside it, \
                 and remove them with `edgecall cache clear`"
            ));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<36}{:>13}{:>10}{:>10}  what", "model", "tokens", "MiB", "age")?;
        for file in &self.files {
            let tokens = match (file.first_token, file.tokens) {
                (Some(first), Some(tokens)) => format!("{first}..{tokens}"),
                (None, Some(tokens)) => tokens.to_string(),
                _ => "—".to_owned(),
            };
            let what = match (&file.flaw, file.kind) {
                (Some(flaw), _) => format!("bad: {flaw} ({})", file.name),
                (None, FileKind::Prefix) => match self.state_of(file) {
                    Some(state) => format!("prefix, model {state}"),
                    None => "prefix".to_owned(),
                },
                (None, FileKind::Answers) => "answers".to_owned(),
                (None, FileKind::Costs) => "costs of decodes".to_owned(),
                (None, FileKind::Format) => "format of tool calls".to_owned(),
                (None, FileKind::Model) => "where the model is".to_owned(),
                (None, FileKind::Trial) => "a trial that passed".to_owned(),
            };
            let model = file.model.as_deref().unwrap_or("—");
            let model: String = shown(model).chars().take(35).collect();
            let mib = file.bytes as f64 / f64::from(1 << 20);
            writeln!(f, "{model:<36}{tokens:>13}{mib:>10.2}{:>10}  {what}", age(file.age_s))?;
        }
        let mib = self.bytes as f64 / f64::from(1 << 20);
        write!(f, "{} files, {mib:.2} MiB in {}", self.files.len(), self.folder.display())?;
        let mut seen = self.models.iter().filter_map(|model| Some((model, model.state?))).peekable();
        if seen.peek().is_some() {
            write!(f, "\n\n{:<12}{:>10}  hashed whole", "model", "MiB")?;
        }
        for (model, state) in seen {
            if model.files.is_empty() {
                write!(f, "\n{state:<12}{:>10}  {}", "—", model.id)?;
            }
            for file in &model.files {
                let mib = file.bytes as f64 / f64::from(1 << 20);
                write!(f, "\n{state:<12}{mib:>10.2}  {}", shown(&file.path.to_string_lossy()))?;
            }
            write!(f, "\n{:<24}{}", "", shown(model.reason.as_deref().unwrap_or_default()))?;
        }
        Ok(())
    }
}

/// Text without control characters, which could steer a terminal: file contents are untrusted.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

impl fmt::Display for Cleared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "removed {} files, {:.2} MiB", self.files, self.bytes as f64 / f64::from(1 << 20))
    }
}

/// An age in the largest unit that gives a number of 2 or more.
fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
