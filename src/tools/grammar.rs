//! Tools -> the grammar of one call, in llguidance's dialect of Lark.
//!
//! The frame is the dialect's, the arguments are what [`json_schema`] makes of a
//! tool's parameters. One tool is one grammar. Of several only the names are in the first grammar,
//! and what follows the one that is written is the second: a hundred tools cost what one costs.

use super::{
    Error, Tool, ToolSet,
    arguments::AnswerSchema,
    dialect::{Dialect, Frame, Part},
    json_schema::{self, Checks, Compiled, KeyOrder},
};
use std::sync::Arc;

/// The grammar of a call of one of some tools, written in one dialect.
pub struct CallGrammar {
    frame: Frame,
    tools: Vec<Tool>,
    key_order: KeyOrder,
}

/// Finds the token that a mark is in a vocabulary, if it is one.
pub type Marks<'a> = &'a dyn Fn(&str) -> Option<u32>;

/// A grammar that may be rewritten while its text grows.
pub trait Staged {
    /// Which stage the text is in; it changes where [`lark`](Self::lark) gives another grammar.
    fn stage(&self, written: &[u8]) -> usize;

    /// The grammar in force once `written` is there, for the whole text.
    ///
    /// # Errors
    /// A schema that is looked at for the first time and cannot be used.
    fn lark(&self, written: &[u8], marks: Marks<'_>) -> Result<String, Error>;

    /// The last value in `written` that has a schema: where it begins, and its checks.
    fn checked(&self, written: &[u8]) -> Option<(usize, Arc<Checks>)>;
}

impl CallGrammar {
    /// The grammar of one call of one of `tools`.
    ///
    /// # Errors
    /// [`Error::Name`] for a name that the dialect cannot write.
    pub fn new(tools: &ToolSet, dialect: &dyn Dialect, key_order: KeyOrder) -> Result<CallGrammar, Error> {
        let frame = dialect.frame();
        if let Some(end) = frame.name_end()
            && let Some(tool) = tools.iter().find(|tool| tool.name().contains(end))
        {
            return Err(Error::Name { tool: tool.name().to_owned(), end, dialect: dialect.name() });
        }
        Ok(CallGrammar { frame, tools: tools.iter().cloned().collect(), key_order })
    }

    /// What a call is that begins with `written`: the body of a rule between `open` and `close`,
    /// and the rules that it uses.
    pub(super) fn body(
        &self,
        written: &[u8],
        open: &str,
        close: &str,
        marks: Marks<'_>,
    ) -> Result<(String, String), Error> {
        let middle = parts(self.frame.middle, marks);
        let tool = match self.tools.as_slice() {
            [only] => Some(only),
            tools => self.called(written).map(|(tool, _)| &tools[tool]),
        };
        let Some(tool) = tool else { return Ok((self.head(open, marks), String::new())) };
        let Compiled { value, rules, .. } = tool.compiled(self.key_order)?;
        let name = literal(&self.frame.written_name(tool.name()));
        Ok((format!("{open}{name}{middle}{value} {close}"), rules.clone()))
    }

    /// A call up to its arguments, whichever tool it calls, and anything behind that: tokens reach across
    /// the place where the next stage begins, and should be held to as much of it as is known here.
    pub(super) fn head(&self, open: &str, marks: Marks<'_>) -> String {
        let middle = parts(self.frame.middle, marks);
        let names: Vec<String> =
            self.tools.iter().map(|tool| literal(&self.frame.written_name(tool.name()))).collect();
        format!("{open}({}) {middle}{ANYTHING}", names.join(" | "))
    }

    /// What stands around a call.
    pub(super) fn frame(&self) -> Frame {
        self.frame
    }

    /// What is written of the arguments of the call that `written` begins with; `None` before the
    /// name of a tool is complete.
    pub(super) fn arguments_written<'w>(&self, written: &'w [u8]) -> Option<&'w [u8]> {
        self.called(written).map(|(_, arguments)| arguments.unwrap_or(b""))
    }

    /// The name of the tool in the call that `written` begins with, once it is complete.
    pub(super) fn tool_written(&self, written: &[u8]) -> Option<&str> {
        self.called(written).map(|(tool, _)| self.tools[tool].name())
    }

    /// The tool whose name is written, and what is written of its arguments once they may begin.
    fn called<'w>(&self, written: &'w [u8]) -> Option<(usize, Option<&'w [u8]>)> {
        let (name, rest) = self.frame.split_name(Frame::strip(self.frame.open, written)?)?;
        let tool = self.tools.iter().position(|tool| tool.name() == name)?;
        Some((tool, Frame::strip(self.frame.middle, rest)))
    }
}

impl Staged for CallGrammar {
    fn stage(&self, written: &[u8]) -> usize {
        match self.tools.len() {
            1 => 0,
            _ => self.called(written).map_or(0, |(tool, _)| 1 + tool),
        }
    }

    fn lark(&self, written: &[u8], marks: Marks<'_>) -> Result<String, Error> {
        let (open, close) = (parts(self.frame.open, marks), parts(self.frame.close, marks));
        let (body, rules) = self.body(written, &open, &close, marks)?;
        Ok(format!("start: {body}\n{rules}"))
    }

    fn checked(&self, written: &[u8]) -> Option<(usize, Arc<Checks>)> {
        let (tool, arguments) = self.called(written)?;
        let start = written.len() - arguments?.len();
        // It was compiled for the grammar that this text is held against.
        Some((start, self.tools[tool].compiled(self.key_order).ok()?.checks.clone()))
    }
}

/// What may follow where the next stage will say what may.
pub(super) const ANYTHING: &str = "/(?s:.*)/";

/// An answer that is one JSON value.
pub struct JsonAnswer<'s> {
    schema: &'s AnswerSchema,
    lead: &'static str,
}

impl<'s> JsonAnswer<'s> {
    /// The grammar of a value of `schema`.
    pub fn new(schema: &'s AnswerSchema) -> JsonAnswer<'s> {
        JsonAnswer { schema, lead: "" }
    }

    /// Puts `lead` in front of it.
    pub fn put_after(&mut self, lead: &'static str) {
        self.lead = lead;
    }
}

impl Staged for JsonAnswer<'_> {
    fn stage(&self, _: &[u8]) -> usize {
        0
    }

    fn lark(&self, _: &[u8], _: Marks<'_>) -> Result<String, Error> {
        let Compiled { value, rules, .. } = self.schema.compiled();
        Ok(format!("start: {}{value}\n{rules}", literal_if_any(self.lead)))
    }

    fn checked(&self, written: &[u8]) -> Option<(usize, Arc<Checks>)> {
        (written.len() >= self.lead.len()).then(|| (self.lead.len(), self.schema.compiled().checks.clone()))
    }
}

/// The grammar of a text after `lead`: anything but nothing, and without the mark `without`.
pub fn of_text(lead: &str, without: Option<&str>) -> String {
    let lead = literal_if_any(lead);
    let without = without.map(|mark| format!(" & ~(/(?s:.*)/ {}/(?s:.*)/)", literal(mark)));
    format!("start: {lead}TEXT\nTEXT: /(?s:.+)/{}\n", without.unwrap_or_default())
}

pub(super) fn parts(parts: &[Part], marks: Marks<'_>) -> String {
    parts
        .iter()
        .map(|part| match part {
            Part::Mark(text) => marks(text).map_or_else(|| literal(text), |id| format!("<[{id}]> ")),
            Part::Text(text) => literal(text),
            Part::Space => "\" \"? ".into(),
        })
        .collect()
}

pub(super) fn literal_if_any(text: &str) -> String {
    if text.is_empty() { String::new() } else { literal(text) }
}

/// A Lark string and a space.
pub(super) fn literal(text: &str) -> String {
    json_schema::literal(text) + " "
}
