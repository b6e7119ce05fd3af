//! Pieces of the text around calls.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::fmt;

/// A piece of the text around a call's arguments. In JSON, a plain string is a literal, but for `"count"` and `"key"`; those
/// texts are written as `{"text": ..}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case", deny_unknown_fields)]
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
    Text(String),
}

/// The text before an id behind the arguments.
pub(super) const ID_OPEN: &str = ", \"id\": \"";
/// The text after it.
pub(super) const ID_CLOSE: &str = "\"";

impl Piece {
    /// An id of `length` letters and digits behind the arguments, which models may leave out.
    pub(super) fn optional_id(length: u32) -> Piece {
        Piece::OptionalId { before: ID_OPEN.to_owned(), length, after: ID_CLOSE.to_owned() }
    }
}

impl Serialize for Piece {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // As plain strings, these are pieces of their own.
            Piece::Text(text) if text != "count" && text != "key" => serializer.serialize_str(text),
            // The derived form, by which every piece is told.
            told => Piece::serialize(told, serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Piece {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Piece, D::Error> {
        struct Form;

        impl<'de> Visitor<'de> for Form {
            type Value = Piece;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or an object such as {\"name\": \"plain\"}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Piece, E> {
                Ok(match text {
                    "count" => Piece::Count,
                    "key" => Piece::Key,
                    text => Piece::Text(text.to_owned()),
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Piece, A::Error> {
                Piece::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_any(Form)
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
