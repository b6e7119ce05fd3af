//! JSON Schema to grammar and validator: the grammar steers generation, and the validator checks what no grammar
//! can express when a value is complete. A report tells which keyword is treated how.
//!
//! A schema passes through three stages, with plain data between them. No stage uses a later one.
//!
//! 1. `read`: the schema as JSON and its draft become a `Document`, in which subschemas have ids, pointers and
//!    resolved references, and `Validators` of complete values.
//! 2. `normal`: the schemas for one value become a `Conjunction`; its choices become `Alternatives`, each a
//!    conjunction again, or a `Formula` on keys; without choices it becomes a `Shape`, its keywords merged by type.
//! 3. `emit`: shapes become a `Grammar`, Lark text for llguidance. `validate`: the document, its report and its
//!    validators become [`Checks`] of what no rule expresses, for a [`Tracker`] of generated text.
//!
//! The normal form is made on demand, one value at a time, since a schema may be recursive and its choices may
//! multiply. Below the stages are `value` (JSON values), `terminal` (regular expressions for numbers and strings) and
//! `report`.
//!
//! Objects are rules with a parameter that has one bit per key. So keys come in any order, each once, and the brace
//! closes once the required ones are there. Keywords that no rule can express are relaxed one by one: the grammar
//! accepts every valid text (in compact form, with `", "` and `": "`), and [`Checks`] has the rest.

mod emit;
mod error;
mod normal;
pub mod notation;
mod options;
mod read;
mod report;
mod terminal;
#[cfg(test)]
mod tests;
mod validate;
mod value;

use std::sync::Arc;

pub use error::Error;
use notation::{KeyTypes, Notation};
pub use options::{KeyOrder, Meaning, Options};
pub(crate) use read::keyword;
pub use referencing::Draft;
pub use report::{Line, Report, Status};
use serde_json::Value;
pub(crate) use terminal::literal::literal;
pub use validate::{Checks, Follower, Tracker, Violation};

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
    /// Types of the values under the keys of members in a notation.
    pub key_types: Arc<KeyTypes>,
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
    compile_in(schema, options, &Notation::default())
}

/// Compiles `schema` for values in `notation`; literals in the rules may be marked, see [`notation::Literal`].
///
/// # Errors
/// As [`compile`]; also for strings and keys that the notation cannot write.
pub fn compile_in(schema: &Value, options: Options, notation: &Notation) -> Result<Compiled, Error> {
    let draft = read::declared_draft(schema).or(options.draft).unwrap_or(Draft::Draft202012);
    let mut schema = schema.clone();
    read::normalize(&mut schema, draft);
    read::merge_equal_branches(&mut schema);
    let validators = read::Validators::new(schema, draft)?;
    if let Some(read::Excess { pointer, keyword, message }) = read::unbounded(&validators)? {
        return Err(Error::refused(pointer, keyword, message));
    }

    let emit::Emitted { grammar, mut document, mut report, dynamic, key_types } =
        emit::emit(&validators, options, notation)?;
    if let Some(report::Refusal { pointer, keyword, note: message }) = report.take_refusal() {
        return Err(Error::Refused { pointer, keyword, message, report: Box::new(report.finish()) });
    }
    if let Err(message) = validators.root() {
        return Err(Error::Schema { pointer: "#".into(), message: message.to_string() });
    }
    let graph = validate::SchemaGraph::new(&mut document, &report, dynamic);
    drop(document);
    let report = report.finish();
    let Some(emit::Grammar { rules, value }) = grammar else {
        // What cannot be written may be all that there is.
        let left_out = report.with(Status::LeftOut).next().cloned();
        return Err(match left_out {
            Some(Line { pointer, keyword, note: message, .. }) => {
                Error::Refused { pointer, keyword, message, report: Box::new(report) }
            }
            None => Error::AcceptsNothing { report: Box::new(report) },
        });
    };
    let checks = Arc::new(Checks::new(validators, graph));
    Ok(Compiled { rules, value, report, checks, key_types: Arc::new(key_types) })
}
