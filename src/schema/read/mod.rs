//! A schema document: references, drafts, keywords.

pub(crate) mod document;
pub(crate) mod keyword;
