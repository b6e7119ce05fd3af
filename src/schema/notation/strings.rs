//! Strings that are written as they are, and values whose type is known at their end only.

use super::{
    style::Style,
    style_reader::{StyleReader, Taken, escape},
    text::untyped,
    transcoder::{CDATA, State, Transcoder},
    value::Form,
};
use crate::schema::value::types;

impl Transcoder {
    /// A byte of a string's own text.
    pub(super) fn raw(&mut self, byte: u8, out: &mut Vec<u8>) -> Taken {
        let trims = self.reading.members.values[0].form == Form::Trimmed;
        let State::Raw { held, close, start } = &mut self.state else { return Taken::Broken };
        held.push(byte);
        if *start {
            if held == CDATA[0] {
                self.state = State::Cdata(Vec::new());
                return Taken::Yes;
            }
            if CDATA[0].starts_with(held) && !close.starts_with(held) {
                return Taken::Yes;
            }
            *start = CDATA[0].starts_with(held);
        }
        let mut text = Vec::new();
        while !close.starts_with(held) {
            text.push(held.remove(0));
        }
        for byte in text {
            if !trims {
                escape(byte, out);
            } else if byte.is_ascii_whitespace() {
                self.blanks.push(byte);
            } else {
                let blanks = std::mem::take(&mut self.blanks);
                blanks.into_iter().filter(|_| self.begun).for_each(|blank| escape(blank, out));
                self.begun = true;
                escape(byte, out);
            }
        }
        if held.len() == close.len() {
            out.push(b'"');
            self.member_done();
        }
        Taken::Yes
    }

    /// A byte of a value whose type is known at its end only.
    pub(super) fn untyped(&mut self, byte: u8, out: &mut Vec<u8>) -> Taken {
        let members = self.reading.members.clone();
        let default = Style::default();
        let style = match &members.values[4].form {
            Form::Styled(style) => style,
            _ => &default,
        };
        let State::Untyped { text, close, allowed, nested } = &mut self.state else { return Taken::Broken };
        text.push(byte);
        if nested.as_mut().is_some_and(|reader| reader.feed(byte, style, &mut Vec::new()) != Taken::Yes) {
            *nested = None;
        }
        if members.values[0].form == Form::Cdata && text == CDATA[0] {
            out.push(b'"');
            self.state = State::Cdata(Vec::new());
            return Taken::Yes;
        }
        if !text.ends_with(close) {
            return Taken::Yes;
        }
        // In a string inside of a list or an object, the text that ends a value is text.
        let containers = types::ARRAY | types::OBJECT;
        if *allowed & containers != 0 && nested.as_ref().is_some_and(StyleReader::is_in_nested_string) {
            return Taken::Yes;
        }
        let Ok(text) = std::str::from_utf8(&text[..text.len() - close.len()]) else { return Taken::Broken };
        let text = if members.values[0].form == Form::Trimmed { text.trim() } else { text };
        let allowed = if *allowed == 0 { types::ALL } else { *allowed };
        let Some(value) = untyped(text, allowed, style) else { return Taken::Broken };
        out.extend_from_slice(value.as_bytes());
        self.member_done();
        Taken::Yes
    }
}
