//! Cases of a conversation: one for each call in it.

use super::{
    answer::{Call, CallError, Style},
    json::Json,
};
use crate::{
    bench::Error,
    chat::{Conversation, Message, Role},
    json,
    tools::ToolSet,
};
use serde_json::{Map, Value};
use std::{path::Path, sync::Arc};

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
}

impl Case {
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
    fn new(problem: impl Into<String>) -> LineError {
        LineError { problem: problem.into(), source: None }
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

/// Expands one line into its cases.
pub(super) fn expand(
    line: &str,
    (number, conversation): (usize, usize),
    tools: &ToolSet,
) -> Result<Vec<Case>, LineError> {
    let document: Value = serde_json::from_str(line).map_err(|e| LineError::caused("not valid JSON", e))?;
    let Value::Object(fields) = document else {
        return Err(LineError::new(format!("is {}, not an object", json::type_name(&document))));
    };
    let messages: Arc<[Message]> = Conversation::parse(string_field(&fields, "question")?.as_bytes())
        .map_err(|e| LineError::caused("`question` holds no messages", e))?
        .messages
        .into();
    let last = match fields.get("answer") {
        None | Some(Value::Null) => None,
        Some(_) => Some(
            Call::parse(string_field(&fields, "answer")?)
                .map_err(|error| LineError::new(format!("`answer` is no call: {error}")))?,
        ),
    };
    let is_labelled = last.is_some();
    let mut calls = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        match message.role() {
            Role::Assistant => {
                let call = the_call(message).map_err(|p| LineError::new(format!("messages[{index}] {p}")))?;
                calls.push((index, Some(call)));
            }
            Role::System | Role::Developer => {
                return Err(LineError::new(format!(
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
        let place = place(prefix, &messages);
        if prefix == 0 || messages[prefix - 1].role() == Role::Assistant {
            return Err(LineError::new(format!(
                "nothing is asked before {place}; a user's message must stand there"
            )));
        }
        if let Some(Call { name, .. }) = call.as_ref().filter(|call| tools.get(&call.name).is_none()) {
            return Err(LineError::new(format!("{place} calls `{name}`, which is none of the job's tools")));
        }
        // In an unlabelled line the earlier calls are not ground truth either: they were made by some model.
        let gold = call.filter(|_| is_labelled);
        cases.push(Case { conversation, line: number, turn, gold, messages: messages.clone(), prefix });
    }
    Ok(cases)
}

/// Place of the call behind the first `prefix` messages.
fn place(prefix: usize, messages: &[Message]) -> String {
    if prefix == messages.len() { "`answer`".into() } else { format!("messages[{prefix}]") }
}

fn string_field<'a>(fields: &'a Map<String, Value>, key: &str) -> Result<&'a str, LineError> {
    match fields.get(key) {
        Some(Value::String(text)) => Ok(text),
        None => Err(LineError::new(format!("`{key}` is missing"))),
        Some(other) => Err(LineError::new(format!(
            "`{key}` is {}, not a string that holds JSON",
            json::type_name(other)
        ))),
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
    Call::from_json(&Json::from(&call["function"])).map_err(|error: CallError| format!("is no call: {error}"))
}
