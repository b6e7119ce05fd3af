//! Follows the written bytes of one JSON value and vetoes those that the grammar cannot see to be
//! wrong: a key written twice, and the byte that closes a value which its schema refuses.
//!
//! Everything that changes is shared and never overwritten, so a state costs a few pointers to keep
//! and going back is free.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use super::check::{Checks, Failure, Node};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// A value begins, or an array ends.
    Value,
    /// A key begins, or an object ends.
    Key,
    /// Between a key and its value.
    Colon,
    /// Inside a string: of a key?, after a backslash?
    Text { key: bool, escaped: bool },
    /// Inside a number or a word.
    Bare,
    /// After a value: a comma, a closing bracket or the end.
    After,
    /// The value is closed; what follows is not ours.
    Done,
}

#[derive(Debug)]
struct Link<T> {
    item: T,
    before: Option<Rc<Link<T>>>,
}

fn each<T>(mut link: &Option<Rc<Link<T>>>) -> impl Iterator<Item = &T> {
    std::iter::from_fn(move || {
        let here = link.as_ref()?;
        link = &here.before;
        Some(&here.item)
    })
}

/// An open object or array.
#[derive(Clone, Debug)]
struct Frame {
    parent: Option<Rc<Frame>>,
    object: bool,
    depth: usize,
    start: usize,
    nodes: Rc<[Node]>,
    /// The items are compared with each other.
    unique: bool,
    index: usize,
    keys: Option<Rc<Link<String>>>,
    items: Option<Rc<Link<Value>>>,
}

#[derive(Clone, Debug)]
struct State {
    mode: Mode,
    length: usize,
    frame: Option<Rc<Frame>>,
    /// Where the scalar or key that is being written began.
    start: usize,
    /// The schemas of the value that is being written.
    nodes: Rc<[Node]>,
}

/// What was refused last, and where.
#[derive(Debug)]
enum Refused {
    /// By the validator of the place at this pointer.
    Checked { pointer: String, value: Value },
    /// For a key or an item that is there already.
    Repeated(Failure),
}

/// The written text of one value, and what is known of it. See the module's words.
#[derive(Debug)]
pub struct Tracker {
    checks: Arc<Checks>,
    text: Vec<u8>,
    skip: usize,
    state: State,
    /// The states before each accepted chunk, oldest first.
    history: Vec<State>,
    refusal: Option<Refused>,
    /// Verdicts on values whose last bytes are only being tried.
    tried: HashMap<(usize, Node, Vec<u8>), bool>,
    /// What may apply to open containers, by where they begin and their key or index.
    hints: HashMap<(usize, String), Rc<[Node]>>,
}

/// How much an object asks for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Required,
    Declared,
    Unknown,
}

impl Tracker {
    /// A tracker of a value that begins after `skip` bytes.
    pub fn new(checks: Arc<Checks>, skip: usize) -> Tracker {
        let mut roots = Vec::new();
        checks.close_over(0, &mut roots);
        let state = State { mode: Mode::Value, length: 0, frame: None, start: 0, nodes: roots.into() };
        Tracker {
            checks,
            text: Vec::new(),
            skip,
            state,
            history: Vec::new(),
            refusal: None,
            tried: HashMap::new(),
            hints: HashMap::new(),
        }
    }

    /// Writes `bytes` if all of them may be written, else none.
    /// [`refusal`](Self::refusal) says why, where a check refused them.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let before = self.state.clone();
        self.refusal = None;
        // What is refused again is looked at again, for the reason.
        self.tried.retain(|_, accepted| *accepted);
        let accepted = self.write(bytes);
        if accepted {
            self.history.push(before);
            self.tried.clear();
        } else {
            self.restore(before);
        }
        accepted
    }

    /// Whether `bytes` may be written.
    pub fn allows(&mut self, bytes: &[u8]) -> bool {
        // Only these can end a key or a value.
        if !bytes.iter().any(|b| matches!(b, b'"' | b'}' | b']' | b',')) {
            return true;
        }
        let before = self.state.clone();
        let accepted = self.write(bytes);
        self.restore(before);
        accepted
    }

    /// Whether the value may end here: a number at the root is closed by nothing else.
    pub fn may_end(&mut self) -> bool {
        match (self.state.mode, &self.state.frame) {
            (Mode::Done, _) => true,
            (Mode::Bare, None) => {
                let (start, nodes) = (self.state.start, self.state.nodes.clone());
                self.accepts(start, &nodes)
            }
            _ => false,
        }
    }

    /// The value has been closed.
    pub fn is_done(&self) -> bool {
        self.state.mode == Mode::Done
    }

    /// How far from its end the value is after `bytes`: the containers and values left open, then how
    /// much the innermost place still asks for. `None` where `bytes` may not be written.
    ///
    /// The token with the least of it is the one that winds a text up.
    pub fn distance(&mut self, bytes: &[u8]) -> Option<(usize, u16)> {
        let before = self.state.clone();
        let distance = self.write(bytes).then(|| {
            let open = self.depth();
            // A container that was just opened can be closed; after a comma something has to follow.
            let fresh = self.state.frame.as_ref().is_some_and(|f| f.index == 0 && f.keys.is_none());
            let pending = match self.state.mode {
                Mode::Done | Mode::After => false,
                Mode::Key | Mode::Value => !fresh,
                _ => true,
            };
            let open = open + usize::from(pending);
            // Short pieces find the way out of a pattern sooner than long ones.
            // and the parts of a long character or an escape are longer than they look.
            let long = bytes.first().is_some_and(|b| *b >= 0x80 || *b == b'\\');
            let length = bytes.len().min(40) as u16 + if long { 3 } else { 0 };
            let place = match self.state.mode {
                Mode::Done => 0,
                Mode::After => 1,
                Mode::Bare => 2,
                Mode::Key => 4,
                Mode::Text { key: false, .. } => 10 + length,
                Mode::Value if self.state.frame.is_none() => 4,
                // An item more, where the array cannot be closed.
                Mode::Value if !fresh && self.state.frame.as_ref().is_some_and(|f| !f.object) => 300,
                Mode::Colon | Mode::Value => match self.wanted(true) {
                    Wanted::Required => 3,
                    Wanted::Declared => 150,
                    Wanted::Unknown => 240,
                },
                Mode::Text { .. } => match self.wanted(false) {
                    Wanted::Required => 100,
                    Wanted::Declared => 200,
                    Wanted::Unknown if self.state.start < before.length => 250 + length,
                    Wanted::Unknown => 310 + length,
                },
            };
            (open, place)
        });
        self.restore(before);
        distance
    }

    /// Takes the last `chunks` accepted chunks back.
    pub fn rollback(&mut self, chunks: usize) {
        for _ in 0..chunks {
            if let Some(state) = self.history.pop() {
                self.restore(state);
            }
        }
        self.hints.clear();
        self.tried.clear();
    }

    /// How many objects and arrays are open.
    pub fn depth(&self) -> usize {
        self.state.frame.as_ref().map_or(0, |frame| frame.depth + 1)
    }

    /// Whether the text ends inside a string or a key.
    pub fn is_in_string(&self) -> bool {
        matches!(self.state.mode, Mode::Text { .. })
    }

    /// Whether the text ends inside a number or a word.
    pub fn is_bare(&self) -> bool {
        self.state.mode == Mode::Bare
    }

    /// The number of chunks accepted.
    pub fn chunks(&self) -> usize {
        self.history.len()
    }

    /// The chunk with which the innermost open value, or the value just closed, began.
    pub fn value_start(&self) -> usize {
        let start = match (self.state.mode, &self.state.frame) {
            (Mode::Text { .. } | Mode::Bare, _) => self.state.start,
            (_, Some(frame)) => frame.start,
            _ => 0,
        };
        self.history.iter().rposition(|s| s.length <= start).unwrap_or(0)
    }

    /// The chunk with which the innermost open object or array began.
    pub fn container_start(&self) -> usize {
        let start = self.state.frame.as_ref().map_or(0, |frame| frame.start);
        self.history.iter().rposition(|s| s.length <= start).unwrap_or(0)
    }

    /// The refusal of the last chunk that was not accepted: which schema refused which value, and why.
    pub fn refusal(&self) -> Option<Failure> {
        Some(match self.refusal.as_ref()? {
            Refused::Checked { pointer, value } => self.checks.explain(pointer, value),
            Refused::Repeated(failure) => failure.clone(),
        })
    }

    /// The bytes of the value so far.
    pub fn text(&self) -> &[u8] {
        self.text.get(self.skip..).unwrap_or(&[])
    }

    /// How much the object asks for the key that is being written, or was just closed.
    fn wanted(&mut self, closed: bool) -> Wanted {
        let Some(frame) = self.state.frame.clone().filter(|f| f.object) else { return Wanted::Required };
        let hints = self.hints(&frame);
        let so_far = &self.text[self.state.start.min(self.text.len())..];
        let key = each(&frame.keys).next().filter(|_| closed);
        let fits = |name: &str| match key {
            Some(key) => key == name,
            None => {
                let written = each(&frame.keys).any(|k| k == name);
                !written && super::pattern::printed(name).as_bytes().starts_with(so_far)
            }
        };
        if self.checks.required(&hints).any(fits) {
            Wanted::Required
        } else if self.checks.declared(&hints).any(fits) {
            Wanted::Declared
        } else {
            Wanted::Unknown
        }
    }

    /// Every schema that may apply to the value of `frame`.
    fn hints(&mut self, frame: &Rc<Frame>) -> Rc<[Node]> {
        let (nodes, place) = match &frame.parent {
            None => (frame.nodes.clone(), String::new()),
            Some(parent) => {
                let key = each(&parent.keys).next().filter(|_| parent.object);
                let place = key.map_or_else(|| parent.index.to_string(), Clone::clone);
                if let Some(found) = self.hints.get(&(frame.start, place.clone())) {
                    return found.clone();
                }
                let around = self.hints(parent);
                let nodes = match key {
                    Some(key) => self.checks.key_nodes(&around, key),
                    None => self.checks.item_nodes(&around, parent.index),
                };
                (nodes, place)
            }
        };
        let found = self.checks.with_alternatives(&nodes);
        self.hints.insert((frame.start, place), found.clone());
        found
    }

    fn restore(&mut self, state: State) {
        self.text.truncate(state.length);
        self.state = state;
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            self.text.push(*byte);
            self.state.length += 1;
            if self.state.length <= self.skip {
                continue;
            }
            if !self.step(*byte) {
                return false;
            }
        }
        true
    }

    fn step(&mut self, byte: u8) -> bool {
        let here = self.state.length - 1;
        match self.state.mode {
            Mode::Done => true,
            Mode::Text { key, escaped } => {
                if escaped {
                    self.state.mode = Mode::Text { key, escaped: false };
                    return true;
                }
                match byte {
                    b'\\' => {
                        self.state.mode = Mode::Text { key, escaped: true };
                        true
                    }
                    b'"' if key => self.close_key(),
                    b'"' => self.close_value(self.state.start, self.state.nodes.clone()),
                    _ => true,
                }
            }
            Mode::Bare => match byte {
                b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t' => {
                    // The value ended before this byte.
                    self.text.pop();
                    let closed = self.close_value(self.state.start, self.state.nodes.clone());
                    self.text.push(byte);
                    closed && self.step(byte)
                }
                _ => true,
            },
            Mode::Value => match byte {
                b' ' | b'\n' | b'\r' | b'\t' => true,
                b'"' => {
                    self.state.start = here;
                    self.state.mode = Mode::Text { key: false, escaped: false };
                    true
                }
                b'{' | b'[' => {
                    self.open(byte == b'{', here);
                    true
                }
                b']' => self.close_frame(),
                _ => {
                    self.state.start = here;
                    self.state.mode = Mode::Bare;
                    true
                }
            },
            Mode::Key => match byte {
                b'"' => {
                    self.state.start = here;
                    self.state.mode = Mode::Text { key: true, escaped: false };
                    true
                }
                b'}' => self.close_frame(),
                _ => true,
            },
            Mode::Colon => {
                if byte == b':' {
                    self.state.mode = Mode::Value;
                }
                true
            }
            Mode::After => match byte {
                b',' => {
                    self.next_item();
                    true
                }
                b'}' | b']' => self.close_frame(),
                _ => true,
            },
        }
    }

    fn open(&mut self, object: bool, start: usize) {
        let nodes = self.state.nodes.clone();
        let unique = !object && self.checks.is_unique(&nodes);
        let parent = self.state.frame.take();
        let frame = Frame {
            depth: parent.as_ref().map_or(0, |f| f.depth + 1),
            parent,
            object,
            start,
            nodes,
            unique,
            index: 0,
            keys: None,
            items: None,
        };
        if object {
            self.state.mode = Mode::Key;
        } else {
            self.state.nodes = self.checks.item_nodes(&frame.nodes, 0);
            self.state.mode = Mode::Value;
        }
        self.state.frame = Some(Rc::new(frame));
    }

    fn next_item(&mut self) {
        let Some(frame) = &self.state.frame else { return };
        if frame.object {
            self.state.mode = Mode::Key;
            return;
        }
        let mut frame = (**frame).clone();
        frame.index += 1;
        self.state.nodes = self.checks.item_nodes(&frame.nodes, frame.index);
        self.state.frame = Some(Rc::new(frame));
        self.state.mode = Mode::Value;
    }

    fn close_key(&mut self) -> bool {
        let Ok(key) = serde_json::from_slice::<String>(&self.text[self.state.start..]) else {
            return false;
        };
        let Some(frame) = &self.state.frame else { return false };
        if each(&frame.keys).any(|k| *k == key) {
            let message = format!("the key {} is there already", Value::from(key));
            self.repeated(frame.nodes.first().copied(), "properties", message);
            return false;
        }
        let mut frame = (**frame).clone();
        self.state.nodes = self.checks.key_nodes(&frame.nodes, &key);
        frame.keys = Some(Rc::new(Link { item: key, before: frame.keys.take() }));
        self.state.frame = Some(Rc::new(frame));
        self.state.mode = Mode::Colon;
        true
    }

    fn repeated(&mut self, node: Option<Node>, keyword: &str, message: String) {
        let pointer = self.checks.pointer(node.unwrap_or(0)).to_owned();
        self.refusal = Some(Refused::Repeated(Failure { pointer, keyword: keyword.to_owned(), message }));
    }

    fn close_frame(&mut self) -> bool {
        let Some(frame) = self.state.frame.clone() else { return false };
        self.state.frame = frame.parent.clone();
        self.close_value(frame.start, frame.nodes.clone())
    }

    /// The value that began at `start` ends with the last byte of the text.
    fn close_value(&mut self, start: usize, nodes: Rc<[Node]>) -> bool {
        if !self.accepts(start, &nodes) {
            return false;
        }
        self.state.mode = match &self.state.frame {
            None => Mode::Done,
            Some(frame) => {
                if frame.unique {
                    let Ok(value) = serde_json::from_slice::<Value>(&self.text[start..]) else {
                        return false;
                    };
                    if each(&frame.items).any(|v| super::shape::equal(v, &value)) {
                        let unique = frame.nodes.iter().find(|node| self.checks.is_unique(&[**node]));
                        let message = format!("{value} is among the items already");
                        self.repeated(unique.copied(), "uniqueItems", message);
                        return false;
                    }
                    let mut frame = (**frame).clone();
                    frame.items = Some(Rc::new(Link { item: value, before: frame.items.take() }));
                    self.state.frame = Some(Rc::new(frame));
                }
                Mode::After
            }
        };
        true
    }

    fn accepts(&mut self, start: usize, nodes: &[Node]) -> bool {
        let mut value = None;
        // The committed part of the text is the same for all that is tried on top of it.
        let committed = self.history.last().map_or(0, |s| s.length).max(start).min(self.text.len());
        for node in nodes.iter().filter(|n| self.checks.is_checked(**n)) {
            let key = (start, *node, self.text[committed..].to_vec());
            if let Some(verdict) = self.tried.get(&key) {
                if *verdict {
                    continue;
                }
                return false;
            }
            let parsed = match &value {
                Some(value) => value,
                None => match serde_json::from_slice::<Value>(&self.text[start..]) {
                    Ok(parsed) => value.insert(parsed),
                    Err(_) => return false,
                },
            };
            let pointer = self.checks.pointer(*node);
            let verdict = self.checks.accepts_at(pointer, parsed);
            self.tried.insert(key, verdict);
            if !verdict {
                self.refusal = Some(Refused::Checked { pointer: pointer.to_owned(), value: parsed.clone() });
                return false;
            }
        }
        true
    }
}
