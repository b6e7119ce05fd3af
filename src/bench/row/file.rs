//! A file of records.
//!
//! Records are only appended, by one process at a time, which holds a lock on the file until it ends. A killed run leaves
//! at most one incomplete line, the last. It is ignored when the file is read, and cut off when the run resumes.

use super::{ByName, Row, SCHEMA_VERSION, Speed, Variant};
use crate::{bench::Error, files};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

/// Limit on the size of the file. No run writes this much, but a path may name a device without an end.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// Header of a run: its command line and environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The command line.
    pub command: Vec<String>,
    /// Facts about machine and build, by name.
    pub environment: ByName<String>,
    /// Noise-floor conditions that could not be changed on that machine, with the reasons.
    #[serde(default, skip_serializing_if = "ByName::is_empty")]
    pub skipped: ByName<String>,
}

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// Start of a run.
    Start(Start),
    /// An answer.
    Row(Box<Row>),
    /// Cost of a call, from the speed pass.
    Speed(Box<Speed>),
}

/// Contents of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowFile {
    /// Starts, in the order of the file.
    pub starts: Vec<Start>,
    /// Rows, in the order of the file.
    pub rows: Vec<Row>,
    /// Line of each row, counted from 1.
    pub lines: Vec<usize>,
    /// Measured calls, in the order of the file.
    pub speeds: Vec<Speed>,
    /// Number of bytes up to the end of the last complete line.
    pub whole_bytes: u64,
    /// True if an incomplete line follows.
    pub torn: bool,
}

impl RowFile {
    /// Reads a file of rows; a last line without a line feed is ignored.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::File`] for a file that is too large, and [`Error::Line`] for a complete line that is
    /// not a record or has another version.
    pub fn read(path: &Path) -> Result<RowFile, Error> {
        let unreadable = |source| Error::Read { path: path.to_path_buf(), source };
        let read = files::open_input(path).and_then(|file| files::read_within(MAX_FILE_BYTES, file));
        let bytes = read.map_err(unreadable)?.ok_or_else(|| Error::File {
            path: path.to_path_buf(),
            problem: format!("more than {MAX_FILE_BYTES} bytes of rows"),
            source: None,
        })?;
        RowFile::parse(path, &bytes)
    }

    /// Parses rows; `path` is used in errors.
    ///
    /// # Errors
    /// As for [`RowFile::read`], except [`Error::Read`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<RowFile, Error> {
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut file = RowFile { whole_bytes: whole as u64, torn: whole < bytes.len(), ..RowFile::default() };
        for (index, line) in bytes[..whole].split(|byte| *byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let wrong = |problem: String, source: Option<serde_json::Error>| Error::Line {
                path: path.to_path_buf(),
                line: index + 1,
                problem,
                source: source.map(|source| Box::new(source) as _),
            };
            #[derive(Deserialize)]
            struct Version {
                schema_version: u32,
            }
            match serde_json::from_slice(line) {
                Ok(Version { schema_version: SCHEMA_VERSION }) => {}
                Ok(Version { schema_version: other }) => {
                    let problem = format!("is of version {other}, and this program reads {SCHEMA_VERSION}");
                    return Err(wrong(problem, None));
                }
                Err(error) => return Err(wrong("is no record of a benchmark run".into(), Some(error))),
            }
            match serde_json::from_slice(line) {
                Ok(Record::Start(start)) => file.starts.push(start),
                Ok(Record::Row(row)) => {
                    file.rows.push(*row);
                    file.lines.push(index + 1);
                }
                Ok(Record::Speed(speed)) => file.speeds.push(*speed),
                Err(error) => return Err(wrong("is no record of a benchmark run".into(), Some(error))),
            }
        }
        Ok(file)
    }

    /// Finished rows by variant and case. The kernels are not part of the key: a run that resumes on another machine
    /// keeps its rows, and the report marks pairs with different kernels.
    pub fn done(&self) -> BTreeMap<(Variant, usize, usize), &Row> {
        self.rows.iter().map(|row| ((row.key.variant.clone(), row.conversation, row.turn), row)).collect()
    }
}

/// Checks that no other process adds to the file at `path`, which may be missing: to be asked before slow steps.
///
/// # Errors
/// [`Error::InUse`].
pub fn check_unused(path: &Path) -> Result<(), Error> {
    match files::open(path) {
        Ok(file) => lock(&file, path),
        Err(_) => Ok(()),
    }
}

/// True if `file` is the one at `path`.
fn is_at(file: &File, path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let there = files::if_present(std::fs::metadata(path))?.map(identity);
    Ok(there == Some(identity(file.metadata()?)))
}

/// Takes the lock of `file` until it is closed, by the end of the process at the latest.
///
/// # Errors
/// [`Error::InUse`] if another process holds it.
fn lock(file: &File, path: &Path) -> Result<(), Error> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::InUse { path: path.to_path_buf() }),
        // Some network file systems have no locks; a single run works there as well.
        Err(TryLockError::Error(error)) => {
            tracing::warn!(path = %path.display(), %error, "the file cannot be locked");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Appends records to a file, which it locks.
pub struct RowWriter {
    file: File,
    path: PathBuf,
}

impl RowWriter {
    /// Creates a new file.
    ///
    /// # Errors
    /// [`Error::Create`] if it exists or cannot be created.
    pub fn create(path: &Path) -> Result<RowWriter, Error> {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let file = file.map_err(|source| Error::Create { path: path.to_path_buf(), source })?;
        lock(&file, path)?;
        Ok(RowWriter { file, path: path.to_path_buf() })
    }

    /// Opens a file to resume a run, and returns its contents. An incomplete last line is cut off; a missing file is
    /// created.
    ///
    /// # Errors
    /// As for [`RowFile::read`] and [`RowWriter::create`]; [`Error::InUse`] if another process writes to the file.
    pub fn resume(path: &Path) -> Result<(RowWriter, RowFile), Error> {
        let failed = |source| Error::Create { path: path.to_path_buf(), source };
        let file = loop {
            let file = files::open_to_append(path).map_err(failed)?;
            // Before the file is read: what is read must be all that is in it.
            lock(&file, path)?;
            // A run that has just ended may have replaced it in the meantime.
            if is_at(&file, path).map_err(failed)? {
                break file;
            }
        };
        let rows = RowFile::read(path)?;
        if rows.torn {
            file.set_len(rows.whole_bytes).map_err(failed)?;
        }
        Ok((RowWriter { file, path: path.to_path_buf() }, rows))
    }

    /// Appends one record in a single write.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn append(&mut self, record: &Record) -> Result<(), Error> {
        let failed = |source| Error::Write { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(record).map_err(|e| failed(e.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(failed)
    }

    /// Contents of the file, which no other process changes.
    ///
    /// # Errors
    /// As for [`RowFile::read`].
    pub fn contents(&self) -> Result<RowFile, Error> {
        RowFile::read(&self.path)
    }

    /// Replaces the contents of the file. It writes a temporary file and renames it, so a killed process leaves the old
    /// one; the lock passes to the new one.
    ///
    /// # Errors
    /// [`Error::Create`] and [`Error::Write`].
    pub fn replace(&mut self, rows: &RowFile) -> Result<(), Error> {
        let cannot = |source| Error::Create { path: self.path.clone(), source };
        // A link stays one: its target is replaced.
        let path = files::link_target(&self.path).map_err(cannot)?;
        let file = tempfile::NamedTempFile::new_in(files::folder_of(&path)).map_err(cannot)?;
        // A temporary file is private to its owner, so the old permissions are restored.
        if let Ok(old) = std::fs::metadata(&path) {
            file.as_file().set_permissions(old.permissions()).map_err(cannot)?;
        }
        let (file, beside) = file.into_parts();
        lock(&file, &path)?;
        let mut writer = RowWriter { file, path: self.path.clone() };
        for start in &rows.starts {
            writer.append(&Record::Start(start.clone()))?;
        }
        for row in &rows.rows {
            writer.append(&Record::Row(Box::new(row.clone())))?;
        }
        for speed in &rows.speeds {
            writer.append(&Record::Speed(Box::new(speed.clone())))?;
        }
        beside.persist(&path).map_err(|e| cannot(e.error))?;
        *self = writer;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink, process::Command};

    #[test]
    fn a_file_of_rows_behind_a_link_is_replaced_at_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("elsewhere")).unwrap();
        fs::write(at("elsewhere/rows.jsonl"), "").unwrap();
        symlink("elsewhere/rows.jsonl", at("link.jsonl")).unwrap();
        let (mut writer, mut rows) = RowWriter::resume(&at("link.jsonl")).unwrap();
        rows.starts.push(Start { schema_version: SCHEMA_VERSION, ..Start::default() });
        writer.replace(&rows).unwrap();
        writer.append(&Record::Start(rows.starts[0].clone())).unwrap();
        assert!(fs::symlink_metadata(at("link.jsonl")).unwrap().is_symlink());
        assert_eq!(RowFile::read(&at("elsewhere/rows.jsonl")).unwrap().starts.len(), 2);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn rows_are_added_to_no_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        check_unused(&path).unwrap();
        let Err(Error::Create { source, .. }) = RowWriter::resume(&path) else { panic!("a pipe was opened") };
        assert!(source.to_string().starts_with("it is a pipe"), "{source}");
    }
}
