//! Pieces of the text around calls.

use serde::{Deserialize, Serialize};

/// A piece of the text around a call's arguments. In JSON, a plain string is a literal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// Literal text that a model may leave out; written only if `written`.
    Optional {
        /// The text.
        text: String,
        /// True if it is written in a history.
        written: bool,
    },
    /// The tool's name.
    Name(NameForm),
    /// The call's id: a given number of letters and digits.
    Id {
        /// Number of letters and digits that a model writes.
        length: u32,
        /// True for the id of the call before, in the text between two calls.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        previous: bool,
    },
    /// The call's number.
    Count,
    /// The argument's key once more, in the text around its value.
    Key,
    /// Literal text, special tokens included.
    #[serde(untagged)]
    Text(String),
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
