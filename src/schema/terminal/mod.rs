//! Terminals: regular expressions for the JSON text of numbers and strings, and literals of the grammar.
//!
//! A leaf: plain functions from bounds, divisors, patterns and formats to text. The normal form asks them whether
//! something can be expressed, and the emitter writes what they return.

mod digits;
pub(crate) mod encode;
pub(crate) mod format;
pub(crate) mod literal;
pub(crate) mod multiple;
pub(crate) mod number;
pub(crate) mod pattern;
pub(crate) mod range;
