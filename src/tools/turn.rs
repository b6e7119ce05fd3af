//! The grammar of a turn: one call or several, with text before them or instead of them.
//!
//! It is rewritten as the turn grows. What is settled (the text, the calls that another follows) is
//! a literal; the call that is being written is [`CallGrammar`]'s. Text may hold anything but the
//! first mark of a call: where that is written the text has ended, and a call has begun.

use super::{
    Error, ToolSet,
    dialect::{Between, Dialect, Frame, Part},
    grammar::{CallGrammar, Marks, Staged, literal, literal_if_any, parts},
    json,
    json_schema::{Checks, KeyOrder},
};
use std::{borrow::Cow, sync::Arc};

/// The grammar of a turn that calls some tools.
pub struct Turn {
    call: CallGrammar,
    between: Option<Between>,
    most: usize,
    or_text: bool,
    lead: &'static str,
}

/// How far a turn has come.
struct Place<'w> {
    /// What is written before the first call.
    text: &'w [u8],
    /// The calls that another follows, from the name to the end of the arguments.
    done: Vec<&'w [u8]>,
    /// Where the last of them ends in all that is written.
    done_end: Option<usize>,
    /// What follows the opening of the last call; `None` before it is all written.
    current: Option<&'w [u8]>,
    /// Whether there is or has to be a call.
    calls: bool,
}

impl Turn {
    /// A turn of one call of one of `tools`, written in `dialect`.
    ///
    /// # Errors
    /// What [`CallGrammar::new`] reports.
    pub fn new(tools: &ToolSet, dialect: &dyn Dialect, key_order: KeyOrder) -> Result<Turn, Error> {
        let call = CallGrammar::new(tools, dialect, key_order)?;
        Ok(Turn { call, between: dialect.between(), most: 1, or_text: false, lead: "" })
    }

    /// The same with up to `most` calls, where the dialect knows more than one.
    pub fn up_to(self, most: usize) -> Turn {
        Turn { most, ..self }
    }

    /// The same with text before the calls or instead of them.
    pub fn or_text(self) -> Turn {
        Turn { or_text: true, ..self }
    }

    /// Puts `lead` in front of it all.
    pub fn put_after(&mut self, lead: &'static str) {
        self.lead = lead;
    }

    /// The text of a finished turn that comes before its calls, and each call by itself, as the
    /// dialect reads it.
    pub fn split<'w>(&self, written: &'w str) -> (&'w str, Vec<String>) {
        let place = self.place(written.as_bytes());
        let frame = self.call.frame();
        let (open, close) = (Frame::text(frame.open), Frame::text(frame.close));
        let utf8 = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut calls: Vec<String> =
            place.done.iter().map(|call| format!("{open}{}{close}", utf8(call))).collect();
        calls.extend(place.current.map(|call| format!("{open}{}", utf8(call))));
        let start = self.lead.len().min(written.len());
        (written.get(start..start + place.text.len()).unwrap_or(""), calls)
    }

    /// How a turn that was cut off could be ended with what is complete in it, the fullest first:
    /// without the member that was being written, without the call that was.
    ///
    /// Whether one of them is a turn is for the grammar to say.
    pub fn endings(&self, written: &[u8]) -> Vec<Vec<u8>> {
        let place = self.place(written);
        let close = Frame::text(self.call.frame().close);
        let mut endings = Vec::new();
        let Some(current) = place.current else { return endings };
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
        if let Some(end) = place.done_end {
            endings.push([&written[..end], close.as_bytes()].concat());
        }
        endings
    }

    /// The name of the tool whose call is being written, once it is.
    pub fn tool(&self, written: &[u8]) -> Option<&str> {
        self.call.tool_written(&self.alone(self.place(written).current?))
    }

    fn place<'w>(&self, written: &'w [u8]) -> Place<'w> {
        let rest = written.strip_prefix(self.lead.as_bytes()).unwrap_or(b"");
        let frame = self.call.frame();
        let begins = if self.or_text { find(rest, self.mark().text().as_bytes()) } else { Some(0) };
        let Some(begins) = begins else {
            return Place { text: rest, done: Vec::new(), done_end: None, current: None, calls: false };
        };
        let (text, rest) = rest.split_at(begins);
        let mut place = Place { text, done: Vec::new(), done_end: None, current: None, calls: true };
        let Some(mut current) = Frame::strip(frame.open, rest) else { return place };
        while let Some((call, next)) = self.followed(current).filter(|_| place.done.len() + 1 < self.most) {
            place.done.push(call);
            place.done_end = Some(written.len() - current.len() + call.len());
            current = next;
        }
        place.current = Some(current);
        place
    }

    /// Splits what follows the opening of a call into the call and what follows the next opening.
    fn followed<'w>(&self, current: &'w [u8]) -> Option<(&'w [u8], &'w [u8])> {
        let between = self.between?;
        let alone = self.alone(current);
        let arguments = self.call.arguments_written(&alone)?;
        let end = current.len() - arguments.len() + json::nested_length(arguments)?;
        let (call, rest) = current.split_at(end);
        Some((call, Frame::strip(between.open, Frame::strip(between.close, rest)?)?))
    }

    /// A call as if it were the first.
    fn alone(&self, current: &[u8]) -> Vec<u8> {
        [Frame::text(self.call.frame().open).as_bytes(), current].concat()
    }

    /// What a call begins with.
    fn mark(&self) -> Part {
        self.call.frame().open.first().copied().unwrap_or(Part::Text(""))
    }
}

impl Staged for Turn {
    fn stage(&self, written: &[u8]) -> usize {
        let place = self.place(written);
        if !place.calls {
            return 0;
        }
        let inner = place.current.map_or(0, |current| self.call.stage(&self.alone(current)));
        // No call has as many stages.
        ((1 + place.done.len()) << 20) + inner
    }

    fn lark(&self, written: &[u8], marks: Marks<'_>) -> Result<String, Error> {
        let place = self.place(written);
        let lead = literal_if_any(self.lead);
        if !place.calls {
            let call = self.call.head(&parts(self.call.frame().open, marks), marks);
            return Ok(format!("start: {lead}(/(?s:.+)/ | /(?s:.*)/ {call})\n"));
        }
        let frame = self.call.frame();
        let mut settled = lead + &literal_if_any(&String::from_utf8_lossy(place.text));
        let mut open = parts(frame.open, marks);
        let mut close = parts(frame.close, marks);
        if let Some(between) = self.between {
            let (between_close, between_open) = (parts(between.close, marks), parts(between.open, marks));
            for call in &place.done {
                settled += &format!("{open}{}{between_close}", literal(&String::from_utf8_lossy(call)));
                open.clone_from(&between_open);
            }
            if place.done.len() + 1 < self.most {
                let next = self.call.head(&between_open, marks);
                close = format!("({close}| {between_close}{next})");
            }
        }
        let current = place.current.map(|current| self.alone(current)).unwrap_or_default();
        let (body, rules) = self.call.body(&current, &open, &close, marks)?;
        Ok(format!("start: {settled}{body}\n{rules}"))
    }

    fn checked(&self, written: &[u8]) -> Option<(usize, Arc<Checks>)> {
        let current = self.place(written).current?;
        let alone = self.alone(current);
        let (start, checks) = self.call.checked(&alone)?;
        Some((written.len() - (alone.len() - start), checks))
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len().max(1)).position(|window| window == part)
}
