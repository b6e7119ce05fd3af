//! Validators of complete values, and the tracker of generated text.

pub(crate) mod checks;
pub(crate) mod graph;
pub(crate) mod tracker;
