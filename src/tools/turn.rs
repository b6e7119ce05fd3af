//! The grammar of a turn: one or several calls, with text before or instead of them.
//!
//! It is replaced as the turn grows. Finished parts (the text, and calls that are followed by another) are
//! literals; the current call is [`CallGrammar`]'s. Text may contain anything but the special token that starts
//! a call: it ends the text and starts the call.

use super::{
    Error, ToolSet,
    dialect::{Between, Dialect, Frame, Part},
    grammar::{CallGrammar, IncrementalGrammar, Marks, literal, literal_if_any, parts},
};
use crate::{
    json,
    schema::{Checks, KeyOrder},
};
use std::{borrow::Cow, sync::Arc};

/// The grammar of a turn with calls of some tools.
pub struct Turn {
    call: CallGrammar,
    between: Option<Between>,
    most: usize,
    or_text: bool,
    prefix: &'static str,
}

/// The parts of an incomplete turn.
struct TurnParts<'w> {
    /// Text before the first call.
    text: &'w [u8],
    /// Calls that are followed by another, from the name to the end of the arguments.
    done: Vec<&'w [u8]>,
    /// End of the last of them, as an offset in the whole text.
    done_end: Option<usize>,
    /// Text after the opening of the current call; `None` until the opening is complete.
    current: Option<&'w [u8]>,
    /// True if the turn has a call, or must have one.
    calls: bool,
}

impl Turn {
    /// A turn of one call of one of `tools`, written in `dialect`.
    ///
    /// # Errors
    /// Errors of [`CallGrammar::new`].
    pub fn new(tools: &ToolSet, dialect: &dyn Dialect, key_order: KeyOrder) -> Result<Turn, Error> {
        let call = CallGrammar::new(tools, dialect, key_order)?;
        Ok(Turn { call, between: dialect.between(), most: 1, or_text: false, prefix: "" })
    }

    /// Allows up to `most` calls, if the dialect supports several.
    pub fn up_to(self, most: usize) -> Turn {
        Turn { most, ..self }
    }

    /// Allows text before or instead of the calls.
    pub fn or_text(self) -> Turn {
        Turn { or_text: true, ..self }
    }

    /// Requires `prefix` before everything.
    pub fn set_prefix(&mut self, prefix: &'static str) {
        self.prefix = prefix;
    }

    /// Splits a complete turn into the text before its calls, and each call as the dialect parses it.
    pub fn split<'w>(&self, written: &'w str) -> (&'w str, Vec<String>) {
        let found = self.parse(written.as_bytes());
        let frame = self.call.frame();
        let (open, close) = (Frame::text(frame.open), Frame::text(frame.close));
        let utf8 = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut calls: Vec<String> =
            found.done.iter().map(|call| format!("{open}{}{close}", utf8(call))).collect();
        calls.extend(found.current.map(|call| format!("{open}{}", utf8(call))));
        let start = self.prefix.len().min(written.len());
        (written.get(start..start + found.text.len()).unwrap_or(""), calls)
    }

    /// Candidates for completing a turn that was cut off with its complete parts, longest first: without the
    /// unfinished member, then without the unfinished call.
    ///
    /// The grammar decides which of them is a valid turn.
    pub fn endings(&self, written: &[u8]) -> Vec<Vec<u8>> {
        let found = self.parse(written);
        let close = Frame::text(self.call.frame().close);
        let mut endings = Vec::new();
        let Some(current) = found.current else { return endings };
        if let Some(arguments) = self.call.arguments_written(&self.alone(current)) {
            let before = &written[..written.len() - arguments.len()];
            let closed: Cow<'_, [u8]> = match json::nested_length(arguments) {
                Some(length) => arguments[..length].into(),
                None => match json::complete_members(arguments) {
                    Some(members) => [members, b"}"].concat().into(),
                    None => return endings,
                },
            };
            endings.push([before, &closed, close.as_bytes()].concat());
        }
        if let Some(end) = found.done_end {
            endings.push([&written[..end], close.as_bytes()].concat());
        }
        endings
    }

    /// The name of the tool in the current call, once it is complete.
    pub fn tool(&self, written: &[u8]) -> Option<&str> {
        self.call.tool_written(&self.alone(self.parse(written).current?))
    }

    fn parse<'w>(&self, written: &'w [u8]) -> TurnParts<'w> {
        let rest = written.strip_prefix(self.prefix.as_bytes()).unwrap_or(b"");
        let frame = self.call.frame();
        let begins = if self.or_text { find(rest, self.mark().text().as_bytes()) } else { Some(0) };
        let Some(begins) = begins else {
            return TurnParts { text: rest, done: Vec::new(), done_end: None, current: None, calls: false };
        };
        let (text, rest) = rest.split_at(begins);
        let mut found = TurnParts { text, done: Vec::new(), done_end: None, current: None, calls: true };
        let Some(mut current) = Frame::strip(frame.open, rest) else { return found };
        while let Some((call, next)) = self.followed(current).filter(|_| found.done.len() + 1 < self.most) {
            found.done.push(call);
            found.done_end = Some(written.len() - current.len() + call.len());
            current = next;
        }
        found.current = Some(current);
        found
    }

    /// Splits the text after a call's opening into that call and the text after the next opening; `None` if no
    /// call follows.
    fn followed<'w>(&self, current: &'w [u8]) -> Option<(&'w [u8], &'w [u8])> {
        let between = self.between?;
        let alone = self.alone(current);
        let arguments = self.call.arguments_written(&alone)?;
        let end = current.len() - arguments.len() + json::nested_length(arguments)?;
        let (call, rest) = current.split_at(end);
        Some((call, Frame::strip(between.open, Frame::strip(between.close, rest)?)?))
    }

    /// The call as if it were the first of the turn.
    fn alone(&self, current: &[u8]) -> Vec<u8> {
        [Frame::text(self.call.frame().open).as_bytes(), current].concat()
    }

    /// The first part of a call's opening.
    fn mark(&self) -> Part {
        self.call.frame().open.first().copied().unwrap_or(Part::Text(""))
    }
}

impl IncrementalGrammar for Turn {
    fn stage(&self, written: &[u8]) -> usize {
        let found = self.parse(written);
        if !found.calls {
            return 0;
        }
        let inner = found.current.map_or(0, |current| self.call.stage(&self.alone(current)));
        // No call has as many stages.
        ((1 + found.done.len()) << 20) + inner
    }

    fn lark(&self, written: &[u8], marks: Marks<'_>) -> Result<String, Error> {
        let found = self.parse(written);
        let prefix = literal_if_any(self.prefix);
        if !found.calls {
            let call = self.call.head(&parts(self.call.frame().open, marks), marks);
            return Ok(format!("start: {prefix}(/(?s:.+)/ | /(?s:.*)/ {call})\n"));
        }
        let frame = self.call.frame();
        let mut settled = prefix + &literal_if_any(&String::from_utf8_lossy(found.text));
        let mut open = parts(frame.open, marks);
        let mut close = parts(frame.close, marks);
        if let Some(between) = self.between {
            let (between_close, between_open) = (parts(between.close, marks), parts(between.open, marks));
            for call in &found.done {
                settled += &format!("{open}{}{between_close}", literal(&String::from_utf8_lossy(call)));
                open.clone_from(&between_open);
            }
            if found.done.len() + 1 < self.most {
                let next = self.call.head(&between_open, marks);
                close = format!("({close}| {between_close}{next})");
            }
        }
        let current = found.current.map(|current| self.alone(current)).unwrap_or_default();
        let (body, rules) = self.call.body(&current, &open, &close, marks)?;
        Ok(format!("start: {settled}{body}\n{rules}"))
    }

    fn checked(&self, written: &[u8]) -> Option<(usize, Arc<Checks>)> {
        let current = self.parse(written).current?;
        let alone = self.alone(current);
        let (start, checks) = self.call.checked(&alone)?;
        Some((written.len() - (alone.len() - start), checks))
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len().max(1)).position(|window| window == part)
}
