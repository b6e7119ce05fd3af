//! Why tools cannot be used, or a text is no call of one.

use super::{json::NotUtf8, json_schema};
use crate::error::Kind;

/// Why tools cannot be used, or a text is no call of one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tools are not JSON.
    #[error("the tools are not valid JSON")]
    Json {
        /// What and where, by line and column.
        #[source]
        source: serde_json::Error,
    },
    /// The tools are not UTF-8.
    #[error("the tools are {0}")]
    Utf8(NotUtf8),
    /// The list is longer than any context.
    #[error("{tools} tools are more than fit any context; give at most {most}")]
    TooMany {
        /// How many there are.
        tools: usize,
        /// How many there may be.
        most: usize,
    },
    /// The document holds no list.
    #[error("tools are a JSON array, or an object with one under `tools`, and this is {found}")]
    NoList {
        /// What it is instead.
        found: &'static str,
    },
    /// The list is empty.
    #[error("there are no tools in the list, so nothing can be called")]
    Empty,
    /// A tool lacks a field or has it in another type.
    #[error("{tool}{}{problem}", if field.is_empty() { " ".into() } else { format!(": `{field}` ") })]
    Field {
        /// The tool by its number, counted from 1, and its name where it has one.
        tool: String,
        /// The field; empty for the tool as a whole.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Two tools have one name.
    #[error("tools {first} and {second} are both called `{name}`; rename one")]
    Duplicate {
        /// The name.
        name: String,
        /// The first of them, counted from 1.
        first: usize,
        /// The second.
        second: usize,
    },
    /// A tool is asked for that is not among them.
    #[error("there is no tool `{name}`; the tools are {}", tools.join(", "))]
    NoSuchTool {
        /// What was asked for.
        name: String,
        /// The tools' names.
        tools: Vec<String>,
    },
    /// A tool's parameters cannot be used.
    #[error("the parameters of tool `{tool}` cannot be used")]
    Parameters {
        /// The tool's name.
        tool: String,
        /// Where, which keyword, and what to change.
        #[source]
        source: Box<json_schema::Error>,
    },
    /// A tool's name holds what ends a name in the model's format.
    #[error(
        "tool `{tool}`: a name that holds `{end}` cannot be written in the call format {dialect}; rename it"
    )]
    Name {
        /// The tool's name.
        tool: String,
        /// What it holds.
        end: &'static str,
        /// The dialect's name.
        dialect: &'static str,
    },
    /// The schema of a plain JSON answer cannot be used.
    #[error("the schema of the answer cannot be used")]
    AnswerSchema {
        /// Where, which keyword, and what to change.
        #[source]
        source: Box<json_schema::Error>,
    },
    /// A JSON answer does not fit its schema.
    #[error("the answer does not fit its schema: {problem}")]
    Answer {
        /// What does not fit.
        problem: String,
    },
    /// A text is no call in the model's format.
    #[error("this is no tool call: {problem}")]
    NoCall {
        /// What is wrong with it.
        problem: String,
    },
    /// A call does not fit its tool.
    #[error("the call does not fit `{tool}`: {problem}")]
    Mismatch {
        /// The tool's name.
        tool: String,
        /// What does not fit.
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
