//! Cases of a conversation: one for each call in it.

use super::{
    answer::{Call, CallError, Style},
    json::Json,
};
use crate::{
    bench::Error,
    chat::{Conversation, Message, Role},
    json::{
        self,
        near::{distance, letters},
    },
    tools::ToolSet,
};
use serde_json::Value;
use std::{collections::HashMap, fmt, path::Path, sync::Arc};

/// One call to predict.
#[derive(Clone, Debug)]
pub struct Case {
    /// The conversation in the test set, counted from 0.
    pub conversation: usize,
    /// Its line in the test set, counted from 1.
    pub line: usize,
    /// Index of the call in its conversation, counted from 0.
    pub turn: usize,
    /// The ground-truth call; `None` in unlabelled data.
    pub gold: Option<Call>,
    messages: Arc<[Message]>,
    prefix: usize,
    tools: Arc<ToolSet>,
}

impl Case {
    /// The tools of its line: its own, or else the job's. Lines with equal tools share one set.
    pub fn tools(&self) -> &ToolSet {
        &self.tools
    }

    /// Messages before the call; the last one is not the assistant's.
    pub fn messages(&self) -> &[Message] {
        &self.messages[..self.prefix]
    }

    /// Place of the call in its line.
    pub fn place(&self) -> String {
        place(self.prefix, &self.messages)
    }

    /// Text of the last message before the call.
    #[cfg(feature = "engine")]
    pub(in crate::bench) fn last_message(&self) -> &str {
        self.messages().last().and_then(|message| message.content()).unwrap_or_default()
    }

    /// True if the conversation has a system message of its own.
    pub(super) fn has_system(&self) -> bool {
        self.messages.first().is_some_and(|message| matches!(message.role(), Role::System | Role::Developer))
    }

    /// The ground-truth call in the format of the `answer` column; `None` in unlabelled data.
    pub fn answer(&self, style: Style) -> Option<String> {
        self.gold.as_ref().map(|gold| gold.render(style))
    }
}

/// Problem in a line, before its number and file are known.
pub(super) struct LineError {
    problem: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl LineError {
    pub(super) fn new(problem: impl Into<String>) -> LineError {
        LineError { problem: problem.into(), source: None }
    }

    #[cfg(test)]
    pub(super) fn problem(&self) -> &str {
        &self.problem
    }

    fn caused(
        problem: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> LineError {
        LineError { problem: problem.into(), source: Some(Box::new(source)) }
    }

    pub(super) fn at(self, path: &Path, line: usize) -> Error {
        Error::Line { path: path.to_path_buf(), line, problem: self.problem, source: self.source }
    }
}

/// Error for a test set where only `with` lines have an answer; `first` is the number of the first of them.
pub(super) fn mixed(without: usize, with: usize, first: usize) -> LineError {
    let lines = |n: usize| if n == 1 { "1 line has".to_owned() } else { format!("{n} lines have") };
    LineError::new(format!(
        "`answer` is missing or null ({} none), and line {first} has one ({} one); give every line its answer, or none to \
         compare models without right answers",
        lines(without),
        lines(with)
    ))
}

/// An assistant's message for which no call is asked, although it is no tool's or user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unscored {
    /// Line in the test set, counted from 1.
    pub line: usize,
    /// Index of the message.
    pub message: usize,
    /// Reason in words.
    pub reason: String,
}

impl fmt::Display for Unscored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: messages[{}] {}", self.line, self.message, self.reason)
    }
}

/// Cases of one line, and the messages that are none.
pub(super) struct Expanded {
    pub(super) cases: Vec<Case>,
    pub(super) unscored: Vec<Unscored>,
}

/// Conversation of a line, before it is cut into cases.
struct Line {
    messages: Arc<[Message]>,
    /// The call of `answer`.
    answer: Option<Call>,
    tools: Arc<ToolSet>,
    /// True if the line has the form of fine-tuning files: the assistant's calls are the right answers, and the system
    /// message is a message like any other.
    is_tuning: bool,
}

impl Line {
    fn read(document: Value, sets: &mut ToolSets) -> Result<Line, LineError> {
        let Value::Object(mut fields) = document else {
            return Err(LineError::new(format!("is {}, not an object", json::type_name(&document))));
        };
        let is_tuning = !fields.contains_key("question") && fields.contains_key("messages");
        let key = if is_tuning { "messages" } else { "question" };
        let messages = match fields.shift_remove(key) {
            Some(Value::String(text)) => {
                // A text that is no JSON is refused by the next line.
                json::input::parse_exact(&text).ok().as_ref().map_or(Ok(()), refuse_wide_calls)?;
                Conversation::parse(text.as_bytes())
            }
            Some(mut list @ (Value::Array(_) | Value::Object(_))) => {
                refuse_wide_calls(&list)?;
                json::round(&mut list);
                Conversation::from_value(list)
            }
            None => return Err(LineError::new("`question` is missing, and so are `messages`")),
            Some(other) => {
                let found = json::type_name(&other);
                return Err(LineError::new(format!("`{key}` is {found}, not a list of messages")));
            }
        };
        let messages =
            messages.map_err(|e| LineError::caused(format!("`{key}` holds no messages"), e))?.messages;
        let tools = match fields.shift_remove("tools").filter(|tools| !tools.is_null()) {
            Some(list) => sets.of_line(list)?,
            None => sets.job.clone(),
        };
        let misspelt =
            |key: &&String| (5..=7).contains(&key.len()) && distance(&letters(key), &letters("answer")) <= 2;
        if let Some(key) = fields.keys().find(misspelt).filter(|_| !fields.contains_key("answer")) {
            return Err(LineError::new(format!("there is no key `{key}`; is `answer` meant?")));
        }
        let call = match fields.get("answer") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(Call::parse(text)),
            Some(object @ Value::Object(_)) => Some(Call::from_json(&Json::from(object))),
            Some(other) => {
                return Err(LineError::new(format!("`answer` is {}, not a call", json::type_name(other))));
            }
        };
        let answer =
            call.transpose().map_err(|error| LineError::new(format!("`answer` is no call: {error}")))?;
        Ok(Line { messages: messages.into(), answer, tools, is_tuning })
    }
}

/// Refuses wide numbers in the calls of messages. A call is a right answer too, and the prompt would show the model
/// another number.
fn refuse_wide_calls(document: &Value) -> Result<(), LineError> {
    let list = document.get("messages").unwrap_or(document).as_array();
    for (index, message) in list.into_iter().flatten().enumerate() {
        let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
        for arguments in calls.filter_map(|call| call.get("function")?.get("arguments")) {
            let given = json::string_text(arguments).and_then(|text| json::input::parse_exact(text).ok());
            if let Some(literal) = json::first_wide_number(given.as_ref().unwrap_or(arguments)) {
                return Err(LineError::new(format!(
                    "messages[{index}] calls with the number {literal}, which has more digits than programs keep; write \
                     it as a string"
                )));
            }
        }
    }
    Ok(())
}

/// The tools of a data set: the job's, and those of lines that bring their own.
pub(super) struct ToolSets {
    pub(super) job: Arc<ToolSet>,
    // By their JSON.
    of_lines: HashMap<String, Arc<ToolSet>>,
}

impl ToolSets {
    pub(super) fn new(job: &ToolSet) -> ToolSets {
        let job = Arc::new(job.clone());
        ToolSets { of_lines: HashMap::from([(json::spaced(&job.sources()), job.clone())]), job }
    }

    /// The set of the tools in `list`.
    fn of_line(&mut self, list: Value) -> Result<Arc<ToolSet>, LineError> {
        // A conversation without tools has an empty list in some files.
        if list.as_array().is_some_and(Vec::is_empty) {
            return Ok(self.job.clone());
        }
        let tools = ToolSet::from_value(list).map_err(|e| LineError::caused("`tools` cannot be used", e))?;
        let known = self.of_lines.entry(json::spaced(&tools.sources()));
        Ok(known.or_insert_with(|| Arc::new(tools)).clone())
    }
}

/// Expands one line into its cases.
pub(super) fn expand(
    document: Value,
    (number, conversation): (usize, usize),
    sets: &mut ToolSets,
) -> Result<Expanded, LineError> {
    let Line { messages, answer, tools, is_tuning } = Line::read(document, sets)?;
    let is_labelled = answer.is_some() || is_tuning;
    let (mut calls, mut unscored) = (Vec::new(), Vec::new());
    for (index, message) in messages.iter().enumerate() {
        match message.role() {
            Role::Assistant => match the_call(message) {
                Ok(call) => calls.push((index, Some(call))),
                Err(Unusable::NotAsked(reason)) => {
                    unscored.push(Unscored { line: number, message: index, reason })
                }
                Err(Unusable::Wrong(problem)) => {
                    return Err(LineError::new(format!("messages[{index}] {problem}")));
                }
            },
            Role::System | Role::Developer if is_tuning && index == 0 => {}
            Role::System | Role::Developer => {
                let rule = match is_tuning {
                    true => "it must be the first message",
                    false => "the system message is made of the job's task_description",
                };
                let role = message.role().as_str();
                return Err(LineError::new(format!("messages[{index}] is the {role}'s; {rule}")));
            }
            Role::User | Role::Tool => {}
        }
    }
    // An unlabelled conversation may end with an assistant's message; no call is asked for after it.
    let is_asked = messages.last().is_some_and(|message| message.role() != Role::Assistant);
    if answer.is_some() || (is_asked && !is_tuning) {
        calls.push((messages.len(), answer));
    }
    let mut cases = Vec::new();
    for (turn, (prefix, call)) in calls.into_iter().enumerate() {
        let place = place(prefix, &messages);
        let is_question = |message: &Message| matches!(message.role(), Role::User | Role::Tool);
        if !prefix.checked_sub(1).is_some_and(|before| is_question(&messages[before])) {
            return Err(LineError::new(format!(
                "nothing is asked before {place}; a user's message must stand there"
            )));
        }
        if let Some(Call { name, .. }) = call.as_ref().filter(|call| tools.get(&call.name).is_none()) {
            return Err(LineError::new(format!("{place} calls `{name}`, which is none of its tools")));
        }
        // In an unlabelled line the earlier calls are not ground truth either: they were made by some model.
        let gold = call.filter(|_| is_labelled);
        let (messages, tools) = (messages.clone(), tools.clone());
        cases.push(Case { conversation, line: number, turn, gold, messages, prefix, tools });
    }
    Ok(Expanded { cases, unscored })
}

/// Place of the call behind the first `prefix` messages.
fn place(prefix: usize, messages: &[Message]) -> String {
    if prefix == messages.len() { "`answer`".into() } else { format!("messages[{prefix}]") }
}

/// Reason for which an assistant's message is no case.
enum Unusable {
    /// It is left as it is in the conversation.
    NotAsked(String),
    /// The line cannot be used.
    Wrong(String),
}

/// The only call of an assistant's message.
fn the_call(message: &Message) -> Result<Call, Unusable> {
    let not_asked = |reason: String| Err(Unusable::NotAsked(reason));
    let [call] = message.tool_calls() else {
        return match message.tool_calls().len() {
            0 => not_asked("is text and no call".into()),
            several => not_asked(format!("makes {several} calls at once")),
        };
    };
    // OpenAI's fine-tuning files mark messages that are not to be learnt.
    if message.fields().get("weight").and_then(Value::as_f64) == Some(0.0) {
        return not_asked("has the weight 0".into());
    }
    Call::from_json(&Json::from(&call["function"]))
        .map_err(|error: CallError| Unusable::Wrong(format!("is no call: {error}")))
}
