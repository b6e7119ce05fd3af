//! Checks of the values in an answer, as the [`Validator`] that the runtime asks while it generates.

use crate::{
    dialect::grammar::IncrementalGrammar,
    runtime::validator::{CLOSING, Position, Scalar, Validator, Violation},
    schema::Follower,
};

impl Validator for Follower {
    fn push(&mut self, bytes: &[u8]) -> bool {
        Follower::push(self, bytes)
    }

    fn closing(&self) -> &[u8] {
        Follower::closing(self).unwrap_or(&CLOSING)
    }

    fn allows(&mut self, bytes: &[u8]) -> bool {
        Follower::allows(self, bytes)
    }

    fn may_end(&mut self) -> bool {
        Follower::may_end(self)
    }

    fn distance(&mut self, bytes: &[u8]) -> Option<(usize, u16)> {
        Follower::distance(self, bytes)
    }

    fn rollback(&mut self, pushes: usize) {
        Follower::rollback(self, pushes);
    }

    fn value_start(&self) -> usize {
        Follower::value_start(self)
    }

    fn violation(&self) -> Option<Violation> {
        let violation = Follower::violation(self)?;
        let (pointer, keyword) = (violation.pointer, violation.keyword);
        Some(Violation { pointer, keyword, message: violation.message })
    }

    fn position(&self) -> Position {
        let scalar = if self.is_bare() {
            Some(Scalar::Bare)
        } else if self.is_in_string() {
            Some(Scalar::String)
        } else {
            None
        };
        Position { depth: self.depth(), scalar }
    }

    fn container_start(&self) -> usize {
        Follower::container_start(self)
    }
}

/// A tracker for each value in an answer that has a schema, such as the arguments of each call.
pub(super) struct SchemaValidator<'g> {
    grammar: &'g dyn IncrementalGrammar,
    written: Vec<u8>,
    trackers: Vec<Followed>,
    // For each push: bytes written before it, and its effect on the trackers.
    pushes: Vec<(usize, Step)>,
    violation: Option<Violation>,
}

struct Followed {
    tracker: Follower,
    /// Offset of the value's first byte in the text.
    start: usize,
    /// Index of the push that reached the value: the one with its first byte, or the one right before it.
    first: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Passed,
    Began,
    Went,
}

impl<'g> SchemaValidator<'g> {
    /// A validator over text of `grammar`.
    pub(super) fn new(grammar: &'g dyn IncrementalGrammar) -> SchemaValidator<'g> {
        SchemaValidator {
            grammar,
            written: Vec::new(),
            trackers: Vec::new(),
            pushes: Vec::new(),
            violation: None,
        }
    }

    /// The tracker of the value that is not yet complete, if any.
    fn open(&mut self) -> Option<&mut Follower> {
        self.trackers.last_mut().map(|last| &mut last.tracker).filter(|tracker| !tracker.is_done())
    }

    /// A new tracker for a value that has begun, with the bytes so far that belong
    /// to it.
    fn begun(&self) -> Option<(Followed, &[u8])> {
        let (start, checked) = self.grammar.checked(&self.written)?;
        if self.trackers.last().is_some_and(|last| last.start >= start) {
            return None;
        }
        let followed = Followed { tracker: checked.follower(), start, first: self.pushes.len() };
        Some((followed, &self.written[start..]))
    }
}

impl Validator for SchemaValidator<'_> {
    fn push(&mut self, bytes: &[u8]) -> bool {
        self.violation = None;
        let before = self.written.len();
        let step = if let Some(tracker) = self.open() {
            if !tracker.push(bytes) {
                self.violation = Validator::violation(tracker);
                return false;
            }
            self.written.extend_from_slice(bytes);
            Step::Went
        } else {
            self.written.extend_from_slice(bytes);
            match self.begun() {
                Some((mut followed, own)) => {
                    if !followed.tracker.push(own) {
                        self.violation = Validator::violation(&followed.tracker);
                        self.written.truncate(before);
                        return false;
                    }
                    self.trackers.push(followed);
                    Step::Began
                }
                None => Step::Passed,
            }
        };
        self.pushes.push((before, step));
        true
    }

    fn closing(&self) -> &[u8] {
        self.trackers.last().map_or(&CLOSING, |last| Validator::closing(&last.tracker))
    }

    fn allows(&mut self, bytes: &[u8]) -> bool {
        // A value that begins inside these bytes is checked when they are pushed.
        self.open().is_none_or(|tracker| tracker.allows(bytes))
    }

    fn may_end(&mut self) -> bool {
        let Some(tracker) = self.open() else { return true };
        let ends = tracker.may_end();
        let violation = if ends { None } else { Validator::violation(tracker) };
        self.violation = violation;
        ends
    }

    fn distance(&mut self, bytes: &[u8]) -> Option<(usize, u16)> {
        match self.open() {
            Some(tracker) => tracker.distance(bytes),
            None => Some((0, 0)),
        }
    }

    fn rollback(&mut self, pushes: usize) {
        for _ in 0..pushes {
            let Some((before, step)) = self.pushes.pop() else { return };
            self.written.truncate(before);
            match (step, self.trackers.last_mut()) {
                (Step::Began, _) => drop(self.trackers.pop()),
                (Step::Went, Some(last)) => last.tracker.rollback(1),
                _ => {}
            }
        }
    }

    fn value_start(&self) -> usize {
        self.trackers.last().map_or(0, |last| last.first + last.tracker.value_start())
    }

    fn violation(&self) -> Option<Violation> {
        self.violation.clone()
    }

    fn position(&self) -> Position {
        let open = self.trackers.last().filter(|last| !last.tracker.is_done());
        open.map_or_else(Position::default, |open| open.tracker.position())
    }

    fn container_start(&self) -> usize {
        self.trackers.last().map_or(0, |last| last.first + last.tracker.container_start())
    }
}
