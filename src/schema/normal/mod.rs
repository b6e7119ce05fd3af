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

/// Most steps of the normal form: a schema or an item taken into a conjunction is one, and a
/// pattern held against a key.
const MAX_STEPS: usize = 3_000_000;

/// State of the normalization of a document.
pub(crate) struct Normalizer<'a> {
    pub(crate) document: Document<'a>,
    pub(crate) validators: &'a Validators,
    pub(crate) meaning: Meaning,
    pub(crate) report: ReportBuilder,
    /// True if a reference depends on the dynamic scope, so that only the whole value can be checked.
    pub(crate) dynamic: bool,
    steps: usize,
}

impl<'a> Normalizer<'a> {
    /// A normalizer of `document`, whose subschemas have `validators`.
    pub(crate) fn new(
        document: Document<'a>,
        validators: &'a Validators,
        meaning: Meaning,
    ) -> Normalizer<'a> {
        Normalizer {
            document,
            validators,
            meaning,
            report: ReportBuilder::default(),
            dynamic: false,
            steps: 0,
        }
    }

    /// Counts a step at the schema `id`; false, and the schema refused, if there were too many.
    fn step(&mut self, id: Id) -> bool {
        self.take_steps(id, 1)
    }

    /// Counts `n` steps as [`step`](Self::step) does.
    fn take_steps(&mut self, id: Id, n: usize) -> bool {
        let before = self.steps;
        self.steps = before.saturating_add(n);
        if before < MAX_STEPS && self.steps >= MAX_STEPS {
            let message =
                format!("the schema takes more than {MAX_STEPS} steps to compile; its alternatives multiply");
            self.refuse(id, "", &message);
        }
        self.steps < MAX_STEPS
    }

    /// Limits on the literals of numbers.
    pub(crate) fn limits(&self) -> Limits {
        Limits::new(self.meaning)
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
