//! Third stage: the grammar of a schema.
//!
//! In go the validators of a document and the options. The emitter asks the second stage for the normal form of one
//! value after the other. Out come the [`Grammar`], and the document and the report for the checks of what no rule
//! expresses.

mod around;
mod array;
mod condition;
mod contains;
mod emitter;
mod keys;
mod member_value;
mod members;
mod object;
mod place;
mod rules;
mod scalar;
mod shortest;
mod string;
mod syntax;

use self::emitter::{Emitter, Known};
use crate::schema::normal::{Item, Normalizer};
use crate::schema::notation::{KeyTypes, Notation};
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
    /// Types of the values under the keys of a notation's members.
    pub(crate) key_types: KeyTypes,
}

/// Writes the grammar of the schema in `validators`, with values in `notation`.
pub(crate) fn emit<'v>(
    validators: &'v Validators,
    options: Options,
    notation: &Notation,
) -> Result<Emitted<'v>, ReadError> {
    let mut known = Known::default();
    loop {
        let document = Document::new(validators.registry(), validators.draft())?;
        let normal = Normalizer::new(document, validators, options.meaning);
        let mut emitter = Emitter::new(normal, options.key_order, notation, known);
        let value = emitter.value(&[Item::Schema(Document::ROOT)]);
        emitter.refuse_endless();
        match emitter.take_known() {
            Some(found) if !emitter.normal.report.is_refused() => known = found,
            _ => {
                let Emitter { normal, rules, key_types, .. } = emitter;
                let grammar = value.map(|value| Grammar { rules: rules.text(), value });
                let Normalizer { document, report, dynamic, .. } = normal;
                return Ok(Emitted { grammar, document, report, dynamic, key_types });
            }
        }
    }
}
