//! The file that records are kept in.
//!
//! Records are only ever added at the end. A run that is killed leaves at most one torn line, the last; it is dropped
//! when the file is read and overwritten when the run goes on.

use super::{Arm, ByName, Row, SCHEMA_VERSION, Speed};
use crate::benchmark::Error;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Far more than any sweep writes; the file may be a device without an end.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// How a run was started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The command line.
    pub command: Vec<String>,
    /// Facts about machine and build, by name.
    pub environment: ByName<String>,
    /// Conditions of the noise floor that could not be changed there, with the reasons.
    #[serde(default, skip_serializing_if = "ByName::is_empty")]
    pub skipped: ByName<String>,
}

/// One line of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// A run began.
    Start(Start),
    /// An answer was made.
    Row(Box<Row>),
    /// What a call costs was measured.
    Speed(Box<Speed>),
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowFile {
    /// The starts, in the order of the file.
    pub starts: Vec<Start>,
    /// The rows, in the order of the file.
    pub rows: Vec<Row>,
    /// The line of each row, counted from 1.
    pub lines: Vec<usize>,
    /// The measured calls, in the order of the file.
    pub speeds: Vec<Speed>,
    /// Bytes up to the end of the last whole line.
    pub whole_bytes: u64,
    /// Whether a torn line follows them.
    pub torn: bool,
}

impl RowFile {
    /// Reads a file of rows; a last line without its line feed is dropped.
    ///
    /// # Errors
    /// [`Error::Read`], and [`Error::Line`] for a whole line that is no record or of another version.
    pub fn read(path: &Path) -> Result<RowFile, Error> {
        let unreadable = |source| Error::Read { path: path.to_path_buf(), source };
        let mut bytes = Vec::new();
        File::open(path)
            .map_err(unreadable)?
            .take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(Error::File {
                path: path.to_path_buf(),
                problem: format!("more than {MAX_FILE_BYTES} bytes of rows"),
                source: None,
            });
        }
        RowFile::parse(path, &bytes)
    }

    /// Reads rows from bytes; `path` is for messages.
    ///
    /// # Errors
    /// As [`RowFile::read`].
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

    /// Writes the file anew, its rows changed: beside its place, and then renamed, so that a kill leaves the old one.
    ///
    /// # Errors
    /// [`Error::Create`] and [`Error::Write`].
    pub fn rewrite(&self, path: &Path) -> Result<(), Error> {
        let cannot = |source| Error::Create { path: path.to_path_buf(), source };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(".".as_ref());
        let file = tempfile::NamedTempFile::new_in(folder).map_err(cannot)?;
        // As the old one; a temporary file is for its owner only.
        if let Ok(old) = std::fs::metadata(path) {
            file.as_file().set_permissions(old.permissions()).map_err(cannot)?;
        }
        let (file, beside) = file.into_parts();
        let mut writer = RowWriter { file, path: path.to_path_buf() };
        for start in &self.starts {
            writer.append(&Record::Start(start.clone()))?;
        }
        for row in &self.rows {
            writer.append(&Record::Row(Box::new(row.clone())))?;
        }
        for speed in &self.speeds {
            writer.append(&Record::Speed(Box::new(speed.clone())))?;
        }
        beside.persist(path).map_err(|e| cannot(e.error))
    }

    /// The rows that a run need not make again, by arm and case. Kernels do not count: a run that goes on elsewhere
    /// keeps what it has, and the report marks pairs that were made on different ones.
    pub fn done(&self) -> BTreeMap<(Arm, usize, usize), &Row> {
        self.rows.iter().map(|row| ((row.key.arm.clone(), row.conversation, row.turn), row)).collect()
    }
}

/// Adds records to the end of a file.
pub struct RowWriter {
    file: File,
    path: PathBuf,
}

impl RowWriter {
    /// Makes a new file.
    ///
    /// # Errors
    /// [`Error::Create`] if it is there already or cannot be made.
    pub fn create(path: &Path) -> Result<RowWriter, Error> {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let file = file.map_err(|source| Error::Create { path: path.to_path_buf(), source })?;
        Ok(RowWriter { file, path: path.to_path_buf() })
    }

    /// Opens a file to go on, with what it holds; a torn last line is cut off. A file that is not there is made.
    ///
    /// # Errors
    /// As [`RowFile::read`] and [`RowWriter::create`].
    pub fn resume(path: &Path) -> Result<(RowWriter, RowFile), Error> {
        if !path.exists() {
            return Ok((RowWriter::create(path)?, RowFile::default()));
        }
        let rows = RowFile::read(path)?;
        let failed = |source| Error::Create { path: path.to_path_buf(), source };
        let mut file = OpenOptions::new().write(true).open(path).map_err(failed)?;
        file.set_len(rows.whole_bytes).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok((RowWriter { file, path: path.to_path_buf() }, rows))
    }

    /// Adds one record, in one write.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn append(&mut self, record: &Record) -> Result<(), Error> {
        let failed = |source| Error::Write { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(record).map_err(|e| failed(e.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(failed)
    }
}
