//! Terminals: regular expressions for the JSON text of numbers and strings.

pub(crate) mod format;
pub(crate) mod multiple;
pub(crate) mod number;
pub(crate) mod pattern;
