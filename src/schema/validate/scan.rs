//! The bytes of a text, one after the other: each moves the tracker's state or is vetoed.

use std::rc::Rc;

use serde_json::Value;

use super::graph::{NodeId, SchemaGraph};
use super::state::{Frame, Link, Mode, each};
use super::tracker::{Refused, Tracker};
use super::violation::Violation;
use crate::json;
use crate::schema::value::equal;

impl Tracker {
    /// Appends `bytes` to the text, up to the first that is vetoed; false if there is one.
    pub(super) fn write(&mut self, bytes: &[u8]) -> bool {
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
        let unique = !object && self.checks.graph.is_unique(&nodes);
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
            self.state.nodes = self.checks.graph.for_item(&frame.nodes, 0);
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
        self.state.nodes = self.checks.graph.for_item(&frame.nodes, frame.index);
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
        self.state.nodes = self.checks.graph.for_key(&frame.nodes, &key);
        frame.keys = Some(Rc::new(Link { item: key, before: frame.keys.take() }));
        self.state.frame = Some(Rc::new(frame));
        self.state.mode = Mode::Colon;
        true
    }

    fn repeated(&mut self, node: Option<NodeId>, keyword: &str, message: String) {
        let pointer = self.checks.graph.pointer(node.unwrap_or(SchemaGraph::ROOT)).to_owned();
        self.refusal = Some(Refused::Repeated(Violation { pointer, keyword: keyword.to_owned(), message }));
    }

    fn close_frame(&mut self) -> bool {
        let Some(frame) = self.state.frame.clone() else { return false };
        self.state.frame = frame.parent.clone();
        self.close_value(frame.start, frame.nodes.clone())
    }

    /// Closes the value that starts at `start` and ends with the last byte of the text; `false` if it is
    /// refused.
    fn close_value(&mut self, start: usize, nodes: Rc<[NodeId]>) -> bool {
        if !self.accepts(start, &nodes) {
            return false;
        }
        self.state.mode = match &self.state.frame {
            None => Mode::Done,
            Some(frame) => {
                if frame.unique {
                    let Ok(value) = json::parse_exact(&String::from_utf8_lossy(&self.text[start..])) else {
                        return false;
                    };
                    if each(&frame.items).any(|v| equal(v, &value)) {
                        let unique = frame.nodes.iter().find(|node| self.checks.graph.is_unique(&[**node]));
                        let message = format!("{} is among the items already", json::shown(&value));
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
}
