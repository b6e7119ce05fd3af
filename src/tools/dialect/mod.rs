//! How a model family writes a tool call, both ways.

mod hermes;

use super::{Error, ToolCall};

/// A piece of the frame around a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A mark such as `<tool_call>`: one token where the vocabulary has it, else its text.
    Mark(&'static str),
    /// Plain text.
    Text(&'static str),
}

impl Part {
    /// The part as it stands in the text.
    pub fn text(self) -> &'static str {
        match self {
            Part::Mark(text) | Part::Text(text) => text,
        }
    }
}

/// The text around a call's name and arguments, which both are JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Before the name.
    pub open: &'static [Part],
    /// Between the name and the arguments.
    pub middle: &'static [Part],
    /// After the arguments.
    pub close: &'static [Part],
}

/// What stands between two calls of one turn, in place of the first one's `close` and the second
/// one's `open`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Between {
    /// After the arguments of a call that another follows.
    pub close: &'static [Part],
    /// Before the name of a call that follows another.
    pub open: &'static [Part],
}

impl Frame {
    /// The text of `parts`, one after another.
    pub fn text(parts: &[Part]) -> String {
        parts.iter().map(|part| part.text()).collect()
    }
}

/// A model family's way to write a call.
pub trait Dialect: Sync {
    /// What `--dialect` and messages call it.
    fn name(&self) -> &'static str;

    /// Whether a model with this chat template was taught to write calls this way.
    fn is_taught_by(&self, chat_template: &str) -> bool;

    /// What stands around a call.
    fn frame(&self) -> Frame;

    /// What stands between two calls of one turn; `None` where a turn holds one call.
    fn between(&self) -> Option<Between>;

    /// What the model writes to end its thoughts, and between that and a call.
    fn thought_end(&self) -> Option<(&'static str, &'static str)>;

    /// The call as the model would write it.
    fn write(&self, call: &ToolCall) -> String;

    /// The one call that `text` holds.
    ///
    /// # Errors
    /// [`Error::NoCall`] if there is none, or not just one.
    fn parse(&self, text: &str) -> Result<ToolCall, Error>;
}

/// Every dialect.
pub static DIALECTS: &[&dyn Dialect] = &[&hermes::Hermes];

/// The dialect that a chat template teaches.
pub fn taught_by(chat_template: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.iter().copied().find(|dialect| dialect.is_taught_by(chat_template))
}
