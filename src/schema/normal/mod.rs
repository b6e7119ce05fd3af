//! Normal form: conjunctions, choices and shapes.

pub(crate) mod choice;
pub(crate) mod conjunction;
pub(crate) mod presence;
pub(crate) mod shape;
