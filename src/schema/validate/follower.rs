//! Follows a value that is not written as JSON: the tracker sees what it means.

use super::{Checks, Tracker, Violation};
use crate::schema::notation::{Reading, Transcoder};
use std::sync::Arc;

/// The text of one value so far, in JSON or in a notation of members. Pushes are counted in the text as it is written.
#[derive(Debug)]
pub struct Follower {
    tracker: Tracker,
    front: Option<Front>,
}

/// The transcoder of the text to JSON.
#[derive(Debug)]
struct Front {
    now: Transcoder,
    /// The states before each accepted push, oldest first.
    history: Vec<Transcoder>,
    /// Bytes that can close a key or a value.
    closing: Vec<u8>,
}

impl Front {
    /// The state after `bytes` and what they mean; `None` if no members go on with them.
    fn after(&self, bytes: &[u8]) -> Option<(Transcoder, Vec<u8>)> {
        let (mut next, mut json) = (self.now.clone(), Vec::new());
        bytes.iter().all(|byte| next.feed(*byte, &mut json)).then_some((next, json))
    }

    /// Index of the push with the byte at `offset`.
    fn push_of(&self, offset: usize) -> usize {
        self.history.iter().rposition(|state| state.read() <= offset).unwrap_or(0)
    }
}

impl Follower {
    /// A follower of a value; `reading`: how to read it if it is not JSON.
    pub fn new(checks: Arc<Checks>, reading: Option<Reading>) -> Follower {
        let front = reading.map(|reading| Front {
            closing: reading.members.closing(),
            now: Transcoder::new(reading),
            history: Vec::new(),
        });
        Follower { tracker: Tracker::new(checks, 0), front }
    }

    /// Appends `bytes` if all of them are allowed; otherwise none.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let Some(front) = &mut self.front else { return self.tracker.push(bytes) };
        let Some((next, json)) = front.after(bytes) else { return false };
        if !self.tracker.push(&json) {
            return false;
        }
        front.history.push(std::mem::replace(&mut front.now, next));
        true
    }

    /// Bytes that can close a key or a value.
    pub fn closing(&self) -> Option<&[u8]> {
        self.front.as_ref().map(|front| front.closing.as_slice())
    }

    /// True if `bytes` may be appended.
    pub fn allows(&mut self, bytes: &[u8]) -> bool {
        let Some(front) = &self.front else { return self.tracker.allows(bytes) };
        front.after(bytes).is_some_and(|(_, json)| self.tracker.allows(&json))
    }

    /// True if the value may end here.
    pub fn may_end(&mut self) -> bool {
        let Some(front) = &self.front else { return self.tracker.may_end() };
        if front.now.end().is_some() {
            return self.tracker.may_end();
        }
        let (mut next, mut json) = (front.now.clone(), Vec::new());
        next.finish(&mut json) && self.tracker.allows(&json)
    }

    /// True if the value is closed.
    pub fn is_done(&self) -> bool {
        self.tracker.is_done()
    }

    /// Undoes the last `chunks` accepted pushes.
    pub fn rollback(&mut self, chunks: usize) {
        self.tracker.rollback(chunks);
        if let Some(front) = &mut self.front {
            for _ in 0..chunks {
                front.history.pop().into_iter().for_each(|state| front.now = state);
            }
        }
    }

    /// Distance of the value from its end after `bytes`, see [`Tracker::distance`].
    pub fn distance(&mut self, bytes: &[u8]) -> Option<(usize, u16)> {
        let Some(front) = &self.front else { return self.tracker.distance(bytes) };
        let (next, json) = front.after(bytes)?;
        let (depth, rank) = self.tracker.distance(&json)?;
        Some((depth, next.rank(bytes.len()).unwrap_or(rank)))
    }

    /// Index of the push that started the innermost open value, or the value just closed.
    pub fn value_start(&self) -> usize {
        match self.front.as_ref().and_then(|front| Some((front, front.now.held_value()?))) {
            Some((front, start)) => front.push_of(start),
            None => self.tracker.value_start(),
        }
    }

    /// Index of the push that started the innermost open object or array.
    pub fn container_start(&self) -> usize {
        self.tracker.container_start()
    }

    /// Number of open objects and arrays.
    pub fn depth(&self) -> usize {
        self.tracker.depth()
    }

    /// True if the text ends inside a string or a key.
    pub fn is_in_string(&self) -> bool {
        let held = self.front.as_ref().and_then(|front| front.now.held_value());
        held.is_some() || self.tracker.is_in_string()
    }

    /// True if the text ends inside a number or a literal.
    pub fn is_bare(&self) -> bool {
        self.tracker.is_bare()
    }

    /// The violation for which the last push was refused: the schema, the keyword and the message.
    pub fn violation(&self) -> Option<Violation> {
        self.tracker.violation()
    }
}
