//! A data set in the format of the TFT benchmark: a job (task and tools) and a test set with one conversation a line.
//!
//! Each line holds a conversation and the call that ends it. It expands into one case for each call: those that the
//! assistant made during the conversation, each with the messages before it, and the last one.
//!
//! A test set may have no answers. It then has no ground truth at all: the assistant's calls in a conversation come
//! from some model and may be wrong. The models are still asked for each of them, but no metric compares with them.

use super::{
    Error,
    answer::{Call, Rejection, Style},
    json::Json,
    row::Data,
};
pub(super) use crate::hash::hex;
use crate::{
    chat::{self, Conversation, Message, Role},
    files, json,
    tools::ToolSet,
};
use md5::{Digest, Md5};
use serde_json::{Map, Value};
use sha2::Sha256;
use std::{
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The MD5 of the published test.jsonl.
const PUBLIC_TEST_MD5: &str = "1c1b7ce2bf4ef1c262d06dd5fad2c59c";

/// Number of rows in the published prediction files; they are the first ones of the test set.
const PUBLISHED_ROWS: usize = 78;

/// Limit on the size of an input file. No test set is this large, but a path may name a device without an end.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// The model's task and tools, read from a `job_description.json`.
#[derive(Clone, Debug)]
pub struct Job {
    /// Text of the task; part of the system message.
    pub task_description: String,
    /// The tools, in the order in which they appear in the prompt.
    pub tools: ToolSet,
    /// Criteria for an LLM judge, if the job has any.
    pub judge_instructions: Option<String>,
}

/// One call to predict.
#[derive(Clone, Debug)]
pub struct Case {
    /// The conversation's line in the test set, counted from 0.
    pub conversation: usize,
    /// Index of the call in its conversation, counted from 0.
    pub turn: usize,
    /// The ground-truth call; `None` in unlabelled data.
    pub gold: Option<Call>,
    messages: Arc<[Message]>,
    prefix: usize,
}

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
    /// [`Error::Read`], or the file, line and field that is wrong. Every call must name one of the job's tools, the
    /// messages before every call must end with one that is not the assistant's, and either all lines have an answer or
    /// none has.
    pub fn open_files(job: &Path, test: &Path) -> Result<Dataset, Error> {
        let job = Job::open(job)?;
        let bytes = read(test)?;
        let text = text(test, &bytes)?;
        let (mut cases, mut conversations) = (Vec::new(), 0);
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let of_line = expand(line, conversations, &job.tools).map_err(|flaw| flaw.at(test, index + 1))?;
            let is_labelled = of_line.iter().all(|case| case.gold.is_some());
            let lines = if is_labelled { &mut with } else { &mut without };
            lines.push(index + 1);
            cases.extend(of_line);
            conversations += 1;
        }
        if let (Some(first), Some(line)) = (with.first(), without.first()) {
            return Err(mixed(without.len(), with.len(), *first).at(test, *line));
        }
        if cases.is_empty() {
            return Err(Error::File {
                path: test.to_path_buf(),
                problem: "there is no conversation in it; one JSON object a line is expected".into(),
                source: None,
            });
        }
        let test_md5 = hex(&Md5::digest(&bytes));
        let labelled = without.is_empty();
        Ok(Dataset { job, cases, conversations, labelled, test_md5, test_path: test.to_path_buf() })
    }

    /// True if the test set is the published one, by its MD5.
    pub fn is_public(&self) -> bool {
        self.test_md5 == PUBLIC_TEST_MD5
    }

    /// Returns an error if the data are unlabelled.
    ///
    /// # Errors
    /// [`Error::NoLabels`]; `what` names the feature that needs labels.
    pub fn require_labels(&self, what: &str) -> Result<(), Error> {
        match self.labelled {
            true => Ok(()),
            false => Err(Error::NoLabels { what: what.to_owned(), path: self.test_path.clone() }),
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
    pub fn identity(&self) -> Data {
        let tools = json::spaced(&self.job.tools.sources());
        let job = Sha256::digest(format!("{}\0{tools}", self.job.task_description));
        Data { test_md5: self.test_md5.clone(), job_sha256: hex(&job) }
    }

    /// Conversation sent to the model for a case: the system message with the task, then the messages before the call.
    pub fn conversation(&self, case: &Case) -> Conversation {
        Conversation { messages: case.messages().to_vec(), tools: None }
            .with_system(chat::task_system_text(&self.job.task_description))
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

impl Case {
    /// Messages before the call; the last one is not the assistant's.
    pub fn messages(&self) -> &[Message] {
        &self.messages[..self.prefix]
    }

    /// The ground-truth call in the format of the `answer` column; `None` in unlabelled data.
    pub fn answer(&self, style: Style) -> Option<String> {
        self.gold.as_ref().map(|gold| gold.render(style))
    }
}

impl Job {
    /// Reads a `job_description.json`.
    ///
    /// # Errors
    /// [`Error::Read`], or the field that is wrong.
    pub fn open(path: &Path) -> Result<Job, Error> {
        let bytes = read(path)?;
        let wrong = |problem: String| Error::File { path: path.to_path_buf(), problem, source: None };
        let document: Value = serde_json::from_str(text(path, &bytes)?).map_err(|source| Error::File {
            path: path.to_path_buf(),
            problem: "not valid JSON".into(),
            source: Some(Box::new(source)),
        })?;
        let Value::Object(mut fields) = document else {
            return Err(wrong(format!("is {}, not an object", json::type_name(&document))));
        };
        let mut string = |key: &str| match fields.shift_remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(format!("`{key}` is {}, not a string", json::type_name(&other)))),
        };
        let task_description = string("task_description")?.ok_or_else(|| {
            wrong("`task_description` is missing; it is the text of the model's system message".into())
        })?;
        let judge_instructions = string("llm_as_a_judge_instructions")?;
        let list = fields
            .shift_remove("tools")
            .ok_or_else(|| wrong("`tools` is missing; it is a list in OpenAI's form".into()))?;
        let tools = ToolSet::from_value(list).map_err(|source| Error::File {
            path: path.to_path_buf(),
            problem: "the tools cannot be used".into(),
            source: Some(Box::new(source)),
        })?;
        Ok(Job { task_description, tools, judge_instructions })
    }
}

/// Problem in a line, before its number and file are known.
struct Flaw {
    problem: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Flaw {
    fn new(problem: impl Into<String>) -> Flaw {
        Flaw { problem: problem.into(), source: None }
    }

    fn caused(problem: impl Into<String>, source: impl std::error::Error + Send + Sync + 'static) -> Flaw {
        Flaw { problem: problem.into(), source: Some(Box::new(source)) }
    }

    fn at(self, path: &Path, line: usize) -> Error {
        Error::Line { path: path.to_path_buf(), line, problem: self.problem, source: self.source }
    }
}

/// Error for a test set where only `with` lines have an answer; `first` is the number of the first of them.
fn mixed(without: usize, with: usize, first: usize) -> Flaw {
    let lines = |n: usize| if n == 1 { "1 line has".to_owned() } else { format!("{n} lines have") };
    Flaw::new(format!(
        "`answer` is missing or null ({} none), and line {first} has one ({} one); give every line its answer, or none to \
         compare models without right answers",
        lines(without),
        lines(with)
    ))
}

/// Expands one line into its cases.
fn expand(line: &str, conversation: usize, tools: &ToolSet) -> Result<Vec<Case>, Flaw> {
    let document: Value = serde_json::from_str(line).map_err(|e| Flaw::caused("not valid JSON", e))?;
    let Value::Object(fields) = document else {
        return Err(Flaw::new(format!("is {}, not an object", json::type_name(&document))));
    };
    let messages: Arc<[Message]> = Conversation::parse(string_field(&fields, "question")?.as_bytes())
        .map_err(|e| Flaw::caused("`question` holds no messages", e))?
        .messages
        .into();
    let last = match fields.get("answer") {
        None | Some(Value::Null) => None,
        Some(_) => Some(
            Call::parse(string_field(&fields, "answer")?)
                .map_err(|rejection| Flaw::new(format!("`answer` is no call: {rejection}")))?,
        ),
    };
    let is_labelled = last.is_some();
    let mut calls = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        match message.role() {
            Role::Assistant => {
                let call = the_call(message).map_err(|p| Flaw::new(format!("messages[{index}] {p}")))?;
                calls.push((index, Some(call)));
            }
            Role::System | Role::Developer => {
                return Err(Flaw::new(format!(
                    "messages[{index}] is the {}'s; the system message is made of the job's task_description",
                    message.role().as_str()
                )));
            }
            Role::User | Role::Tool => {}
        }
    }
    // An unlabelled conversation may end with an assistant's message; no call is asked for after it.
    let is_asked = messages.last().is_some_and(|message| message.role() != Role::Assistant);
    if is_labelled || is_asked {
        calls.push((messages.len(), last));
    }
    let mut cases = Vec::new();
    for (turn, (prefix, call)) in calls.into_iter().enumerate() {
        let place = if prefix == messages.len() { "`answer`".into() } else { format!("messages[{prefix}]") };
        if prefix == 0 || messages[prefix - 1].role() == Role::Assistant {
            return Err(Flaw::new(format!(
                "nothing is asked before {place}; a user's message must stand there"
            )));
        }
        if let Some(Call { name, .. }) = call.as_ref().filter(|call| tools.get(&call.name).is_none()) {
            return Err(Flaw::new(format!("{place} calls `{name}`, which is none of the job's tools")));
        }
        // In an unlabelled line the earlier calls are not ground truth either: they were made by some model.
        let gold = call.filter(|_| is_labelled);
        cases.push(Case { conversation, turn, gold, messages: messages.clone(), prefix });
    }
    Ok(cases)
}

fn string_field<'a>(fields: &'a Map<String, Value>, key: &str) -> Result<&'a str, Flaw> {
    match fields.get(key) {
        Some(Value::String(text)) => Ok(text),
        None => Err(Flaw::new(format!("`{key}` is missing"))),
        Some(other) => {
            Err(Flaw::new(format!("`{key}` is {}, not a string that holds JSON", json::type_name(other))))
        }
    }
}

/// The only call of an assistant's message, or an error if there are none or several.
fn the_call(message: &Message) -> Result<Call, String> {
    let [call] = message.tool_calls() else {
        return Err(format!(
            "makes {} calls; a turn of the benchmark is exactly one",
            message.tool_calls().len()
        ));
    };
    Call::from_json(&Json::from(&call["function"]))
        .map_err(|rejection: Rejection| format!("is no call: {rejection}"))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let wrong = |source| Error::Read { path: path.to_path_buf(), source };
    let read = File::open(path).and_then(|file| files::read_within(MAX_FILE_BYTES, file));
    read.map_err(wrong)?.ok_or_else(|| Error::File {
        path: path.to_path_buf(),
        problem: format!("more than {MAX_FILE_BYTES} bytes; no test set has as many"),
        source: None,
    })
}

fn text<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(Error::Line {
                path: path.to_path_buf(),
                line,
                problem: "is not UTF-8; save the file as UTF-8".into(),
                source: None,
            })
        }
    }
}
