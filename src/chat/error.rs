//! What can be wrong with messages or a chat template, and where.

use std::fmt;

use crate::chat::Role;
use crate::error::Kind;
use crate::tools::json::NotUtf8;

/// Why messages or a chat template cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The messages are not text.
    #[error("the messages are {0}")]
    Utf8(NotUtf8),
    /// The messages are not a JSON document; the cause gives line and column.
    #[error("the messages are not valid JSON")]
    Json {
        /// The parser's reason.
        #[source]
        source: serde_json::Error,
    },
    /// The document is JSON but holds no message list.
    #[error("the messages are {found}; expected an array of messages, or an object with the key `messages`")]
    NotMessages {
        /// What stands there instead.
        found: String,
    },
    /// There is no message at all.
    #[error(
        "there are no messages; give at least one, for example {{\"role\": \"user\", \"content\": \"...\"}}"
    )]
    Empty,
    /// A field of a message is missing or is not what it should be.
    #[error("messages[{index}]{field}: {problem}")]
    Field {
        /// Which message, counted from 0.
        index: usize,
        /// Path inside the message, such as `.tool_calls[0].function.arguments`; empty for the message itself.
        field: String,
        /// What is wrong.
        problem: Problem,
        /// The reason where text inside the field failed to parse.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// More messages than any context holds.
    #[error("there are more than {limit} messages, and no model's context holds as many; keep the last ones")]
    TooMany {
        /// The most that are read.
        limit: usize,
    },
    /// A whole number that has no exact place in 64 bits.
    #[error(
        "line {line}, column {column}: the integer {literal} does not fit in 64 bits and would be rounded; write it as a string"
    )]
    Integer {
        /// Line of the literal, counted from 1.
        line: usize,
        /// Column in characters, counted from 1.
        column: usize,
        /// The literal.
        literal: String,
    },
    /// The model has several templates and none of them can be chosen.
    #[error("the model has the chat templates {} and none named `default`", names.join(", "))]
    NoDefaultTemplate {
        /// The names.
        names: Vec<String>,
    },
    /// The template is too large to be one.
    #[error(
        "the chat template has {bytes} bytes and {lines} lines; at most {max_bytes} and {max_lines} are accepted"
    )]
    TemplateSize {
        /// Its size.
        bytes: usize,
        /// Its lines.
        lines: usize,
        /// The limit on bytes.
        max_bytes: usize,
        /// The limit on lines.
        max_lines: usize,
    },
    /// The template cannot be parsed.
    #[error("the chat template cannot be parsed: line {line}: {reason}")]
    Syntax {
        /// Line of the template, counted from 1.
        line: usize,
        /// The engine's reason.
        reason: String,
    },
    /// The template refused the conversation through `raise_exception`.
    #[error("the chat template refuses this conversation: {message} (line {line} of the template)")]
    Refused {
        /// The template's own words.
        message: String,
        /// Line of the template, counted from 1.
        line: usize,
    },
    /// The template failed while rendering.
    #[error("the chat template failed at its line {line}: {reason}")]
    Render {
        /// Line of the template, counted from 1.
        line: usize,
        /// The engine's reason.
        reason: String,
    },
    /// The template did more work than any conversation needs.
    #[error("the chat template was stopped at its line {line}: {limit}; it loops or writes without end")]
    Runaway {
        /// Line of the template, counted from 1.
        line: usize,
        /// Which limit it reached.
        limit: String,
    },
    /// The template wrote nothing at all.
    #[error(
        "the chat template writes nothing for this conversation, so there is nothing to answer; look at it with \
         --print-prompt, or give another one with --chat-template"
    )]
    EmptyPrompt,
    /// The system gives no thread to render on.
    #[error("cannot start a thread to render the chat template")]
    Thread {
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The current time cannot be told.
    #[error("SOURCE_DATE_EPOCH is `{value}`; expected seconds since 1970 as a whole number")]
    SourceDateEpoch {
        /// The variable's value.
        value: String,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::SourceDateEpoch { .. } => Kind::Usage,
            Error::Thread { .. } => Kind::Unavailable,
            _ => Kind::Data,
        }
    }
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The field is needed and absent.
    Missing,
    /// The field has the wrong JSON type.
    Type {
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// The role is none that a chat has.
    UnknownRole(String),
    /// The content part is not text.
    UnknownPart(String),
    /// The tool call is not a function call.
    UnknownCallType(String),
    /// The text of the field should be JSON and is not; the cause says why.
    NotJson,
    /// An integer in the text of the field has no exact place in 64 bits.
    WideInteger(String),
    /// The text is empty where a name is needed.
    EmptyName,
    /// A tool's result with nothing before it that could have asked for one.
    Unasked,
    /// OpenAI's way to write a call before there were `tool_calls`.
    FunctionCall,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Missing => write!(f, "missing"),
            Problem::Type { expected, found } => write!(f, "expected {expected}, found {found}"),
            Problem::UnknownRole(role) => {
                let known: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
                write!(f, "unknown role `{role}`; known roles: {}", known.join(", "))
            }
            Problem::UnknownPart(kind) => {
                write!(f, "a content part of type `{kind}` is not supported; only `text` is")
            }
            Problem::UnknownCallType(kind) => {
                write!(f, "a tool call of type `{kind}` is not supported; only `function` is")
            }
            Problem::NotJson => write!(f, "not valid JSON"),
            Problem::WideInteger(literal) => {
                write!(f, "the integer {literal} does not fit in 64 bits; write it as a string")
            }
            Problem::EmptyName => write!(f, "empty; a name is needed"),
            Problem::Unasked => write!(
                f,
                "a `tool` message holds the result of a call, and no assistant message stands before it; put the \
                 assistant's message with the call in front"
            ),
            Problem::FunctionCall => {
                write!(f, "this older form of a call is not read by chat templates; write it as `tool_calls`")
            }
        }
    }
}
