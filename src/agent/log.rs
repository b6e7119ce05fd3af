//! The events of a run, and their log: one JSON object a line.

use super::{Error, Result, Status};
use crate::files;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Version of the log's format.
pub(super) const VERSION: u32 = 1;

/// An event of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    Start {
        /// Version of the log's format.
        version: u32,
        /// Version of this library.
        edgecall: String,
        /// Messages so far, as a chat template gets them.
        messages: Vec<Value>,
    },
    /// The tools, before the first step and after each change.
    Tools {
        /// The step before which they are so.
        step: usize,
        /// Their definitions, in OpenAI's form.
        tools: Vec<Value>,
        /// Arguments that hold the answer, by the name of the tool that ends the run.
        #[serde(default)]
        answers: Vec<(String, String)>,
    },
    /// The model has answered.
    Reply {
        /// The step, from 1.
        step: usize,
        /// Its text.
        content: Option<String>,
        /// Its calls.
        calls: Vec<LoggedCall>,
    },
    /// A call is about to run, or would be in a dry run.
    Plan {
        /// The step.
        step: usize,
        /// Id of the call.
        id: String,
        /// The action, for people.
        shown: String,
        /// Doubts about it.
        notes: Vec<String>,
    },
    /// A call has its result.
    Result {
        /// The step.
        step: usize,
        /// Id of the call.
        id: String,
        /// Name of the tool.
        name: String,
        /// The outcome.
        status: Status,
        /// Content of the `tool` message.
        content: String,
        /// True if the content holds something that the tool wrote.
        has_output: bool,
        /// Milliseconds that it took.
        ms: u64,
    },
    /// The run ends with an answer.
    Answer {
        /// The step.
        step: usize,
        /// The text.
        content: String,
    },
}

/// A call in an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedCall {
    /// Its id.
    pub id: String,
    /// Name of the tool.
    pub name: String,
    /// The model's text of the arguments.
    pub arguments: String,
}

/// A log that is being written.
#[derive(Debug)]
pub struct Log {
    file: File,
}

impl Log {
    /// Creates the log at `path`, readable by its owner alone.
    ///
    /// # Errors
    /// [`Error::CreateLog`], also for a file that exists.
    pub fn create(path: &Path) -> Result<Log> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true).mode(0o600);
        match files::open_unlinked_with(path, &mut options) {
            Ok(file) => Ok(Log { file }),
            Err(source) => Err(Error::CreateLog { path: path.display().to_string(), source }),
        }
    }

    /// Writes an event.
    ///
    /// # Errors
    /// [`Error::WriteLog`].
    pub fn write(&mut self, event: &Event) -> Result<()> {
        let line = serde_json::to_string(event).map_err(io::Error::from).map_err(Error::WriteLog)?;
        self.file.write_all(format!("{line}\n").as_bytes()).map_err(Error::WriteLog)
    }
}

/// The events in a log. The last line may be cut off, as by a run that was killed.
///
/// # Errors
/// [`Error::LogLine`].
pub(super) fn parse(text: &str) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for (i, line) in text.split_inclusive('\n').enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(event) => events.push(event),
            Err(_) if !line.ends_with('\n') => break,
            Err(error) => return Err(Error::LogLine { line: i + 1, problem: error.to_string() }),
        }
    }
    Ok(events)
}
