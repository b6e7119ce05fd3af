//! Encodings of argument values.

use super::Piece;
use serde::{Deserialize, Serialize};

/// A value for each JSON type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByType<T> {
    /// For strings.
    pub string: T,
    /// For numbers.
    pub number: T,
    /// For `true` and `false`.
    pub boolean: T,
    /// For `null`.
    pub null: T,
    /// For arrays.
    pub array: T,
    /// For objects.
    pub object: T,
}

/// A JSON type, as far as encodings differ by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueType {
    /// A string.
    String,
    /// An integer or another number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// `null`.
    Null,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl<T> ByType<T> {
    /// The entry for a type.
    pub fn get(&self, kind: ValueType) -> &T {
        match kind {
            ValueType::String => &self.string,
            ValueType::Number => &self.number,
            ValueType::Boolean => &self.boolean,
            ValueType::Null => &self.null,
            ValueType::Array => &self.array,
            ValueType::Object => &self.object,
        }
    }
}

/// A value with the text around it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueForm {
    /// Between the key and the value.
    pub before: Vec<Piece>,
    /// The value.
    pub encoding: Encoding,
    /// Between the value and the separator or the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Piece>,
}

/// Encoding of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// A string's own text up to the text that follows it; blanks around it are the value's.
    Raw,
    /// A string's own text without the blanks around it.
    RawTrimmed,
    /// A string's own text, in `<![CDATA[...]]>` if it holds `<`, `&` or a line end.
    RawOrCdata,
    /// JSON.
    Json(JsonStyle),
    /// Python's `repr`: `True`, `None`, strings in single quotes unless they hold one and no double quote.
    Python,
    /// A string's own text between two delimiters, which it cannot hold.
    Delimited {
        /// Before and after the text.
        delimiter: String,
    },
    /// A string between single quotes; a template may write it unescaped. Models write `\'`, `\\` and `\n`.
    PythonString {
        /// True if the template escapes quotes and backslashes.
        escaped: bool,
    },
    /// Containers with bare keys, as Gemma writes them: `{key:value}`, `[value,value]`.
    Nested(Nested),
    /// Members as elements named by their keys, items as elements of one name.
    Elements(Elements),
    /// Left out together with its key.
    Omitted,
}

/// Notation of containers as elements: `<key>value</key>`, `<item>value</item>`. A member that is null is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elements {
    /// Name of the element around an item of a list.
    pub item: String,
    /// Text before each tag.
    pub before_tag: String,
    /// True if `True`, `False` and `None` are written, false for JSON's words. Models may write either.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub python: bool,
    /// True if an item that is null is left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drops_null: bool,
}

/// Notation of containers with bare keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nested {
    /// Before and after a string.
    pub delimiter: String,
    /// Text of `null`.
    pub null: String,
    /// True if templates write the keys in alphabetical order, case ignored.
    pub sorted: bool,
}

/// Blanks, escapes and order of JSON text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonStyle {
    /// `{"a": 1, "b": [2, 3]}`
    #[default]
    Spaced,
    /// `{"a":1,"b":[2,3]}`
    Compact,
    /// Spaced, every character beyond ASCII as `\uXXXX`.
    Ascii,
    /// A line for each member, indented by this many blanks for each level; `base` blanks more for every line but the
    /// first.
    Indented {
        /// Blanks for each level.
        by: u8,
        /// Blanks before every further line.
        base: u8,
    },
    /// Spaced, the keys of every object in order.
    Sorted,
}
