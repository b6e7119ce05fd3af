//! The parsing state of a text: shared and never overwritten, so a snapshot costs a few pointers, and going back is
//! free.

use std::rc::Rc;

use serde_json::Value;

use super::graph::NodeId;

/// The part of the text that the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// At the start of a value, or the end of an array.
    Value,
    /// At the start of a key, or the end of an object.
    Key,
    /// Between a key and its value.
    Colon,
    /// Inside a string; `key` for a key, `escaped` after a backslash.
    Text { key: bool, escaped: bool },
    /// Inside a number or a literal.
    Bare,
    /// After a value: a comma, a closing bracket or the end may follow.
    After,
    /// The value is closed; the following bytes do not belong to it.
    Done,
}

/// A list that shares its beginning with others.
#[derive(Debug)]
pub(super) struct Link<T> {
    pub(super) item: T,
    pub(super) before: Option<Rc<Link<T>>>,
}

/// The items of a list, the last first.
pub(super) fn each<T>(mut link: &Option<Rc<Link<T>>>) -> impl Iterator<Item = &T> {
    std::iter::from_fn(move || {
        let here = link.as_ref()?;
        link = &here.before;
        Some(&here.item)
    })
}

/// An open object or array.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) parent: Option<Rc<Frame>>,
    pub(super) object: bool,
    pub(super) depth: usize,
    pub(super) start: usize,
    pub(super) nodes: Rc<[NodeId]>,
    /// True if the items are compared with each other.
    pub(super) unique: bool,
    pub(super) index: usize,
    pub(super) keys: Option<Rc<Link<String>>>,
    pub(super) items: Option<Rc<Link<Value>>>,
}

/// The parsing state after some bytes.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) mode: Mode,
    pub(super) length: usize,
    pub(super) frame: Option<Rc<Frame>>,
    /// Start of the current scalar or key.
    pub(super) start: usize,
    /// The schemas of the current value.
    pub(super) nodes: Rc<[NodeId]>,
}
