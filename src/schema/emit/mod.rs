//! Grammar rules for a schema in normal form.

pub(crate) mod array;
pub(crate) mod grammar;
pub(crate) mod members;
pub(crate) mod object;
pub(crate) mod scalar;
