//! The grammar of a turn: one or several calls, with text before or instead of them.
//!
//! It is replaced as the turn grows. Finished parts (the text, and calls that are followed by another) are
//! literals; the current call is `CallGrammar`'s. Text may contain anything but the special token that starts
//! a call: it ends the text and starts the call.

use super::{
    Dialect,
    call::{CallGrammar, Called, Place},
    grammar::{Checked, IncrementalGrammar},
    head, lark,
    lark::Marks,
};
use crate::{
    schema::KeyOrder,
    tools::{Error, ToolSet},
};
use std::{ops::Range, sync::Arc};

/// The grammar of a turn with calls of some tools.
pub struct Turn {
    call: CallGrammar,
    most: usize,
    or_text: bool,
    prefix: String,
    /// Number of the turn's first call.
    count: u32,
}

/// The parts of an incomplete turn.
struct TurnParts<'w> {
    /// Text before the first call.
    text: &'w [u8],
    /// Calls that are followed by another: the tool, the text of its arguments, and their end as an offset in the whole
    /// text.
    done: Vec<(usize, &'w [u8], usize)>,
    /// The current call from its name on; `None` until that may start.
    current: Option<(&'w [u8], Place)>,
    /// True if the turn has a call, or must have one.
    calls: bool,
}

impl Turn {
    /// A turn of one call of one of `tools`, written in `dialect`.
    ///
    /// # Errors
    /// [`Error::Name`] for a name that the dialect cannot express; [`Error::Dialect`] for a dialect without names.
    pub fn new(tools: &ToolSet, dialect: &Arc<Dialect>, key_order: KeyOrder) -> Result<Turn, Error> {
        let call = CallGrammar::new(tools, dialect, key_order)?;
        let count = dialect.count.map_or(0, |count| count.start);
        Ok(Turn { call, most: 1, or_text: false, prefix: String::new(), count })
    }

    /// Allows up to `most` calls, if the dialect supports several.
    pub fn up_to(self, most: usize) -> Turn {
        Turn { most, ..self }
    }

    /// Allows text before or instead of the calls.
    pub fn or_text(self) -> Turn {
        Turn { or_text: true, call: self.call.behind_text(), ..self }
    }

    /// Counts on from the calls of a conversation, if the dialect numbers all of them.
    pub fn after_calls(mut self, earlier: usize) -> Turn {
        if self.call.dialect().count.is_some_and(|count| count.conversation) {
            self.count = self.count.saturating_add(u32::try_from(earlier).unwrap_or(u32::MAX));
        }
        self
    }

    /// Requires `prefix` before everything.
    pub fn set_prefix(&mut self, prefix: &str) {
        self.prefix = prefix.to_owned();
    }

    /// Splits a complete turn into the text before its calls, and each call as the dialect parses it.
    pub fn split<'w>(&self, written: &'w str) -> (&'w str, Vec<String>) {
        let found = self.parse(written.as_bytes());
        let close = self.last_text();
        let utf8 = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut calls = Vec::new();
        for (tool, arguments, _) in &found.done {
            let name = self.call.name(*tool);
            let [before, after] = self.call.first()[0].around(name, self.count);
            let name = self.call.first()[0].written_name(name);
            calls.push(format!("{before}{name}{after}{}{close}", utf8(arguments)));
        }
        if let Some((current, place)) = found.current {
            let head = &self.call.first()[place.first.unwrap_or(0)];
            let rest = match (place.first, self.call.called(current, place)) {
                (None, Some(Called { tool, arguments: Some(arguments) })) => {
                    let name = self.call.name(tool);
                    format!("{}{}{}", head.written_name(name), head.around(name, 0)[1], utf8(arguments))
                }
                _ => utf8(current),
            };
            calls.push(format!("{}{rest}", head.around("", self.count)[0]));
        }
        let start = self.prefix.len().min(written.len());
        (written.get(start..start + found.text.len()).unwrap_or(""), calls)
    }

    /// The part of a turn from its first call on, without the blanks before it; `None` if it has no call.
    pub fn calls_text<'w>(&self, written: &'w str) -> Option<&'w str> {
        let rest = written.strip_prefix(&self.prefix)?;
        let begins = if self.or_text { self.lead(rest.as_bytes())? } else { 0 };
        rest.get(begins..).map(str::trim_start)
    }

    /// Candidates for completing a turn that was cut off with its complete parts, longest first: without the
    /// unfinished member, then without the unfinished call.
    ///
    /// The grammar decides which of them is a valid turn.
    pub fn endings(&self, written: &[u8]) -> Vec<Vec<u8>> {
        let found = self.parse(written);
        let close = self.last_text();
        let mut endings = Vec::new();
        let Some((current, place)) = found.current else { return endings };
        if let Some(Called { tool, arguments }) = self.call.called(current, place) {
            let arguments = arguments.unwrap_or(b"");
            let Some(closed) = self.call.closed_arguments(tool, arguments) else { return endings };
            let before = &written[..written.len() - arguments.len()];
            endings.push([before, &closed, close.as_bytes()].concat());
        }
        if let Some((_, _, end)) = found.done.last() {
            endings.push([&written[..*end], close.as_bytes()].concat());
        }
        endings
    }

    /// The name of the tool in the current call, once it is complete.
    pub fn tool(&self, written: &[u8]) -> Option<&str> {
        let (current, place) = self.parse(written).current?;
        Some(self.call.name(self.call.called(current, place)?.tool))
    }

    fn parse<'w>(&self, written: &'w [u8]) -> TurnParts<'w> {
        let rest = written.strip_prefix(self.prefix.as_bytes()).unwrap_or(b"");
        let begins = if self.or_text { self.lead(rest) } else { Some(0) };
        let Some(begins) = begins else {
            return TurnParts { text: rest, done: Vec::new(), current: None, calls: false };
        };
        let (text, rest) = rest.split_at(begins);
        let mut found = TurnParts { text, done: Vec::new(), current: None, calls: true };
        let heads = self.call.first().iter().enumerate();
        let begun = heads.filter_map(|(i, head)| Some((i, head.strip_before(rest)?))).next();
        let Some((first, mut current)) = begun else { return found };
        let mut place = Place { first: Some(first), count: self.count };
        while found.done.len() + 1 < self.most
            && let Some((tool, arguments, next)) = self.followed(current, place)
        {
            let end = written.len() - current.len() + arguments.end;
            found.done.push((tool, &current[arguments], end));
            current = next;
            place = Place { first: None, count: place.count.saturating_add(1) };
        }
        found.current = Some((current, place));
        found
    }

    /// The call that starts with its name in `current`: its tool, where its arguments are, and the text from the next
    /// call's name on; `None` if no call follows.
    fn followed<'w>(&self, current: &'w [u8], place: Place) -> Option<(usize, Range<usize>, &'w [u8])> {
        // Reading the arguments takes longer than looking for what would follow them.
        let next = self.call.next().filter(|next| next.is_in(current))?;
        let Called { tool, arguments } = self.call.called(current, place)?;
        let start = current.len() - arguments?.len();
        let end = start + self.call.arguments_length(tool, arguments?)?;
        Some((tool, start..end, next.strip_before(&current[end..])?))
    }

    /// Offset of the first call in a text.
    fn lead(&self, text: &[u8]) -> Option<usize> {
        self.call.leads().iter().filter_map(|lead| head::find(text, lead.as_bytes())).min()
    }

    /// The text after the last call.
    fn last_text(&self) -> String {
        head::text(&self.call.dialect().last, "", self.count)
    }
}

impl IncrementalGrammar for Turn {
    fn stage(&self, written: &[u8]) -> usize {
        let found = self.parse(written);
        if !found.calls {
            return 0;
        }
        let called = found.current.and_then(|(current, place)| self.call.called(current, place));
        let called = called.filter(|_| self.call.has_choice()).map_or(0, |called| 1 + called.tool);
        let first = found.current.and_then(|(_, place)| place.first).unwrap_or(0);
        // No set has 2^24 tools, and no dialect 2^8 ways to begin.
        ((1 + found.done.len()) << 32) + (first << 24) + called
    }

    fn lark(&self, written: &[u8], marks: Marks<'_>) -> Result<String, Error> {
        let found = self.parse(written);
        let prefix = lark::cut(&self.prefix, &|_| None);
        if !found.calls {
            let place = Place { first: Some(0), count: self.count };
            let call = self.call.begin(place, marks);
            return Ok(format!("start: {prefix}(/(?s:.+)/ | /(?s:.*)/ {call})\n"));
        }
        let settled = match found.done.last() {
            Some((_, _, end)) => &written[self.prefix.len()..*end],
            None => found.text,
        };
        let settled = prefix + &lark::cut_either(&String::from_utf8_lossy(settled), marks);
        let place = found.current.map_or(Place { first: Some(0), count: self.count }, |(_, place)| place);
        let mut close = self.call.close(place.count, marks);
        if found.done.len() + 1 < self.most && self.call.next().is_some() {
            let next = Place { first: None, count: place.count.saturating_add(1) };
            close = format!("({close}| {})", self.call.begin(next, marks));
        }
        let called = found.current.and_then(|(current, place)| Some(self.call.called(current, place)?.tool));
        let (body, rules) = self.call.body(called, place, &close, marks)?;
        Ok(format!("start: {settled}{body}\n{rules}"))
    }

    fn checked(&self, written: &[u8]) -> Option<(usize, Checked)> {
        let (current, place) = self.parse(written).current?;
        let Called { tool, arguments } = self.call.called(current, place)?;
        Some((written.len() - arguments?.len(), self.call.checked(tool)?))
    }
}
