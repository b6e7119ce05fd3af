//! Reads members in a notation and writes them as a JSON object, byte by byte.

use super::{
    key_types::KeyTypes,
    members::{Elements, KINDS, Members},
    style_reader::{StyleReader, Taken, release},
    value::Form,
};
use std::sync::Arc;

/// Before and after a string's text in CDATA.
pub(super) const CDATA: [&[u8]; 2] = [b"<![CDATA[", b"]]>"];

/// A notation of members, and the types of the values under their keys.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The notation.
    pub members: Arc<Members>,
    /// The types.
    pub types: Arc<KeyTypes>,
}

/// The part of the members that the next byte belongs to.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Before a key or the end.
    Gap(Vec<u8>),
    /// In a key, or the text after it.
    Key(Vec<u8>),
    /// At the start of a value in a style: the types that it may have, as indices of [`KINDS`].
    Choice { kinds: Vec<usize> },
    /// In a value in a style.
    Styled { kind: usize, reader: StyleReader },
    /// In a string's own text, which ends with `close`; `held` may begin that, or CDATA at the start.
    Raw { held: Vec<u8>, close: Vec<u8>, start: bool },
    /// In a string's text in CDATA.
    Cdata(Vec<u8>),
    /// In the text of a value whose type is known at its end only.
    Untyped { text: Vec<u8>, close: Vec<u8>, allowed: u8, nested: Option<StyleReader> },
    /// At the start of a value that may be elements, with the text so far: the types that it may have.
    Container { held: Vec<u8>, kinds: Vec<usize> },
    /// In an object or array as elements.
    Elements(Box<Transcoder>),
    /// In the text after a value.
    After(Vec<u8>),
    /// Behind the members, which ended at this offset.
    Done(usize),
}

/// Members in a notation that are written as a JSON object. A snapshot is a clone.
#[derive(Clone, Debug)]
pub struct Transcoder {
    pub(super) reading: Reading,
    pub(super) state: State,
    /// Syntax of values that are elements.
    pub(super) elements: Option<Arc<Elements>>,
    /// The key that these members, or items, stand under; `None` for the arguments.
    pub(super) under: Option<String>,
    /// True if these are the items of an array.
    pub(super) is_array: bool,
    pub(super) key: String,
    /// Bytes read.
    pub(super) read: usize,
    /// Offset of the last value.
    pub(super) value_at: usize,
    /// Offset after the last complete member; `None` if there is none.
    pub(super) complete: Option<usize>,
    /// Blanks that are a part of a string only if something follows them.
    pub(super) blanks: Vec<u8>,
    /// True once something else than blanks has been read of a string.
    pub(super) begun: bool,
}

impl Transcoder {
    /// A transcoder at the start of the members.
    pub fn new(reading: Reading) -> Transcoder {
        Transcoder {
            elements: reading.members.elements.clone(),
            reading,
            state: State::Gap(Vec::new()),
            under: None,
            is_array: false,
            key: String::new(),
            read: 0,
            value_at: 0,
            complete: None,
            blanks: Vec::new(),
            begun: false,
        }
    }

    /// The members at the start of `text` as a JSON object, and their length; `None` while they are incomplete.
    pub fn whole(reading: &Reading, text: &[u8]) -> Option<(String, usize)> {
        let (mut reader, mut out) = (Transcoder::new(reading.clone()), Vec::new());
        for byte in text {
            if !reader.feed(*byte, &mut out) {
                return None;
            }
            if reader.end().is_some() {
                break;
            }
        }
        let length = match reader.end() {
            Some(end) => end,
            None if reader.finish(&mut out) => text.len(),
            None => return None,
        };
        Some((String::from_utf8(out).ok()?, length))
    }

    /// Length of the complete members at the start of `text`, which may be cut off.
    pub fn complete_members(reading: &Reading, text: &[u8]) -> usize {
        let (mut reader, mut out) = (Transcoder::new(reading.clone()), Vec::new());
        let _ = text.iter().all(|byte| reader.feed(*byte, &mut out));
        reader.complete.unwrap_or(0)
    }

    /// Reads a byte; what it means is appended to `out`. False if no members go on with it.
    pub fn feed(&mut self, byte: u8, out: &mut Vec<u8>) -> bool {
        self.read += 1;
        loop {
            match self.step(byte, out) {
                Taken::Yes => return true,
                Taken::No => {}
                Taken::Broken => return false,
            }
        }
    }

    /// Offset of the end of the members, once something behind them has been read.
    pub fn end(&self) -> Option<usize> {
        if let State::Done(end) = self.state { Some(end) } else { None }
    }

    /// Ends the members if they may end with the text so far.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> bool {
        let members = self.reading.members.clone();
        if let State::Styled { reader, .. } = &mut self.state
            && reader.may_end()
        {
            reader.end(out);
            self.after();
            if matches!(self.state, State::Gap(_)) {
                self.complete = Some(self.read);
            }
        }
        let State::Gap(held) = &self.state else { return false };
        let close = if self.complete.is_some() { members.close.as_str() } else { "" };
        let ends = held == close.as_bytes()
            && (members.behind.is_empty() || members.behind.iter().any(String::is_empty));
        if ends {
            self.close(self.read, out);
        }
        ends
    }

    /// Offset of the last value's start if it is one that is written at its end only.
    pub(in crate::schema) fn held_value(&self) -> Option<usize> {
        if let State::Elements(inner) = &self.state {
            return inner.held_value().map(|at| self.read - inner.read + at);
        }
        matches!(self.state, State::Untyped { .. }).then_some(self.value_at)
    }

    /// Bytes read.
    pub(in crate::schema) fn read(&self) -> usize {
        self.read
    }

    /// Distance of the text from the end of the current part: a rank, the nearest first. `None` where the JSON text tells
    /// it.
    pub(in crate::schema) fn rank(&self, length: usize) -> Option<u16> {
        let rank = length.min(40) as u16;
        match &self.state {
            State::Raw { held, .. } | State::Cdata(held) if held.is_empty() => Some(20 + rank),
            State::Raw { held, .. } | State::Cdata(held) => {
                Some(12_u16.saturating_sub(held.len().min(10) as u16))
            }
            State::Untyped { text, close, .. } => match overlap(text, close) {
                0 => Some(20 + rank),
                held => Some(12_u16.saturating_sub(held.min(10) as u16)),
            },
            State::Gap(held) if self.complete.is_some() && !held.is_empty() => {
                let begins = self.reading.members.separator.as_bytes().starts_with(held);
                Some(if begins { 220 } else { 1 })
            }
            State::Key(_) if self.complete.is_some() => Some(221),
            State::Elements(inner) => inner.rank(length),
            _ => None,
        }
    }

    pub(super) fn step(&mut self, byte: u8, out: &mut Vec<u8>) -> Taken {
        match &mut self.state {
            State::Done(_) => Taken::Yes,
            State::Gap(held) => {
                held.push(byte);
                self.gap(out)
            }
            State::Key(held) => {
                held.push(byte);
                self.key_or_value(out)
            }
            // No format writes blanks there, and models do.
            State::Choice { .. } if byte.is_ascii_whitespace() => Taken::Yes,
            State::Choice { kinds } => {
                let members = &self.reading.members;
                let Some(kind) = chosen(byte, kinds, members) else { return Taken::Broken };
                self.state = State::Styled { kind, reader: StyleReader::new() };
                Taken::No
            }
            State::Styled { kind, reader } => {
                let Form::Styled(style) = &self.reading.members.values[*kind].form else {
                    return Taken::Broken;
                };
                let taken = reader.feed(byte, style, out);
                if taken == Taken::No {
                    self.after();
                }
                taken
            }
            State::Raw { .. } => self.raw(byte, out),
            State::Cdata(held) => {
                held.push(byte);
                if release(held, CDATA[1], out) {
                    out.push(b'"');
                    self.after();
                }
                Taken::Yes
            }
            State::Untyped { .. } => self.untyped(byte, out),
            State::Container { held, .. } => {
                held.push(byte);
                self.container(out)
            }
            State::Elements(inner) => {
                if !inner.feed(byte, out) {
                    return Taken::Broken;
                }
                if let Some(end) = inner.end() {
                    let behind = inner.read - end;
                    self.after_elements(behind);
                }
                Taken::Yes
            }
            State::After(rest) => match rest.first() {
                Some(expected) if *expected == byte => {
                    rest.remove(0);
                    if rest.is_empty() {
                        self.member_done();
                    }
                    Taken::Yes
                }
                _ => Taken::Broken,
            },
        }
    }

    pub(super) fn begin_value(&mut self, kinds: Vec<usize>, out: &mut Vec<u8>) {
        let members = &self.reading.members;
        let allowed = self.reading.types.types(self.under.as_deref(), Some(&self.key));
        let fitting: Vec<usize> = kinds.iter().copied().filter(|kind| KINDS[*kind] & allowed != 0).collect();
        let kinds = if fitting.is_empty() { kinds } else { fitting };
        if kinds.iter().any(|kind| members.values[*kind].form.is_elements()) {
            self.state = State::Container { held: Vec::new(), kinds };
            return;
        }
        self.begin_plain(kinds, out);
    }

    /// At the start of a value that is no elements.
    pub(super) fn begin_plain(&mut self, kinds: Vec<usize>, out: &mut Vec<u8>) {
        let members = &self.reading.members;
        let allowed = self.reading.types.types(self.under.as_deref(), Some(&self.key));
        let raw = kinds.first() == Some(&0) && members.values[0].form.is_raw();
        if !raw {
            self.state = State::Choice { kinds };
            return;
        }
        let close = members.values[0].after(&self.key).into_bytes();
        self.blanks.clear();
        self.begun = false;
        if kinds.len() == 1 {
            out.push(b'"');
            self.state = State::Raw { held: Vec::new(), close, start: members.values[0].form == Form::Cdata };
        } else {
            let written = kinds.iter().fold(0, |all, kind| all | KINDS[*kind]);
            let allowed = allowed & written;
            self.state =
                State::Untyped { text: Vec::new(), close, allowed, nested: Some(StyleReader::new()) };
        }
    }

    /// Goes on behind a value.
    fn after(&mut self) {
        let kind = if let State::Styled { kind, .. } = &self.state { *kind } else { 0 };
        let rest = self.reading.members.values[kind].after(&self.key).into_bytes();
        self.state = State::After(rest);
        if let State::After(rest) = &self.state
            && rest.is_empty()
        {
            // The byte that ended a number belongs to what follows.
            self.complete = Some(self.read.saturating_sub(1));
            self.state = State::Gap(Vec::new());
        }
    }

    /// Goes on behind the text after a value.
    pub(super) fn member_done(&mut self) {
        self.complete = Some(self.read);
        self.state = State::Gap(Vec::new());
    }
}

/// The type of the value that starts with `byte`, as an index of [`KINDS`].
fn chosen(byte: u8, kinds: &[usize], members: &Members) -> Option<usize> {
    let kind = match byte {
        b'-' | b'0'..=b'9' => 1,
        b'[' => 4,
        b'{' => 5,
        b'n' | b'N' => 3,
        b't' | b'f' | b'T' | b'F' => 2,
        _ => 0,
    };
    let is_styled = |kind: &usize| matches!(members.values[*kind].form, Form::Styled(_));
    kinds.contains(&kind).then_some(kind).or_else(|| kinds.first().copied()).filter(is_styled)
}

/// Length of the longest end of `text` that begins `close`.
fn overlap(text: &[u8], close: &[u8]) -> usize {
    (0..=close.len().min(text.len())).rev().find(|n| text.ends_with(&close[..*n])).unwrap_or(0)
}
