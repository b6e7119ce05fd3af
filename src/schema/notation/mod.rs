//! Syntax of an object's members and of the values in them, where it is not JSON with a space behind `,` and `:`.
//!
//! Literal texts in the rules that come from a notation are marked, since they may hold special tokens of a vocabulary:
//! whoever compiles the rules replaces the marks, see [`Literal`].

mod between;
mod element_reader;
mod key_types;
mod literals;
mod members;
mod strings;
mod style;
mod style_reader;
mod text;
mod transcoder;
mod unwritable;
mod value;
mod words;

pub use key_types::KeyTypes;
pub(super) use key_types::{ITEMS, inside};
pub use literals::{Literal, replace_literals};
pub(super) use literals::{marked, until};
pub(super) use members::KINDS;
pub use members::{Elements, Members, Notation};
pub use style::Style;
pub use transcoder::{Reading, Transcoder};
pub(super) use unwritable::stem;
pub use value::{Form, KeySyntax, Part, ValueSyntax};
pub(super) use words::{NULLS, TRUTHS};
