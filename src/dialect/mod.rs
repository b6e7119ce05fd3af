//! Tool-call formats as data: the text around calls, names and arguments, and the encoding of values.
//!
//! A [`Dialect`] comes from a chat template by derivation, from an entry for formats that templates do not show, or from
//! a file. Everything else follows from the data: writing calls, reading them, and the grammar that enforces them.
//!
//! A turn with calls is
//! ```text
//! first ARGUMENTS [next ARGUMENTS]... last end
//! ```
//! where `first` and `next` hold the call's name. Literal texts may contain special tokens of the vocabulary; whoever
//! tokenizes or compiles them cuts them there, so the same data serves models in which `<tool_call>` is a token and
//! models in which it is text.

mod body;
mod call;
mod choose;
pub mod derive;
mod encode;
pub mod entries;
mod error;
mod example;
mod file;
pub mod grammar;
mod head;
mod known;
mod lark;
mod loose;
mod memo;
mod notation;
mod parts;
mod piece;
mod read;
pub mod tools;
pub mod turn;
mod value;
pub mod words;
mod write;

pub use choose::{Choice, Source, Study, Wanted, named, names};
pub use encode::json_text;
pub use error::{Error, Result};
pub use example::{Example, Report};
pub use known::ToolsPlace;
pub use piece::{NameForm, Piece};
pub use value::{ByType, Elements, Encoding, JsonStyle, Nested, ValueForm, ValueType};
pub use write::{Turn, WrittenCall};

use serde::{Deserialize, Serialize};

/// A tool-call format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialect {
    /// Its name in options and messages, such as `hermes`; `derived` for one that was derived and equals no entry.
    pub name: String,
    /// Before the arguments of the first call, its name included.
    pub first: Vec<Piece>,
    /// Between the arguments of a call and those of the next one in the same turn, the next one's name included; `None`
    /// if a turn has a single call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Vec<Piece>>,
    /// After the arguments of the last call.
    pub last: Vec<Piece>,
    /// Syntax of the arguments.
    pub arguments: Arguments,
    /// Tokens that end a turn with calls, where they are not the chat's own end of turn; the first one is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub end: Vec<String>,
    /// Other ways in which models begin the first call, in place of `first`; accepted from a model, never written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_first: Vec<Vec<Piece>>,
    /// Text in a turn with calls.
    #[serde(default)]
    pub text: TextPlace,
    /// The texts around a thought before a call, in a turn of the history; `None` if the template shows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thought: Option<Thought>,
    /// Number of the first call in [`Piece::Count`], and what is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
}

/// Syntax of a call's arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "there are few dialects, and most have members")]
pub enum Arguments {
    /// One JSON object.
    Json(JsonStyle),
    /// Key by key, each value in an encoding that depends on its type.
    Members(Members),
}

/// Arguments that are written key by key: `open key value [separator key value]... close`; nothing at all without
/// arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    /// Before the first key.
    pub open: String,
    /// Between a value and the next key.
    pub separator: String,
    /// After the last value.
    pub close: String,
    /// Syntax of a key.
    #[serde(default)]
    pub key: KeyForm,
    /// True if templates write the keys in alphabetical order, case ignored. Models may write any.
    #[serde(default)]
    pub sorted: bool,
    /// Text between key and value, encoding, and text after the value, by the value's type.
    pub values: ByType<ValueForm>,
}

/// Syntax of the key of an argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyForm {
    /// As it is.
    #[default]
    Plain,
    /// As it is, with `&amp;`, `&quot;` and the like.
    Xml,
    /// As a JSON string.
    Json,
    /// As a name of Python's; other keys cannot be written.
    Identifier,
}

/// Place of text in a turn with calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextPlace {
    /// The template drops it.
    #[default]
    Dropped,
    /// Before the calls, between these texts.
    Before {
        /// Before the text.
        open: String,
        /// Between the text and the first call, which is written without the blanks at the start of `first`.
        close: String,
    },
    /// After the calls.
    Behind,
}

/// The texts around a thought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thought {
    /// Before the thought, where the prompt does not end with it.
    pub open: String,
    /// Between the thought and what follows.
    pub close: String,
    /// In place of a thought, at the start of a turn in the history that has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub none: String,
}

/// Counter in the text around calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// Number of the first call.
    pub start: u32,
    /// True if the calls of the whole conversation are counted, false for those of the turn.
    pub conversation: bool,
}
