//! What is kept, for people: listed, verified, cleared.

use super::{
    Store,
    entry::{Flaw, Head},
    folder::{COSTS, Kept, STATE, remove},
};
use crate::{Error, Result};
use serde::Serialize;
use std::{fmt, fs::File, io, path::PathBuf, time::SystemTime};

/// All that is kept.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    /// The folder.
    pub folder: PathBuf,
    /// The bytes of all files.
    pub bytes: u64,
    /// The files, the one used last first.
    pub files: Vec<Listed>,
}

/// One file.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// Its name in the folder.
    pub name: String,
    /// The model's name; `None` for a log of answers.
    pub model: Option<String>,
    /// The tokens from the prompt's beginning to the end of what it holds; for a log of answers, theirs.
    pub tokens: Option<usize>,
    /// The first of the tokens whose state it holds.
    pub first_token: Option<usize>,
    /// Its length.
    pub bytes: u64,
    /// Seconds since it was used last.
    pub age_s: u64,
    /// Why it will not be used.
    pub flaw: Option<String>,
}

/// What was taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cleared {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Store {
    /// What is kept. `verify` reads every state and holds it against its checksum; else only heads are read.
    ///
    /// # Errors
    /// A folder that is there and cannot be listed.
    pub fn list(&self, verify: bool) -> Result<Listing> {
        let mut files: Vec<Listed> = self.kept()?.iter().map(|kept| self.listed(kept, verify)).collect();
        files.reverse();
        let bytes = files.iter().map(|file| file.bytes).sum();
        Ok(Listing { folder: self.path().to_path_buf(), bytes, files })
    }

    /// Takes away everything that is kept, and nothing else.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub fn clear(&self) -> Result<Cleared> {
        let mut cleared = Cleared { files: 0, bytes: 0 };
        for kept in self.kept()? {
            remove(&kept.path).map_err(|source| Error::Remove { path: kept.path.clone(), source })?;
            cleared.files += 1;
            cleared.bytes += kept.bytes;
        }
        Ok(cleared)
    }

    fn kept(&self) -> Result<Vec<Kept>> {
        match self.folder.files() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            files => files.map_err(|source| Error::read(self.path(), source)),
        }
    }

    fn listed(&self, kept: &Kept, verify: bool) -> Listed {
        let name = kept.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let age_s = SystemTime::now().duration_since(kept.used).map_or(0, |age| age.as_secs());
        let listed = Listed {
            name,
            model: None,
            tokens: None,
            first_token: None,
            bytes: kept.bytes,
            age_s,
            flaw: None,
        };
        if kept.path.extension().is_some_and(|ending| ending == COSTS) {
            return listed;
        }
        if kept.path.extension().is_none_or(|ending| ending != STATE) {
            let tokens = super::history::read(&kept.path).map(|answers| answers.iter().map(Vec::len).sum());
            return Listed { tokens: tokens.ok(), ..listed };
        }
        match self.read_head(kept, verify) {
            Err(flaw) => Listed { flaw: Some(flaw.to_string()), ..listed },
            Ok(head) => Listed {
                model: Some(head.label),
                tokens: Some(head.tokens.len()),
                first_token: Some(head.start),
                ..listed
            },
        }
    }

    fn read_head(&self, kept: &Kept, verify: bool) -> Result<Head, Flaw> {
        let mut file = File::open(&kept.path)?;
        let head = Head::read(&mut file, kept.bytes)?;
        if self.folder.file(&head.key.name(&head.tokens), STATE) != kept.path {
            return Err(Flaw::Other);
        }
        if verify {
            head.read_state(&mut file, &mut Vec::new())?;
        }
        Ok(head)
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
            let what = match (&file.flaw, &file.model) {
                (Some(flaw), _) => format!("bad: {flaw} ({})", file.name),
                (None, Some(_)) => "prefix".to_owned(),
                (None, None) if file.tokens.is_none() => "costs of decodes".to_owned(),
                (None, None) => "answers".to_owned(),
            };
            let model = file.model.as_deref().unwrap_or("—");
            // The file may say anything.
            let model: String = model.chars().filter(|c| !c.is_control()).take(35).collect();
            let mib = file.bytes as f64 / f64::from(1 << 20);
            writeln!(f, "{model:<36}{tokens:>13}{mib:>10.2}{:>10}  {what}", age(file.age_s))?;
        }
        let mib = self.bytes as f64 / f64::from(1 << 20);
        write!(f, "{} files, {mib:.2} MiB in {}", self.files.len(), self.folder.display())
    }
}

impl fmt::Display for Cleared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "removed {} files, {:.2} MiB", self.files, self.bytes as f64 / f64::from(1 << 20))
    }
}

/// A time in the largest unit of which there are two or more.
fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
