//! Tools and tool calls: tools in OpenAI's form, their compiled schemas, and the parsed call.

pub mod arguments;
pub mod check;
mod error;
pub mod explain;
mod keywords;
mod read;
mod tool_call;
pub mod words;
mod wrapper;

pub use error::Error;
pub use tool_call::ToolCall;
pub use wrapper::answer_schema;

use crate::{
    json,
    schema::{self, Checks, Compiled, KeyOrder, notation::Notation},
};
use arguments::Arguments;
use serde_json::{Map, Value};
use std::{collections::HashMap, sync::Arc};

/// A function that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    name: String,
    source: Value,
    arguments: Arguments,
}

impl Tool {
    /// The function's name; any Unicode text.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// JSON Schema of the arguments; empty if the tool has none.
    pub fn parameters(&self) -> &Map<String, Value> {
        self.arguments.schema()
    }

    /// The grammar and the checks of the arguments, with the keys of objects in `key_order`. Compiled on first
    /// use, once for all clones.
    ///
    /// # Errors
    /// [`Error::Parameters`] with the tool's name.
    pub fn compiled(&self, key_order: KeyOrder) -> Result<&Compiled, Error> {
        self.arguments.compiled(key_order).map_err(|source| self.refused(source))
    }

    /// As [`compiled`](Self::compiled), for arguments in `notation`.
    ///
    /// # Errors
    /// As [`compiled`](Self::compiled); also for strings and keys that the notation cannot write.
    pub fn compiled_in(&self, key_order: KeyOrder, notation: &Notation) -> Result<Arc<Compiled>, Error> {
        self.arguments.compiled_in(key_order, notation).map_err(|source| self.refused(source))
    }

    /// The full validator of the arguments.
    ///
    /// # Errors
    /// As [`compiled`](Self::compiled).
    pub fn checks(&self) -> Result<&Checks, Error> {
        self.arguments.checks().map_err(|source| self.refused(source))
    }

    fn refused(&self, source: schema::Error) -> Error {
        Error::Parameters { tool: self.name.clone(), source: Box::new(source) }
    }

    /// The tool's JSON in OpenAI's form, the input of a chat template: as given if it was in this form, else made of
    /// the tool's name, description and schema.
    pub fn source(&self) -> &Value {
        &self.source
    }
}

/// The tools of a request: at least one, with unique names.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSet {
    tools: Vec<Tool>,
    warnings: Vec<String>,
}

impl ToolSet {
    /// Parses tools from JSON: a list, one tool, or an object with a list under `tools` as a request or an MCP server's
    /// reply has it.
    ///
    /// A tool is `{"type": "function", "function": {...}}`, the bare function object, or what MCP, Anthropic, Gemini
    /// and Bedrock call a tool; see [`Tool::source`].
    ///
    /// # Errors
    /// [`Error::Utf8`]; [`Error::Json`] with line and column; otherwise the tool and its invalid field.
    pub fn parse(text: &[u8]) -> Result<ToolSet, Error> {
        let document = json::input::parse_exact(json::text(text).map_err(Error::Utf8)?);
        ToolSet::from_value(document.map_err(|source| Error::Json { source })?)
    }

    /// Reads tools from a parsed JSON value, as [`parse`](Self::parse) does.
    ///
    /// # Errors
    /// The tool and its invalid field.
    pub fn from_value(document: Value) -> Result<ToolSet, Error> {
        let (tools, warnings) = read::tools(document)?;
        let mut seen = HashMap::new();
        for (i, tool) in tools.iter().enumerate() {
            if let Some(first) = seen.insert(tool.name.as_str(), i + 1) {
                return Err(Error::Duplicate { name: tool.name.clone(), first, second: i + 1 });
            }
        }
        Ok(ToolSet { tools, warnings })
    }

    /// Doubts about the tools that do not keep them from being used, such as a misspelt keyword; one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The tools, in the given order.
    pub fn iter(&self) -> std::slice::Iter<'_, Tool> {
        self.tools.iter()
    }

    /// The tool of this name.
    pub fn get(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// A set with only the tool of this name.
    ///
    /// # Errors
    /// [`Error::NoSuchTool`] with the existing names.
    pub fn only(&self, name: &str) -> Result<ToolSet, Error> {
        match self.get(name) {
            Some(tool) => Ok(ToolSet { tools: vec![tool.clone()], warnings: Vec::new() }),
            None => Err(Error::NoSuchTool {
                name: name.to_owned(),
                tools: self.tools.iter().map(|tool| tool.name.clone()).collect(),
            }),
        }
    }

    /// A set with only the tools of these names, in the order of this set.
    ///
    /// # Errors
    /// [`Error::NoSuchTool`] with the existing names, for the first name that is not among them.
    pub fn only_these(&self, names: &[String]) -> Result<ToolSet, Error> {
        for name in names {
            self.only(name)?;
        }
        let tools = self.tools.iter().filter(|tool| names.contains(&tool.name)).cloned().collect();
        Ok(ToolSet { tools, warnings: Vec::new() })
    }

    /// The chat template's `tools`: each tool's JSON in OpenAI's form, as given.
    pub fn sources(&self) -> Vec<Value> {
        self.tools.iter().map(|tool| tool.source.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let error = ToolSet::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), crate::kind::Kind::Data);
        match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    }

    #[test]
    fn both_forms_of_a_tool_are_read_and_shown_to_the_model_in_openais() {
        let wrapped =
            r#"[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]"#;
        let bare = r#"{"tools": [{"name": "f", "parameters": {"type": "object"}}]}"#;
        let wrapped = ToolSet::parse(wrapped.as_bytes()).unwrap();
        assert_eq!(wrapped, ToolSet::parse(bare.as_bytes()).unwrap());
        assert_eq!(wrapped.sources()[0]["function"]["name"], "f");
    }

    #[test]
    fn parameters_may_be_missing_null_or_empty() {
        for text in [
            r#"[{"name": "f"}]"#,
            r#"[{"name": "f", "parameters": null}]"#,
            r#"[{"name": "f", "parameters": {}}]"#,
        ] {
            assert!(ToolSet::parse(text.as_bytes()).unwrap().get("f").unwrap().parameters().is_empty());
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_tool_and_field() {
        for (text, expected) in [
            ("[{]", "line 1 column 3"),
            ("", "line 1 column 0"),
            ("7", "a number"),
            ("{}", "an object"),
            ("[]", "no tools"),
            ("[7]", "tool 1 is a number"),
            (r#"[{"name": "f"}, {"description": "x"}]"#, "tool 2: `name` is missing"),
            (r#"[{"name": ""}]"#, "tool 1: `name` is empty"),
            (r#"[{"name": 3}]"#, "tool 1: `name` is a number"),
            (r#"[{"type": "web_search"}]"#, "tool 1: `type` is \"web_search\""),
            (r#"[{"type": "function", "function": "f"}]"#, "tool 1: `function` is a string"),
            (r#"[{"name": "f", "parameters": []}]"#, "tool 1 `f`: `parameters` is an array"),
            (r#"[{"name": "f", "description": 1}]"#, "tool 1 `f`: `description` is a number"),
            (
                r#"[{"name": "f", "parameters": {"type": "string"}}]"#,
                "tool 1 `f`: `parameters.type` is \"string\"",
            ),
            (r#"[{"name": "f"}, {"name": "g"}, {"name": "f"}]"#, "tools 1 and 3"),
        ] {
            let message = refusal(text);
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_tools() {
        assert!(ToolSet::parse("\u{feff}[{\"name\": \"f\"}]".as_bytes()).is_ok());
    }
}
