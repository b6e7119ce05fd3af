//! The lines of the answers: on stdout, or in a file that a later run goes on with.

use super::{input::Lines, line::Line};
use crate::cli::{error::ReadError, exit::CliError, output};
use edgecall::Kind;
use serde_json::Value;
use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Output of the answers, each written as soon as it is there.
pub enum Output {
    /// Stdout.
    Stdout,
    /// A file, with the ids of the answers that it has already.
    File { path: PathBuf, file: File, answered: Vec<Value> },
}

impl Output {
    /// Creates the file at `path`, or opens it behind its last whole line to go on; stdout without a path.
    ///
    /// # Errors
    /// A file that is there already and is not to be gone on with, that cannot be written, or that has other lines than
    /// answers.
    pub fn open(path: Option<&Path>, resumes: bool) -> anyhow::Result<Output> {
        let Some(path) = path else { return Ok(Output::Stdout) };
        let cannot = |error: io::Error| {
            CliError::with_kind(Kind::CannotCreate, format!("cannot write {}: {error}", path.display()))
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        match resumes {
            true => options.create(true).truncate(false),
            false => options.create_new(true),
        };
        let mut file = options.open(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                let name = path.display();
                CliError::with_kind(
                    Kind::CannotCreate,
                    format!("{name} is there already; give --resume to go on with it, or another -o"),
                )
            }
            _ => cannot(error),
        })?;
        let answered = if resumes { answered(path, &mut file)? } else { Vec::new() };
        Ok(Output::File { path: path.to_path_buf(), file, answered })
    }

    /// Skips the requests that the file has answers for, and returns their number.
    ///
    /// # Errors
    /// A request whose id is not that of its answer.
    pub fn skip_answered(&mut self, lines: &mut Lines) -> anyhow::Result<usize> {
        let Output::File { path, answered, .. } = self else { return Ok(0) };
        for (index, id) in answered.iter().enumerate() {
            let line = lines.next()?.map(|line| Line::read(&line));
            if line.as_ref().map(Line::id) != Some(id) {
                return Err(CliError::with_kind(
                    Kind::Data,
                    format!(
                        "{}: line {} has the id {id}, and that request another; these are not the answers of this input, or \
                         they were written with --unordered, which is to be given then",
                        path.display(),
                        index + 1
                    ),
                ));
            }
        }
        Ok(answered.len())
    }

    /// The ids of the answers that the file has.
    pub fn answered(&mut self) -> Vec<Value> {
        match self {
            Output::Stdout => Vec::new(),
            Output::File { answered, .. } => std::mem::take(answered),
        }
    }

    /// Writes a line.
    ///
    /// # Errors
    /// An output that cannot be written.
    pub fn write(&mut self, line: &str) -> anyhow::Result<()> {
        match self {
            Output::Stdout => Ok(output::line(&line)?),
            Output::File { path, file, .. } => {
                file.write_all(format!("{line}\n").as_bytes()).map_err(|error| {
                    CliError::with_kind(Kind::Io, format!("cannot write {}: {error}", path.display()))
                })
            }
        }
    }
}

/// Ids of the answers in `file`, which ends behind its last whole line then.
fn answered(path: &Path, file: &mut File) -> anyhow::Result<Vec<Value>> {
    let unreadable = |error| ReadError::new(path, error);
    let (mut ids, mut end) = (Vec::new(), 0);
    let mut reader = BufReader::new(&mut *file);
    loop {
        let mut line = Vec::new();
        let bytes = reader.read_until(b'\n', &mut line).map_err(unreadable)?;
        if bytes == 0 || !line.ends_with(b"\n") {
            break;
        }
        let id = serde_json::from_slice::<Value>(&line).ok().and_then(|answer| {
            let answer = answer.as_object()?;
            answer.get("custom_id").or_else(|| answer.get("id")).cloned()
        });
        let Some(id) = id else {
            let message = format!("{}: line {} is no answer of a batch", path.display(), ids.len() + 1);
            return Err(CliError::with_kind(Kind::Data, message));
        };
        ids.push(id);
        end += bytes as u64;
    }
    // A run that was killed may have left half a line.
    file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))).map_err(unreadable)?;
    Ok(ids)
}
