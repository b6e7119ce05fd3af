//! Tools -> the grammar of one call, in llguidance's dialect of Lark.
//!
//! The text around a call is the dialect's; the arguments are the grammar that [`schema`] builds for a
//! tool's parameters. For a single tool there is one grammar. For several tools, the first grammar only has the
//! names, and the second one is that of the chosen tool: a hundred tools cost as much as one.

use super::{
    Error, Tool, ToolSet,
    arguments::AnswerSchema,
    dialect::{Dialect, Frame, Part},
};
use crate::schema::{self, Checks, Compiled, KeyOrder};
use std::sync::Arc;

/// The grammar of a call of one of some tools, in one dialect.
pub struct CallGrammar {
    frame: Frame,
    tools: Vec<Tool>,
    key_order: KeyOrder,
}

/// Lookup of a special token's id by its text; `None` if the vocabulary has no such token.
pub type Marks<'a> = &'a dyn Fn(&str) -> Option<u32>;

/// A grammar that may be replaced while the text grows.
pub trait IncrementalGrammar {
    /// Number of the stage that the text is in; it changes when [`lark`](Self::lark) returns another grammar.
    fn stage(&self, written: &[u8]) -> usize;

    /// The grammar that applies after `written`, for the whole text.
    ///
    /// # Errors
    /// A schema that is compiled for the first time and cannot be used.
    fn lark(&self, written: &[u8], marks: Marks<'_>) -> Result<String, Error>;

    /// Start offset and checks of the last value in `written` that has a schema.
    fn checked(&self, written: &[u8]) -> Option<(usize, Arc<Checks>)>;
}

impl CallGrammar {
    /// The grammar of one call of one of `tools`.
    ///
    /// # Errors
    /// [`Error::Name`] for a name that the dialect cannot express.
    pub fn new(tools: &ToolSet, dialect: &dyn Dialect, key_order: KeyOrder) -> Result<CallGrammar, Error> {
        let frame = dialect.frame();
        if let Some(end) = frame.name_end()
            && let Some(tool) = tools.iter().find(|tool| tool.name().contains(end))
        {
            return Err(Error::Name { tool: tool.name().to_owned(), end, dialect: dialect.name() });
        }
        Ok(CallGrammar { frame, tools: tools.iter().cloned().collect(), key_order })
    }

    /// The body of the rule for a call that starts with `written`, between `open` and `close`, and the rules
    /// that it uses.
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

    /// A call of any tool up to its arguments, followed by anything. Tokens may extend beyond the start of the
    /// next stage, so they are constrained as far as this stage can.
    pub(super) fn head(&self, open: &str, marks: Marks<'_>) -> String {
        let middle = parts(self.frame.middle, marks);
        let names: Vec<String> =
            self.tools.iter().map(|tool| literal(&self.frame.written_name(tool.name()))).collect();
        format!("{open}({}) {middle}{ANYTHING}", names.join(" | "))
    }

    /// The text around a call.
    pub(super) fn frame(&self) -> Frame {
        self.frame
    }

    /// The arguments so far in the call that starts `written`; `None` until the name of a tool is complete.
    pub(super) fn arguments_written<'w>(&self, written: &'w [u8]) -> Option<&'w [u8]> {
        self.called(written).map(|(_, arguments)| arguments.unwrap_or(b""))
    }

    /// The name of the tool in the call that starts `written`, once it is complete.
    pub(super) fn tool_written(&self, written: &[u8]) -> Option<&str> {
        self.called(written).map(|(tool, _)| self.tools[tool].name())
    }

    /// Index of the tool in the call that starts `written`, and its arguments so far, once they may start.
    fn called<'w>(&self, written: &'w [u8]) -> Option<(usize, Option<&'w [u8]>)> {
        let (name, rest) = self.frame.split_name(Frame::strip(self.frame.open, written)?)?;
        let tool = self.tools.iter().position(|tool| tool.name() == name)?;
        Some((tool, Frame::strip(self.frame.middle, rest)))
    }
}

impl IncrementalGrammar for CallGrammar {
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
        // It was compiled for the grammar of this text.
        Some((start, self.tools[tool].compiled(self.key_order).ok()?.checks.clone()))
    }
}

/// Any text: a placeholder for what the next stage will constrain.
pub(super) const ANYTHING: &str = "/(?s:.*)/";

/// The grammar of an answer that is one JSON value.
pub struct JsonAnswer<'s> {
    schema: &'s AnswerSchema,
    prefix: &'static str,
}

impl<'s> JsonAnswer<'s> {
    /// The grammar of a value of `schema`.
    pub fn new(schema: &'s AnswerSchema) -> JsonAnswer<'s> {
        JsonAnswer { schema, prefix: "" }
    }

    /// Requires `prefix` before the value.
    pub fn set_prefix(&mut self, prefix: &'static str) {
        self.prefix = prefix;
    }
}

impl IncrementalGrammar for JsonAnswer<'_> {
    fn stage(&self, _: &[u8]) -> usize {
        0
    }

    fn lark(&self, _: &[u8], _: Marks<'_>) -> Result<String, Error> {
        let Compiled { value, rules, .. } = self.schema.compiled();
        Ok(format!("start: {}{value}\n{rules}", literal_if_any(self.prefix)))
    }

    fn checked(&self, written: &[u8]) -> Option<(usize, Arc<Checks>)> {
        (written.len() >= self.prefix.len())
            .then(|| (self.prefix.len(), self.schema.compiled().checks.clone()))
    }
}

/// The grammar of a non-empty text after `prefix`, without the special token `without`.
pub fn text_grammar(prefix: &str, without: Option<&str>) -> String {
    let prefix = literal_if_any(prefix);
    let without = without.map(|mark| format!(" & ~(/(?s:.*)/ {}/(?s:.*)/)", literal(mark)));
    format!("start: {prefix}TEXT\nTEXT: /(?s:.+)/{}\n", without.unwrap_or_default())
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

/// A Lark string literal followed by a space.
pub(super) fn literal(text: &str) -> String {
    schema::literal(text) + " "
}
