//! Third stage: the grammar of a schema.
//!
//! In go the validators of a document and the options. The emitter asks the second stage for the normal form of one
//! value after the other. Out come the [`Grammar`], and the document and the report for the checks of what no rule
//! expresses.

mod array;
mod condition;
mod contains;
mod emitter;
mod keys;
mod members;
mod object;
mod rules;
mod scalar;
mod shortest;
mod string;

use std::collections::HashSet;

use self::emitter::Emitter;
use crate::schema::normal::{Item, Normalizer};
use crate::schema::options::Options;
use crate::schema::read::{Document, ReadError, Validators};
use crate::schema::report::ReportBuilder;

/// The grammar of a schema's values.
pub(crate) struct Grammar {
    /// Rules and terminals in llguidance's Lark, without `start`.
    pub(crate) rules: String,
    /// Name of the rule or terminal for the whole value.
    pub(crate) value: String,
}

/// The grammar of a document, and what its checks are made from.
pub(crate) struct Emitted<'a> {
    /// The grammar; `None` if no value satisfies the schema.
    pub(crate) grammar: Option<Grammar>,
    pub(crate) document: Document<'a>,
    pub(crate) report: ReportBuilder,
    /// True if only the whole value can be checked, since a reference depends on the dynamic scope.
    pub(crate) dynamic: bool,
}

/// Writes the grammar of the schema in `validators`.
pub(crate) fn emit(validators: &Validators, options: Options) -> Result<Emitted<'_>, ReadError> {
    let mut impossible = HashSet::new();
    loop {
        let document = Document::new(validators.registry(), validators.draft())?;
        let normal = Normalizer::new(document, validators, options.meaning);
        let mut emitter = Emitter::new(normal, options.key_order, impossible);
        let value = emitter.value(&[Item::Schema(Document::ROOT)]);
        emitter.refuse_endless();
        match emitter.take_impossible() {
            Some(found) if !emitter.normal.report.is_refused() => impossible = found,
            _ => {
                let Emitter { normal, rules, .. } = emitter;
                let grammar = value.map(|value| Grammar { rules: rules.text(), value });
                let Normalizer { document, report, dynamic, .. } = normal;
                return Ok(Emitted { grammar, document, report, dynamic });
            }
        }
    }
}
