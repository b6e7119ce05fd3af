//! Reads what stands between members: the text before a key, the key, and the end.

use super::{
    members::KINDS,
    style_reader::{Taken, string},
    transcoder::{State, Transcoder},
    value::{Form, KeySyntax},
};
use crate::json;

impl Transcoder {
    /// Between members: a further one, or the end.
    pub(super) fn gap(&mut self, out: &mut Vec<u8>) -> Taken {
        let State::Gap(held) = &self.state else { return Taken::Broken };
        let members = &self.reading.members;
        let first = self.complete.is_none();
        let (begin, close) =
            if first { (&members.open, "") } else { (&members.separator, members.close.as_str()) };
        let ends: Vec<Vec<u8>> =
            members.behind.iter().map(|behind| [close.as_bytes(), behind.as_bytes()].concat()).collect();
        let ended = ends.iter().any(|end| !end.is_empty() && held.starts_with(end));
        let may_end = ended || ends.iter().any(|end| end.starts_with(held));
        let (begin, begun) = (begin.as_bytes(), held.strip_prefix(begin.as_bytes()));
        let may_begin = !begin.is_empty() && (begun.is_some() || begin.starts_with(held));
        if may_begin && may_end && !ended {
            // More is needed to tell.
        } else if may_begin && !ended {
            let Some(rest) = begun else { return Taken::Yes };
            if self.is_array {
                self.begin_item(out);
                return Taken::Yes;
            }
            let is_empty = rest.is_empty();
            self.state = State::Key(rest.to_vec());
            return if is_empty { Taken::Yes } else { self.key_or_value(out) };
        } else if may_end {
            if held.len() < close.len() {
                return Taken::Yes;
            }
            self.close(self.read - held.len() + close.len(), out);
        } else if begin.is_empty() {
            self.state = State::Key(held.clone());
            return self.key_or_value(out);
        } else {
            return Taken::Broken;
        }
        Taken::Yes
    }

    pub(super) fn close(&mut self, end: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(match (self.complete.is_none(), self.is_array) {
            (true, false) => b"{}",
            (false, false) => b"}",
            (true, true) => b"[]",
            (false, true) => b"]",
        });
        self.state = State::Done(end);
    }

    /// In a key, or between it and its value.
    pub(super) fn key_or_value(&mut self, out: &mut Vec<u8>) -> Taken {
        let State::Key(held) = &self.state else { return Taken::Broken };
        let members = self.reading.members.clone();
        let at = match members.key {
            KeySyntax::Json => json::string_length(held),
            _ => {
                let behind = members.behind_key();
                held.iter().position(|byte| behind.as_bytes().contains(byte))
            }
        };
        let Some(at) = at.filter(|at| *at < held.len()) else { return Taken::Yes };
        let (key, tail) = held.split_at(at);
        let Some(key) = std::str::from_utf8(key).ok().and_then(|key| members.key.read(key)) else {
            return Taken::Broken;
        };
        let befores = members.values.each_ref().map(|value| match value.form {
            Form::Omitted => None,
            _ => Some(value.before(&key).into_bytes()),
        });
        let kinds: Vec<usize> =
            (0..KINDS.len()).filter(|kind| befores[*kind].as_deref() == Some(tail)).collect();
        if kinds.is_empty() {
            let begins = befores.iter().flatten().any(|before| before.starts_with(tail));
            return if begins { Taken::Yes } else { Taken::Broken };
        }
        out.extend_from_slice(if self.complete.is_none() { b"{" } else { b", " });
        string(key.as_bytes(), out);
        out.extend_from_slice(b": ");
        self.key = key;
        self.value_at = self.read;
        self.begin_value(kinds, out);
        Taken::Yes
    }
}
