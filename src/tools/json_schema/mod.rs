//! Any JSON Schema as a grammar: what can be enforced while the text is written, what has to be
//! checked when a value is closed, and a report that says which is which.
//!
//! The grammar is Lark text for llguidance. Objects are rules with a parameter, one bit a key: keys
//! come in any order, each once, and the brace closes when those that must be there are. Everything
//! that has no rule is relaxed keyword by keyword, so that the grammar accepts every valid text (in
//! compact form, with `", "` and `": "`), and [`Checks`] hold a full validator for the rest.

mod array;
mod check;
mod choice;
mod conjunction;
mod decimal;
mod document;
mod format;
mod grammar;
mod keyword;
mod members;
mod multiple;
mod number;
mod object;
mod pattern;
mod places;
mod presence;
mod report;
mod scalar;
mod shape;
#[cfg(test)]
mod tests;
mod tracker;

use std::sync::Arc;

pub use check::{Checks, Failure};
pub(crate) use pattern::literal;
pub use referencing::Draft;
pub use report::{Line, Report, Status};
use serde_json::Value;
pub use tracker::Tracker;

use crate::error::Kind;

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not a JSON Schema.
    #[error("{pointer}: {message}")]
    Schema {
        /// Where.
        pointer: String,
        /// What is wrong.
        message: String,
    },
    /// It uses something that cannot be honoured.
    #[error("{pointer}: {}{message}", if keyword.is_empty() { String::new() } else { format!("`{keyword}`: ") })]
    Refused {
        /// Where.
        pointer: String,
        /// The keyword.
        keyword: String,
        /// Why, and what to change.
        message: String,
        /// The report up to there.
        report: Box<Report>,
    },
    /// No value satisfies it.
    #[error("no JSON value satisfies the schema; look for keywords that contradict each other")]
    AcceptsNothing {
        /// The keywords.
        report: Box<Report>,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        Kind::Data
    }
}

/// What a schema leaves open means different things to its authors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Meaning {
    /// The standard's: what is not forbidden is allowed.
    #[default]
    Standard,
    /// A tool's parameters: an object, whose undeclared keys are not written.
    Tool,
}

/// The order in which an object's keys are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KeyOrder {
    /// As the model likes.
    #[default]
    Any,
    /// As the schema lists them.
    Schema,
}

/// How to compile a schema.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What is meant by what is left open.
    pub meaning: Meaning,
    /// The order of keys.
    pub key_order: KeyOrder,
    /// The draft where `$schema` names none; 2020-12 with the older forms otherwise.
    pub draft: Option<Draft>,
}

/// A schema ready for use.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Rules and terminals in llguidance's Lark, without `start`; see [`Compiled::lark`].
    pub rules: String,
    /// The rule or terminal of the whole value.
    pub value: String,
    /// What became of each keyword.
    pub report: Report,
    /// What a tracker of the written text has to check.
    pub checks: Arc<Checks>,
}

impl Compiled {
    /// The grammar of the value alone.
    pub fn lark(&self) -> String {
        format!("start: {}\n{}", self.value, self.rules)
    }
}

/// Compiles `schema`.
///
/// # Errors
///
/// [`Error::Schema`] and [`Error::Refused`] name the place; [`Error::AcceptsNothing`] is a schema
/// that no value satisfies.
pub fn compile(schema: &Value, options: Options) -> Result<Compiled, Error> {
    let draft = document::declared_draft(schema).or(options.draft).unwrap_or(Draft::Draft202012);
    let mut schema = schema.clone();
    document::normalize(&mut schema, draft);
    let checks = Arc::new(Checks::new(schema, draft)?);
    grammar::compile(checks, draft, options)
}
