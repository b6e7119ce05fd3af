//! Pieces of the text around calls.

use serde::{Deserialize, Serialize};

/// A piece of the text around a call's arguments. In JSON, a plain string is a literal, but for `"count"` and `"key"`; those
/// texts are written as `{"text": ..}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub enum Piece {
    /// Literal text that a model may leave out; written only if `written`.
    Optional {
        /// The text.
        text: String,
        /// True if it is written in a history.
        written: bool,
    },
    /// An id, with the text around it, that a model may write behind the arguments; never written.
    OptionalId {
        /// The text before the id.
        before: String,
        /// Number of letters and digits that a model writes.
        length: u32,
        /// The text after the id.
        after: String,
    },
    /// The tool's name.
    Name(NameForm),
    /// The call's id: a given number of letters and digits.
    Id {
        /// Number of letters and digits that a model writes.
        length: u32,
        /// True for the id of the call before, in the text between two calls.
        previous: bool,
    },
    /// The call's number.
    Count,
    /// The argument's key once more, in the text around its value.
    Key,
    /// Literal text, special tokens included.
    Text(String),
}

/// A piece as files have it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    Optional {
        text: String,
        written: bool,
    },
    OptionalId {
        before: String,
        length: u32,
        after: String,
    },
    Name(NameForm),
    Id {
        length: u32,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        previous: bool,
    },
    Count,
    Key,
    Text(String),
    #[serde(untagged)]
    Plain(String),
}

impl From<Form> for Piece {
    fn from(form: Form) -> Piece {
        match form {
            Form::Optional { text, written } => Piece::Optional { text, written },
            Form::OptionalId { before, length, after } => Piece::OptionalId { before, length, after },
            Form::Name(form) => Piece::Name(form),
            Form::Id { length, previous } => Piece::Id { length, previous },
            Form::Count => Piece::Count,
            Form::Key => Piece::Key,
            Form::Text(text) | Form::Plain(text) => Piece::Text(text),
        }
    }
}

impl From<Piece> for Form {
    fn from(piece: Piece) -> Form {
        match piece {
            Piece::Optional { text, written } => Form::Optional { text, written },
            Piece::OptionalId { before, length, after } => Form::OptionalId { before, length, after },
            Piece::Name(form) => Form::Name(form),
            Piece::Id { length, previous } => Form::Id { length, previous },
            Piece::Count => Form::Count,
            Piece::Key => Form::Key,
            // As plain strings, these are pieces of their own.
            Piece::Text(text) if text == "count" || text == "key" => Form::Text(text),
            Piece::Text(text) => Form::Plain(text),
        }
    }
}

/// Syntax of the name in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameForm {
    /// As it is; names must not contain the text that follows.
    Plain,
    /// As it is inside JSON's quotes, which belong to the text around: quotes and backslashes are escaped.
    Json,
    /// As it is, with `&amp;`, `&quot;` and the like.
    Xml,
}
