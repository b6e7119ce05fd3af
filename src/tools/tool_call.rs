//! A tool call by a model.

use super::Error;
use crate::json;
use serde_json::{Map, Value};
use std::fmt;

/// A tool's name and its arguments, with the keys in the order of the text.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    name: String,
    arguments: Map<String, Value>,
    // Kept since number literals (1.0, 1e3, twenty digits) do not survive parsing.
    written: String,
}

impl ToolCall {
    /// A call with these arguments.
    pub fn new(name: impl Into<String>, arguments: Map<String, Value>) -> ToolCall {
        let written = json::spaced(&arguments);
        ToolCall { name: name.into(), arguments, written }
    }

    /// A call with the JSON object in `written` as its arguments.
    ///
    /// # Errors
    /// [`Error::NoCall`] if that is not JSON, not an object, or has a repeated key.
    pub fn from_text(name: impl Into<String>, written: &str) -> Result<ToolCall, Error> {
        let written = written.trim();
        match json::parse_unique(written) {
            Ok(Value::Object(arguments)) => {
                let written = json::one_line(written).into_owned();
                Ok(ToolCall { name: name.into(), arguments, written })
            }
            Ok(other) => Err(Error::NoCall {
                problem: format!("its arguments are {}, not an object", json::type_name(&other)),
            }),
            Err(error) => Err(Error::NoCall { problem: format!("its arguments are not JSON ({error})") }),
        }
    }

    /// The tool's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The arguments as values.
    pub fn arguments(&self) -> &Map<String, Value> {
        &self.arguments
    }

    /// The model's text of the arguments, number literals included.
    pub fn arguments_text(&self) -> &str {
        &self.written
    }
}

/// Formats the call as one JSON object: `{"name": ..., "arguments": {...}}`.
impl fmt::Display for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{\"name\": {}, \"arguments\": {}}}", json::spaced(&self.name), self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_they_were_written() {
        let call = ToolCall::from_text("f", r#"{"b": 1.0, "a": 1e3, "c": 12345678901234567890123}"#).unwrap();
        assert_eq!(
            call.to_string(),
            r#"{"name": "f", "arguments": {"b": 1.0, "a": 1e3, "c": 12345678901234567890123}}"#
        );
        assert_eq!(call.arguments().keys().collect::<Vec<_>>(), ["b", "a", "c"]);
    }

    #[test]
    fn a_name_with_quotes_stays_one_json_string() {
        assert_eq!(ToolCall::new("a\"b", Map::new()).to_string(), r#"{"name": "a\"b", "arguments": {}}"#);
    }

    #[test]
    fn arguments_that_are_no_object_are_refused() {
        for text in ["[1]", "{", "\"x\"", "", r#"{"a": 1, "a": 2}"#] {
            assert!(ToolCall::from_text("f", text).is_err(), "{text}");
        }
    }
}
