//! Errors of tool definitions and of tool calls.

use crate::kind::Kind;
use crate::{json::NotUtf8, schema};

/// Reasons why tools cannot be used, or a text is not a valid call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tools are not JSON.
    #[error("the tools are not valid JSON")]
    Json {
        /// The parser's error, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// The tools are not UTF-8.
    #[error("the tools are {0}")]
    Utf8(NotUtf8),
    /// The list is longer than any context can hold.
    #[error("{tools} tools are more than fit any context; give at most {most}")]
    TooMany {
        /// Number of tools in it.
        tools: usize,
        /// Most tools allowed.
        most: usize,
    },
    /// The document has no list.
    #[error("tools are a JSON array, or an object with one under `tools`, and this is {found}")]
    NoList {
        /// The type of the value found instead.
        found: &'static str,
    },
    /// The list is empty.
    #[error("there are no tools in the list, so nothing can be called")]
    Empty,
    /// A tool lacks a field or has it in another type.
    #[error("{tool}{}{problem}", if field.is_empty() { " ".into() } else { format!(": `{field}` ") })]
    Field {
        /// The tool's number, from 1, and its name if it has one.
        tool: String,
        /// The field; empty for the tool as a whole.
        field: &'static str,
        /// The defect.
        problem: String,
    },
    /// A tool without arguments has a field that was meant to describe some.
    #[error(
        "{tool}: `{field}` is not read, and the tool would have no arguments; put their JSON Schema under `parameters` \
         beside `name`"
    )]
    SchemaKey {
        /// The tool's number, from 1, and its name.
        tool: String,
        /// The field.
        field: String,
    },
    /// Two tools have the same name.
    #[error("tools {first} and {second} are both called `{name}`; rename one")]
    Duplicate {
        /// The name.
        name: String,
        /// Number of the first of them, from 1.
        first: usize,
        /// Number of the second.
        second: usize,
    },
    /// A requested tool does not exist.
    #[error("there is no tool `{name}`; the tools are {}", tools.join(", "))]
    NoSuchTool {
        /// The requested name.
        name: String,
        /// The tools' names.
        tools: Vec<String>,
    },
    /// A tool's parameters cannot be used.
    #[error("the parameters of tool `{tool}` cannot be used")]
    Parameters {
        /// Name of the tool.
        tool: String,
        /// The pointer, the keyword, and what to change.
        #[source]
        source: Box<schema::Error>,
    },
    /// A tool's name contains the text that ends a name in the model's format.
    #[error(
        "tool `{tool}`: a name that holds `{end}` cannot be written in the call format {dialect}; rename it"
    )]
    Name {
        /// Name of the tool.
        tool: String,
        /// That text.
        end: String,
        /// Name of the format.
        dialect: String,
    },
    /// A call format that cannot be used.
    #[error("the call format {dialect} cannot be used: {problem}")]
    Dialect {
        /// Name of the format.
        dialect: String,
        /// The defect.
        problem: String,
    },
    /// The schema of a plain JSON answer cannot be used.
    #[error("the schema of the answer cannot be used")]
    AnswerSchema {
        /// The pointer, the keyword, and what to change.
        #[source]
        source: Box<schema::Error>,
    },
    /// A JSON answer violates its schema.
    #[error("the answer does not fit its schema: {problem}")]
    Answer {
        /// The first violation.
        problem: String,
    },
    /// A text is not a call in the model's format.
    #[error("this is no tool call: {problem}")]
    NoCall {
        /// The defect.
        problem: String,
    },
    /// A call violates its tool's schema.
    #[error("the call does not fit `{tool}`: {problem}")]
    Mismatch {
        /// Name of the tool.
        tool: String,
        /// The first violation.
        problem: String,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::NoCall { .. } | Error::Mismatch { .. } | Error::Answer { .. } => Kind::Negative,
            Error::NoSuchTool { .. } => Kind::Usage,
            _ => Kind::Data,
        }
    }
}
