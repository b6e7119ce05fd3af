//! Why tools cannot be used, or a text is no call of one.

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
    /// A schema holds something that cannot be enforced.
    #[error("tool `{tool}`: `{keyword}` at {pointer} {problem}")]
    Schema {
        /// The tool's name.
        tool: String,
        /// Where in its `parameters`, as a JSON pointer.
        pointer: String,
        /// The keyword.
        keyword: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The schema of a plain JSON answer cannot be enforced.
    #[error("the schema cannot be enforced: {problem}")]
    AnswerSchema {
        /// The reason.
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
            Error::NoCall { .. } | Error::Mismatch { .. } => Kind::Negative,
            Error::NoSuchTool { .. } => Kind::Usage,
            _ => Kind::Data,
        }
    }
}
