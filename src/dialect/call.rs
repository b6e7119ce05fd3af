//! The grammar of one call of a turn, and where its parts are in a text.
//!
//! The text around a call is the dialect's; the arguments are the grammar that [`schema`](crate::schema) builds for a
//! tool's parameters. For a single tool there is one grammar. For several tools, the first grammar only has the
//! names, and the second one is that of the chosen tool: a hundred tools cost as much as one.

use super::{
    Dialect,
    grammar::Checked,
    head,
    head::Head,
    lark::{self, Marks},
};
use crate::{
    json,
    schema::{
        Compiled, KeyOrder,
        notation::{Notation, Reading, Transcoder},
    },
    tools::{Error, Tool, ToolSet},
};
use std::sync::Arc;

/// The calls of one of some tools, in one dialect.
pub(super) struct CallGrammar {
    dialect: Arc<Dialect>,
    /// Texts at which a call begins in a text.
    leads: Vec<String>,
    /// Ways to begin the first call of a turn, the written one first.
    first: Vec<Head>,
    /// The text between the arguments of two calls.
    next: Option<Head>,
    notation: Notation,
    tools: Vec<Tool>,
    key_order: KeyOrder,
}

/// Place of a call in its turn.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Which of the ways to begin the first call it uses; `None` for further calls.
    pub(super) first: Option<usize>,
    /// Its number.
    pub(super) count: u32,
}

/// A call in an incomplete text, from its name on.
pub(super) struct Called<'w> {
    /// Index of the tool.
    pub(super) tool: usize,
    /// The arguments so far, and what follows them; `None` until they may start.
    pub(super) arguments: Option<&'w [u8]>,
}

impl CallGrammar {
    /// Calls of one of `tools`.
    ///
    /// # Errors
    /// [`Error::Name`] for a name that the dialect cannot express, [`Error::Parameters`] for parameters that it cannot,
    /// [`Error::Dialect`] for a dialect that no grammar describes.
    pub(super) fn new(
        tools: &ToolSet,
        dialect: &Arc<Dialect>,
        key_order: KeyOrder,
    ) -> Result<CallGrammar, Error> {
        let heads = dialect.heads()?;
        for head in heads.first.iter().chain(&heads.next) {
            for tool in tools.iter() {
                if let Some(end) = head.end_in(tool.name()) {
                    let (tool, end) = (tool.name().to_owned(), end.to_owned());
                    return Err(Error::Name { tool, end, dialect: dialect.name.clone() });
                }
            }
        }
        let (tools, dialect, notation): (Vec<Tool>, _, _) =
            (tools.iter().cloned().collect(), dialect.clone(), dialect.notation()?);
        // What the notation cannot write is refused here, not when the model chooses the tool.
        tools.iter().try_for_each(|tool| tool.compiled_in(key_order, &notation).map(drop))?;
        let leads = dialect.leads();
        Ok(CallGrammar { leads, first: heads.first, next: heads.next, dialect, notation, tools, key_order })
    }

    /// The calls of a turn that may begin with a text.
    pub(super) fn behind_text(self) -> CallGrammar {
        CallGrammar { first: self.first.into_iter().map(Head::behind_text).collect(), ..self }
    }

    /// The ways to begin the first call of a turn.
    pub(super) fn first(&self) -> &[Head] {
        &self.first
    }

    /// The text between the arguments of two calls.
    pub(super) fn next(&self) -> Option<&Head> {
        self.next.as_ref()
    }

    /// The texts at which a call begins in a text.
    pub(super) fn leads(&self) -> &[String] {
        &self.leads
    }

    /// The format.
    pub(super) fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// True if there are several tools.
    pub(super) fn has_choice(&self) -> bool {
        self.tools.len() > 1
    }

    /// The name of a tool.
    pub(super) fn name(&self, tool: usize) -> &str {
        self.tools[tool].name()
    }

    /// The call that starts with its name in `text`, once the name is complete.
    pub(super) fn called<'w>(&self, text: &'w [u8], place: Place) -> Option<Called<'w>> {
        let head = self.head(place);
        if head.ends_with_name() {
            return self.called_by_name(head, text);
        }
        let (name, arguments) = head.split(text)?;
        let tool = self.tools.iter().position(|tool| tool.name() == name)?;
        Some(Called { tool, arguments })
    }

    /// The same where no text behind the name tells that it is complete: it is as soon as no longer name fits. What follows
    /// is the tool's own grammar from its first byte on, or the model could begin an end that the tool does not have.
    fn called_by_name<'w>(&self, head: &Head, text: &'w [u8]) -> Option<Called<'w>> {
        let names = || self.tools.iter().map(|tool| head.written_name(tool.name())).enumerate();
        if names().any(|(_, name)| name.len() > text.len() && name.as_bytes().starts_with(text)) {
            return None;
        }
        let complete = names().filter(|(_, name)| text.starts_with(name.as_bytes()));
        let (tool, name) = complete.max_by_key(|(_, name)| name.len())?;
        let arguments = head.strip_after(self.name(tool), &text[name.len()..]);
        Some(Called { tool, arguments })
    }

    /// Length of the arguments that start `text`; `None` while they are incomplete.
    pub(super) fn arguments_length(&self, tool: usize, text: &[u8]) -> Option<usize> {
        match self.reading(tool) {
            None => json::nested_length(text),
            Some(reading) => Transcoder::whole(&reading, text).map(|(_, length)| length),
        }
    }

    /// The complete members of arguments that were cut off, and closed after them.
    pub(super) fn closed_arguments(&self, tool: usize, text: &[u8]) -> Option<Vec<u8>> {
        if let Some(reading) = self.reading(tool) {
            if let Some((_, length)) = Transcoder::whole(&reading, text) {
                return Some(text[..length].to_vec());
            }
            let length = Transcoder::complete_members(&reading, text);
            let close = if length > 0 { reading.members.close.as_bytes() } else { b"" };
            return Some([&text[..length], close].concat());
        }
        match json::nested_length(text) {
            Some(length) => Some(text[..length].to_vec()),
            None => Some([json::complete_members(text)?, b"}"].concat()),
        }
    }

    /// Checks of the arguments of a tool's call, and how to read them.
    pub(super) fn checked(&self, tool: usize) -> Option<Checked> {
        // It was compiled for the grammar of the text.
        let checks = self.compiled(tool).ok()?.checks.clone();
        Some(Checked { checks, reading: self.reading(tool) })
    }

    /// Reader of a tool's arguments if they are not JSON.
    fn reading(&self, tool: usize) -> Option<Reading> {
        let Notation::Members(members) = &self.notation else { return None };
        let types = self.compiled(tool).ok()?.key_types.clone();
        Some(Reading { members: members.clone(), types })
    }

    fn compiled(&self, tool: usize) -> Result<Arc<Compiled>, Error> {
        self.tools[tool].compiled_in(self.key_order, &self.notation)
    }

    /// The body of the rule for a call in `place`, followed by `close`, and the rules that it uses.
    pub(super) fn body(
        &self,
        called: Option<usize>,
        place: Place,
        close: &str,
        marks: Marks<'_>,
    ) -> Result<(String, String), Error> {
        let Some(tool) = called.or((!self.has_choice()).then_some(0)) else {
            return Ok((self.begin(place, marks), String::new()));
        };
        let compiled = self.compiled(tool)?;
        let (value, rules) = lark::resolved(&compiled.value, &compiled.rules, marks);
        let name = [self.name(tool)];
        let open = self.heads_lark(place, &|head| head.lark(&name, place.count, marks));
        Ok((format!("{open}{value} {close}"), rules))
    }

    /// A call of any tool up to its arguments, followed by anything. Tokens may extend beyond the start of the
    /// next stage, so they are constrained as far as this stage can.
    pub(super) fn begin(&self, place: Place, marks: Marks<'_>) -> String {
        let names: Vec<&str> = self.tools.iter().map(Tool::name).collect();
        self.heads_lark(place, &|head| head.begun(&names, place.count, marks))
    }

    /// The rule of each head that a call in `place` may have.
    fn heads_lark(&self, place: Place, each: &dyn Fn(&Head) -> String) -> String {
        match (place.first, self.first.as_slice()) {
            (Some(0), [_, _, ..]) => {
                format!("({}) ", self.first.iter().map(each).collect::<Vec<_>>().join("| "))
            }
            _ => each(self.head(place)),
        }
    }

    /// The text after the arguments of the last call.
    pub(super) fn close(&self, count: u32, marks: Marks<'_>) -> String {
        head::pieces_lark(&self.dialect.last, "", count, marks)
    }

    fn head(&self, place: Place) -> &Head {
        let first = &self.first[place.first.unwrap_or(0).min(self.first.len() - 1)];
        self.next.as_ref().filter(|_| place.first.is_none()).unwrap_or(first)
    }
}
