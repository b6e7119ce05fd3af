//! The result of a call, as the model is told of it.

use crate::json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The tool did what it was asked to.
    Ok,
    /// The tool ran and failed, or could not be started.
    Failed,
    /// The tool ran longer than it may, and was ended.
    TimedOut,
    /// The user said no; nothing ran.
    Refused,
    /// The arguments cannot be used; nothing ran.
    Invalid,
}

impl Status {
    /// The word for people and logs.
    pub fn word(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Failed => "failed",
            Status::TimedOut => "timed out",
            Status::Refused => "refused",
            Status::Invalid => "invalid",
        }
    }
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolResult {
    /// The outcome.
    pub status: Status,
    /// Content of the `tool` message.
    pub content: String,
    /// True if the content holds something that the tool wrote.
    pub has_output: bool,
}

impl ToolResult {
    /// The output of a tool that succeeded; a sentence in its place if there is none.
    pub fn ok(output: String) -> ToolResult {
        let has_output = !output.trim().is_empty();
        let content = if has_output { output } else { "(no output)".to_owned() };
        ToolResult { status: Status::Ok, content, has_output }
    }

    /// A result without output of the tool: `{"error": ...}`.
    pub fn error(status: Status, problem: impl Into<String>) -> ToolResult {
        ToolResult::error_with(status, problem, [])
    }

    /// A failure with what the tool wrote, by name; empty texts are left out.
    pub fn error_with<'a>(
        status: Status,
        problem: impl Into<String>,
        output: impl IntoIterator<Item = (&'a str, String)>,
    ) -> ToolResult {
        let mut fields = Map::new();
        fields.insert("error".into(), Value::String(problem.into()));
        for (name, text) in output {
            if !text.trim().is_empty() {
                fields.insert(name.into(), text.into());
            }
        }
        let has_output = fields.len() > 1;
        ToolResult { status, content: json::spaced(&fields), has_output }
    }
}

/// `text` within `limit` bytes: its beginning, with a line that says how much is missing. `total` are the bytes that there
/// were.
pub(crate) fn shortened(mut text: String, limit: usize, total: u64) -> String {
    if text.len() <= limit && total as usize <= limit {
        return text;
    }
    let mut shown = limit.min(text.len());
    while !text.is_char_boundary(shown) {
        shown -= 1;
    }
    text.truncate(shown);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text + &format!("[cut off: {shown} of {total} bytes]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_json_without_empty_fields() {
        let output = [("stderr", "no such\nfile".to_owned()), ("output", " \n".to_owned())];
        let result = ToolResult::error_with(Status::Failed, "exit code 1", output);
        assert_eq!(result.content, r#"{"error": "exit code 1", "stderr": "no such\nfile"}"#);
        assert!(result.has_output);
        assert!(!ToolResult::error(Status::Refused, "the user said no").has_output);
        assert_eq!(ToolResult::ok(" \n".into()).content, "(no output)");
    }

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        assert_eq!(shortened("abc".into(), 3, 3), "abc");
        assert_eq!(shortened("aü".into(), 2, 3), "a\n[cut off: 1 of 3 bytes]");
        assert_eq!(shortened("ab".into(), 4, 99), "ab\n[cut off: 2 of 99 bytes]");
    }
}
