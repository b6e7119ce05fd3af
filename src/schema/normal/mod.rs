//! Second stage: all schemas that apply to one value, in normal form.
//!
//! In goes a [`Document`]. A value is described by a list of [`Item`]s. The [`Normalizer`] resolves their references
//! and collects their choices in a [`Conjunction`]; it expands a choice into alternatives ([`choice::Alternatives`]), each again a list of
//! items; and it merges the keywords of a conjunction without choices in a [`Shape`], which has everything that a
//! grammar needs to know about a value but the values inside it. For those, [`children`] has further lists of items.
//! Choices that only depend on the presence of keys are a [`Formula`].
//!
//! All of these are plain data. What becomes of each keyword is noted in the report on the way.

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

/// A document, and what is known of it during normalization.
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
