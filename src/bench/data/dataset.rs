//! A data set in the format of the TFT benchmark: a job (task and tools) and a test set with one conversation a line.
//!
//! Lines in OpenAI's form for fine-tuning are read as well: `messages` whose calls are the right answers, and `tools`.
//! A line's own `tools` take the place of the job's. Messages of text and of several calls at once stay in the conversation, and no call is asked for in their place.
//!
//! Each line holds a conversation and the call that ends it. It expands into one case for each call: those that the
//! assistant made during the conversation, each with the messages before it, and the last one.
//!
//! A test set may have no answers. It then has no ground truth at all: the assistant's calls in a conversation come
//! from some model and may be wrong. The models are still asked for each of them, but no metric compares with them.

use super::{
    case::{self, Case, ToolSets, Unscored},
    document::{self, Document},
    identity::{self, DataId},
    input,
    job::{Job, SystemMessage},
};
use crate::{
    bench::Error,
    chat::{self, Conversation},
    hash::hex,
    json,
};
use md5::{Digest, Md5};
use sha2::Sha256;
use std::{
    ops::Range,
    path::{Path, PathBuf},
};

/// Number of rows in the published prediction files; they are the first ones of the test set.
const PUBLISHED_ROWS: usize = 78;

/// Subset of the cases to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// All cases; 359 in the published test set.
    #[default]
    All,
    /// The first 78 cases, for which predictions were published.
    First78,
}

/// A job and its test set, validated.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Task and tools.
    pub job: Job,
    /// The cases, in the order of the conversations.
    pub cases: Vec<Case>,
    /// Assistant's messages for which no call is asked: texts, and several calls at once.
    pub unscored: Vec<Unscored>,
    /// The number of conversations.
    pub conversations: usize,
    /// True if the data are labelled: every line has an `answer`. Otherwise no line has one.
    pub labelled: bool,
    /// The MD5 of the test set's bytes, in hex.
    pub test_md5: String,
    test_path: PathBuf,
}

impl Dataset {
    /// Reads `folder/job_description.json` and `folder/test.jsonl`.
    ///
    /// # Errors
    /// As [`Dataset::open_files`].
    pub fn open(folder: &Path) -> Result<Dataset, Error> {
        Dataset::open_files(&folder.join("job_description.json"), &folder.join("test.jsonl"))
    }

    /// Reads a job and a test set from two paths.
    ///
    /// # Errors
    /// [`Error::Read`], or the file, line and field that is wrong. Every call must name one of its tools, the
    /// messages before every call must end with one that is not the assistant's, and either all lines have an answer or
    /// none has.
    pub fn open_files(job: &Path, test: &Path) -> Result<Dataset, Error> {
        Dataset::open_files_or(job, test, || Ok(None))
    }

    /// Reads a job and a test set as [`Dataset::open_files`] does. If neither the job's file is there nor the test set
    /// has tools, the job is the `other`.
    ///
    /// # Errors
    /// As [`Dataset::open_files`], and those of `other`.
    pub fn open_files_or(
        job: &Path,
        test: &Path,
        other: impl FnOnce() -> Result<Option<Job>, Error>,
    ) -> Result<Dataset, Error> {
        let bytes = match input::read(test) {
            Ok(bytes) => bytes,
            // The job's error comes first.
            Err(error) => return Job::open(job).and(Err(error)),
        };
        let text = json::input::whole_surrogates(input::text(test, &bytes)?);
        let documents = document::documents(&text).map_err(|(line, error)| error.at(test, line));
        let job = Job::open_or(job, || documents.as_ref().ok()?.first()?.value.get("tools"), other)?;
        let mut sets = ToolSets::new(&job.tools);
        let (mut cases, mut unscored, mut conversations) = (Vec::new(), Vec::new(), 0);
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for Document { line, value } in documents? {
            let of_line = case::expand(value, (line, conversations), &mut sets)
                .map_err(|error| error.at(test, line))?;
            unscored.extend(of_line.unscored);
            if let Some(case) = of_line.cases.first() {
                let lines = if case.gold.is_some() { &mut with } else { &mut without };
                lines.push(line);
                cases.extend(of_line.cases);
                conversations += 1;
            }
        }
        if let (Some(first), Some(line)) = (with.first(), without.first()) {
            return Err(case::mixed(without.len(), with.len(), *first).at(test, *line));
        }
        if cases.is_empty() {
            let problem = match unscored.is_empty() {
                true => "there is no conversation in it; one JSON object a line is expected".into(),
                false => format!("no message in it is a single tool call ({})", unscored[0]),
            };
            return Err(Error::File { path: test.to_path_buf(), problem, source: None });
        }
        let test_md5 = hex(&Md5::digest(&bytes));
        let labelled = without.is_empty();
        Ok(Dataset { job, cases, unscored, conversations, labelled, test_md5, test_path: test.to_path_buf() })
    }

    /// Doubts about the tools of lines that bring their own, with the first such line: those of
    /// [`ToolSet::warnings`](crate::tools::ToolSet::warnings) that the job's tools do not raise.
    pub fn line_warnings(&self) -> Vec<(usize, String)> {
        let mut warnings: Vec<(usize, String)> = Vec::new();
        for set in self.cases.chunk_by(|a, b| std::ptr::eq(a.tools(), b.tools())) {
            for warning in set[0].tools().warnings() {
                let mut of_lines = warnings.iter().map(|(_, known)| known);
                if !of_lines.any(|known| known == warning) && !self.job.tools.warnings().contains(warning) {
                    warnings.push((set[0].line, warning.clone()));
                }
            }
        }
        warnings
    }

    /// True if the test set is the published one, by its MD5.
    pub fn is_public(&self) -> bool {
        identity::is_public(&self.test_md5)
    }

    /// Returns an error if the data are unlabelled.
    ///
    /// # Errors
    /// [`Error::NoLabels`]; `feature` names the one that needs labels.
    pub fn require_labels(&self, feature: &str) -> Result<(), Error> {
        match self.labelled {
            true => Ok(()),
            false => Err(Error::NoLabels { feature: feature.to_owned(), path: self.test_path.clone() }),
        }
    }

    /// Cases of a split, as a range of indices into [`Dataset::cases`].
    ///
    /// # Errors
    /// [`Error::NotPublic`] for [`Split::First78`] if the test set is not the published one.
    pub fn split(&self, split: Split) -> Result<Range<usize>, Error> {
        match split {
            Split::All => Ok(0..self.cases.len()),
            Split::First78 if self.is_public() => Ok(0..PUBLISHED_ROWS),
            Split::First78 => Err(Error::NotPublic { path: self.test_path.clone() }),
        }
    }

    /// Hashes that identify the data in rows.
    pub fn identity(&self) -> DataId {
        let tools = json::spaced(&self.job.tools.sources());
        let task = &self.job.task_description;
        let job = Sha256::digest(match self.job.system {
            SystemMessage::AroundTask | SystemMessage::Nothing => format!("{task}\0{tools}"),
            SystemMessage::Task => format!("system\0{task}\0{tools}"),
        });
        DataId { test_md5: self.test_md5.clone(), job_sha256: hex(&job) }
    }

    /// Conversation sent to the model for a case: the system message with the task, or the conversation's own, then the
    /// messages before the call. Without a task there is no system message.
    pub fn conversation(&self, case: &Case) -> Conversation {
        let conversation = Conversation { messages: case.messages().to_vec(), tools: None };
        let task = &self.job.task_description;
        match self.job.system {
            _ if case.has_system() => conversation,
            SystemMessage::Nothing => conversation,
            SystemMessage::Task => conversation.with_system(task),
            SystemMessage::AroundTask => conversation.with_system(chat::task_system_text(task)),
        }
    }
}

impl Split {
    /// Every split with its name on the command line.
    pub const ALL: [(&'static str, Split); 2] = [("all359", Split::All), ("first78", Split::First78)];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Split::All => "all359",
            Split::First78 => "first78",
        }
    }
}
