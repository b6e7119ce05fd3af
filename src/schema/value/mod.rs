//! JSON values: their types, exact decimals, equality, and patterns of decoded text.
//!
//! A leaf: it knows JSON and nothing of schemas.

pub(crate) mod decimal;
pub(crate) mod equality;
pub(crate) mod matcher;
pub(crate) mod types;

pub(crate) use equality::{are_distinct, equal, normal_text, retain_equal};
