//! JSON Schema to grammar: the keywords that can be enforced during generation, those that must be checked when
//! a value is complete, and a report that tells them apart.
//!
//! The grammar is Lark text for llguidance. Objects are rules with a parameter that has one bit per key. So
//! keys come in any order, each once, and the brace closes once the required ones are there. Keywords that no
//! rule can express are relaxed one by one: the grammar accepts every valid text (in compact form, with `", "`
//! and `": "`), and [`Checks`] has a full validator for the rest.

mod emit;
mod normal;
mod read;
mod report;
mod terminal;
#[cfg(test)]
mod tests;
mod validate;
mod value;

use std::sync::Arc;

pub use referencing::Draft;
pub use report::{Line, Report, Status};
use serde_json::Value;
pub(crate) use terminal::pattern::literal;
pub use validate::checks::{Checks, Failure};
pub use validate::tracker::Tracker;

use crate::kind::Kind;

/// Reasons why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not a JSON Schema.
    #[error("{pointer}: {message}")]
    Schema {
        /// Its JSON pointer.
        pointer: String,
        /// The defect.
        message: String,
    },
    /// It uses something that is not supported.
    #[error("{pointer}: {}{message}", if keyword.is_empty() { String::new() } else { format!("`{keyword}`: ") })]
    Refused {
        /// Its JSON pointer.
        pointer: String,
        /// The keyword.
        keyword: String,
        /// The reason, and what to change.
        message: String,
        /// The report up to that point.
        report: Box<Report>,
    },
    /// No value satisfies it.
    #[error("no JSON value satisfies the schema; look for keywords that contradict each other")]
    AcceptsNothing {
        /// The report on its keywords.
        report: Box<Report>,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        Kind::Data
    }
}

/// Semantics of what a schema leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Meaning {
    /// The standard's: everything is allowed that is not forbidden.
    #[default]
    Standard,
    /// A tool's parameters: an object whose undeclared keys are not generated.
    Tool,
}

/// Order of the keys in generated objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KeyOrder {
    /// Any order.
    #[default]
    Any,
    /// The order in the schema.
    Schema,
}

/// Options for compiling a schema.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Semantics of what the schema leaves open.
    pub meaning: Meaning,
    /// Order of the keys.
    pub key_order: KeyOrder,
    /// The draft if `$schema` names none; `None` is 2020-12, and older forms are accepted.
    pub draft: Option<Draft>,
}

/// A compiled schema.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Rules and terminals in llguidance's Lark, without `start`; see [`Compiled::lark`].
    pub rules: String,
    /// Name of the rule or terminal for the whole value.
    pub value: String,
    /// The treatment of each keyword.
    pub report: Report,
    /// The checks for a [`Tracker`] of the generated text.
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
/// [`Error::Schema`] and [`Error::Refused`] have a pointer; [`Error::AcceptsNothing`] is for a schema that no
/// value satisfies.
pub fn compile(schema: &Value, options: Options) -> Result<Compiled, Error> {
    let draft = read::document::declared_draft(schema).or(options.draft).unwrap_or(Draft::Draft202012);
    let mut schema = schema.clone();
    read::document::normalize(&mut schema, draft);
    let checks = Arc::new(Checks::new(schema, draft)?);
    emit::grammar::compile(checks, draft, options)
}
