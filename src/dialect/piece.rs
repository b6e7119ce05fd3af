//! Pieces of the text around calls.

use serde::{Deserialize, Serialize};

/// A piece of the text around a call's arguments. In JSON, a plain string is a literal, but for `"count"` and `"key"`; those
/// texts are written as `{"text": ..}`.
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
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        previous: bool,
    },
    /// The call's number.
    Count,
    /// The argument's key once more, in the text around its value.
    Key,
    /// Literal text, special tokens included.
    #[serde(untagged)]
    Text(#[serde(with = "literal")] String),
}

/// Literal text in JSON.
mod literal {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// A text as a plain string, or by itself in an object.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Literal {
        Text(String),
        #[serde(untagged)]
        Plain(String),
    }

    pub(super) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        // As plain strings, these are pieces of their own.
        let form = if matches!(text, "count" | "key") { Literal::Text } else { Literal::Plain };
        form(text.to_owned()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        let (Literal::Text(text) | Literal::Plain(text)) = Literal::deserialize(deserializer)?;
        Ok(text)
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
