//! Second stage: all schemas that apply to one value, in normal form.
//!
//! In goes a [`Document`]. A list of [`Item`]s describes a value. From it the [`Normalizer`] makes, on demand:
//!
//! - a [`Conjunction`]: references followed and choices collected;
//! - for each choice its [`Alternatives`](choice::Alternatives), which are lists of items again, or a [`Formula`] if
//!   it only depends on the presence of keys;
//! - for a conjunction without choices its [`Shape`]: the keywords, merged by the type of value that they constrain;
//! - the lists of items for the members and items inside the value ([`children`]).
//!
//! All of these are plain data. The report notes on the way what becomes of each keyword.

mod children;
mod choice;
mod conjunction;
mod disjoint;
mod flatten;
mod formula;
mod merge;
mod negation;
mod presence;
mod shape;

pub(crate) use conjunction::{Choice, Conjunction, Item};
pub(crate) use formula::Formula;
pub(crate) use shape::{Contains, Shape};

use crate::schema::options::Meaning;
use crate::schema::read::{Document, Id, Validators};
use crate::schema::report::{ReportBuilder, Status};
use crate::schema::terminal::number::Limits;

/// State of the normalization of a document.
pub(crate) struct Normalizer<'a> {
    pub(crate) document: Document<'a>,
    pub(crate) validators: &'a Validators,
    pub(crate) meaning: Meaning,
    pub(crate) report: ReportBuilder,
    /// True if a reference depends on the dynamic scope, so that only the whole value can be checked.
    pub(crate) dynamic: bool,
}

impl<'a> Normalizer<'a> {
    /// A normalizer of `document`, whose subschemas have `validators`.
    pub(crate) fn new(
        document: Document<'a>,
        validators: &'a Validators,
        meaning: Meaning,
    ) -> Normalizer<'a> {
        Normalizer { document, validators, meaning, report: ReportBuilder::default(), dynamic: false }
    }

    /// Limits on the literals of numbers.
    pub(crate) fn limits(&self) -> Limits {
        Limits::new(self.meaning, self.document.draft)
    }

    /// Notes the treatment of a keyword.
    pub(crate) fn mark(&mut self, id: Id, keyword: &str, status: Status, note: &str) {
        let pointer = self.document.pointer(id);
        self.report.note(&pointer, keyword, status, note);
    }

    /// Leaves a keyword to the check of the complete value.
    pub(crate) fn relax(&mut self, id: Id, keyword: &str, note: &str) {
        self.mark(id, keyword, Status::CheckedAfter, note);
    }

    /// Notes that a keyword is not supported, so that the schema is refused.
    fn refuse(&mut self, id: Id, keyword: &str, note: &str) {
        let pointer = self.document.pointer(id);
        self.report.refuse(&pointer, keyword, note);
    }
}
