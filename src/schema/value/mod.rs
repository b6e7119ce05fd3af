//! JSON values: exact decimals.

pub(crate) mod decimal;
