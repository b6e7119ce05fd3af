//! First stage: a schema as JSON, read.
//!
//! In go the schema and its draft. Out come a [`Document`], in which every subschema has an id, a pointer and
//! resolved references, and [`Validators`] of the whole schema and of each subschema. Later stages ask the tables
//! in [`keyword`] what a keyword is.

mod branches;
mod document;
mod draft;
mod exact;
mod exact_keywords;
pub(crate) mod keyword;
mod registry;
mod validators;

pub(crate) use branches::{Excess, merge_equal_branches, unbounded};
pub(crate) use document::{Document, Id, Target};
pub(crate) use draft::{declared_draft, normalize};
pub(crate) use exact::ExactNode;
pub(crate) use registry::{ReadError, unavailable};
pub(crate) use validators::Validators;
