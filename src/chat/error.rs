//! Errors of messages and chat templates, with their places.

use crate::chat::Role;
use crate::json::NotUtf8;
use crate::{kind::Kind, remedy::Remedy, stack};

/// Reasons why messages or a chat template cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The messages are not UTF-8 text.
    #[error("the messages are {0}")]
    Utf8(NotUtf8),
    /// The messages are not a JSON document; the cause gives line and column.
    #[error("the messages are not valid JSON")]
    Json {
        /// The parser's reason.
        #[source]
        source: serde_json::Error,
    },
    /// The document is JSON but has no message list.
    #[error("the messages are {found}; expected an array of messages, or an object with the key `messages`")]
    NotMessages {
        /// The type of the value found instead.
        found: String,
    },
    /// The list has no messages.
    #[error(
        "there are no messages; give at least one, for example {{\"role\": \"user\", \"content\": \"...\"}}"
    )]
    Empty,
    /// A field of a message is missing or invalid.
    #[error("messages[{index}]{field}: {problem}")]
    Field {
        /// Index of the message, from 0.
        index: usize,
        /// Path inside the message, such as `.tool_calls[0].function.arguments`; empty for the message itself.
        field: String,
        /// The defect.
        problem: FieldError,
        /// The parser's error, if text inside the field is not valid JSON.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// More messages than any context can hold.
    #[error("there are more than {limit} messages, and no model's context holds as many; keep the last ones")]
    TooMany {
        /// Most messages accepted.
        limit: usize,
    },
    /// An integer that 64 bits cannot hold exactly.
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
    /// The model has several templates, and none of them is the default.
    #[error("the model has the chat templates {} and none named `default`", names.join(", "))]
    NoDefaultTemplate {
        /// The names.
        names: Vec<String>,
    },
    /// The template is too large.
    #[error(
        "the chat template has {bytes} bytes and {lines} lines; at most {max_bytes} and {max_lines} are accepted"
    )]
    TemplateSize {
        /// Bytes of the template.
        bytes: usize,
        /// Lines of the template.
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
    /// The template refused the conversation by calling `raise_exception`.
    #[error("the chat template refuses this conversation: {message} (line {line} of the template)")]
    Refused {
        /// The text that it passed.
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
    /// The template exceeded the limits on steps or output.
    #[error("the chat template was stopped at its line {line}: {limit}; it loops or writes without end")]
    Runaway {
        /// Line of the template, counted from 1.
        line: usize,
        /// The limit, in words.
        limit: String,
    },
    /// The template produced an empty prompt.
    #[error("the chat template writes nothing for this conversation, so there is nothing to answer")]
    EmptyPrompt,
    /// The system could not start a thread for rendering.
    #[error("cannot start a thread to render the chat template; {}", stack::LIMITS)]
    Thread {
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// `SOURCE_DATE_EPOCH` is not a number of seconds.
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

    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::EmptyPrompt => vec![Remedy::PrintPrompt, Remedy::ChatTemplate],
            _ => Vec::new(),
        }
    }
}

/// Defects of a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// The field is required and absent.
    #[error("missing")]
    Missing,
    /// The field has the wrong JSON type.
    #[error("expected {expected}, found {found}")]
    Type {
        /// The expected type.
        expected: &'static str,
        /// The type found.
        found: &'static str,
    },
    /// The role is unknown.
    #[error("unknown role `{0}`; known roles: {known}", known = Role::ALL.map(Role::as_str).join(", "))]
    UnknownRole(String),
    /// The content part is not text.
    #[error("a content part of type `{0}` is not supported; only `text` is")]
    UnknownPart(String),
    /// The tool call is not a function call.
    #[error("a tool call of type `{0}` is not supported; only `function` is")]
    UnknownCallType(String),
    /// The text of the field is not valid JSON; the source has the reason.
    #[error("not valid JSON")]
    NotJson,
    /// An integer in the text of the field does not fit in 64 bits.
    #[error("the integer {0} does not fit in 64 bits; write it as a string")]
    WideInteger(String),
    /// The text is empty, and a name is required.
    #[error("empty; a name is needed")]
    EmptyName,
    /// A tool's result without an assistant message before it.
    #[error(
        "a `tool` message holds the result of a call, and no assistant message stands before it; put the \
         assistant's message with the call in front"
    )]
    Unasked,
    /// OpenAI's `function_call`, the predecessor of `tool_calls`.
    #[error("this older form of a call is not read by chat templates; write it as `tool_calls`")]
    FunctionCall,
    /// A result's id that no earlier call has.
    #[error("no call before it has the id `{id}`; the ids are {}", listed(known))]
    UnknownId {
        /// The id.
        id: String,
        /// Ids of the calls before it, eight at most.
        known: Vec<String>,
    },
    /// A second result of one call.
    #[error("`{0}` has a result already; give each call one")]
    SecondResult(String),
    /// A call without a result before one that has its own: templates would show the wrong one.
    #[error("the call `{0}` has no result, and a later call has one; give every call its result")]
    NoResult(String),
}

fn listed(ids: &[String]) -> String {
    ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
}
