//! Distance of a text from its end, by which tokens are chosen that complete it fastest.

use std::rc::Rc;

use super::graph::NodeId;
use super::state::{Frame, Mode, each};
use super::tracker::Tracker;
use crate::json;

/// Rank of a key in an object's schemas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Required,
    Declared,
    Unknown,
}

impl Tracker {
    /// Distance of the value from its end after `bytes`: the number of open containers and values, then a rank
    /// of what the innermost position still needs. `None` if `bytes` may not be appended.
    ///
    /// The token with the smallest distance completes the text fastest.
    pub fn distance(&mut self, bytes: &[u8]) -> Option<(usize, u16)> {
        let before = self.state.clone();
        let distance = self.write(bytes).then(|| {
            // A container that was just opened can be closed; after a comma something must follow.
            let fresh = self.state.frame.as_ref().is_some_and(|f| f.index == 0 && f.keys.is_none());
            let pending = match self.state.mode {
                Mode::Done | Mode::After => false,
                Mode::Key | Mode::Value => !fresh,
                _ => true,
            };
            (self.depth() + usize::from(pending), self.rank(bytes, before.length, fresh))
        });
        self.restore(before);
        distance
    }

    /// Rank of what the innermost position still needs after `bytes`, which follow `before` others.
    fn rank(&mut self, bytes: &[u8], before: usize, fresh: bool) -> u16 {
        // Short tokens satisfy a pattern sooner than long ones. Parts of a multi-byte character or an
        // escape are longer than they look.
        let long = bytes.first().is_some_and(|b| *b >= 0x80 || *b == b'\\');
        let length = bytes.len().min(40) as u16 + if long { 3 } else { 0 };
        match self.state.mode {
            Mode::Done => 0,
            Mode::After => 1,
            Mode::Bare => 2,
            Mode::Key => 4,
            Mode::Text { key: false, .. } => 10 + length,
            Mode::Value if self.state.frame.is_none() => 4,
            // A further item, if the array cannot be closed.
            Mode::Value if !fresh && self.state.frame.as_ref().is_some_and(|f| !f.object) => 300,
            Mode::Colon | Mode::Value => match self.wanted(true) {
                Wanted::Required => 3,
                Wanted::Declared => 150,
                Wanted::Unknown => 240,
            },
            Mode::Text { .. } => match self.wanted(false) {
                Wanted::Required => 100,
                Wanted::Declared => 200,
                Wanted::Unknown if self.state.start < before => 250 + length,
                Wanted::Unknown => 310 + length,
            },
        }
    }

    /// Rank in the object's schemas of the key being written; if `closed`, of the last complete key.
    fn wanted(&mut self, closed: bool) -> Wanted {
        let Some(frame) = self.state.frame.clone().filter(|f| f.object) else { return Wanted::Required };
        let hints = self.hints(&frame);
        let so_far = &self.text[self.state.start.min(self.text.len())..];
        let key = each(&frame.keys).next().filter(|_| closed);
        let fits = |name: &str| match key {
            Some(key) => key == name,
            None => {
                let written = each(&frame.keys).any(|k| k == name);
                !written && json::spaced(&name).as_bytes().starts_with(so_far)
            }
        };
        if self.checks.graph.required(&hints).any(fits) {
            Wanted::Required
        } else if self.checks.graph.declared(&hints).any(fits) {
            Wanted::Declared
        } else {
            Wanted::Unknown
        }
    }

    /// All schemas that may apply to the value of `frame`.
    fn hints(&mut self, frame: &Rc<Frame>) -> Rc<[NodeId]> {
        let (nodes, part) = match &frame.parent {
            None => (frame.nodes.clone(), String::new()),
            Some(parent) => {
                let key = each(&parent.keys).next().filter(|_| parent.object);
                let part = key.map_or_else(|| parent.index.to_string(), Clone::clone);
                if let Some(found) = self.hints.get(&(frame.start, part.clone())) {
                    return found.clone();
                }
                let around = self.hints(parent);
                let nodes = match key {
                    Some(key) => self.checks.graph.for_key(&around, key),
                    None => self.checks.graph.for_item(&around, parent.index),
                };
                (nodes, part)
            }
        };
        let found = self.checks.graph.with_alternatives(&nodes);
        self.hints.insert((frame.start, part), found.clone());
        found
    }
}
