//! How a model family writes a tool call, both ways.

mod body;
pub mod foreign;
mod functionary;
mod generic;
mod hermes;
mod llama3;
mod mistral;
mod mistral_args;

use super::{Error, ToolCall, json};
use std::fmt;

/// A piece of the frame around a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A mark such as `<tool_call>`: one token where the vocabulary has it, else its text.
    Mark(&'static str),
    /// Plain text.
    Text(&'static str),
    /// A space or nothing, as the model was trained to; nothing where we write.
    Space,
}

impl Part {
    /// The part as we write it.
    pub fn text(self) -> &'static str {
        match self {
            Part::Mark(text) | Part::Text(text) => text,
            Part::Space => "",
        }
    }
}

/// How a call's name stands in its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameForm {
    /// As a JSON string.
    Json,
    /// As it is, up to the first part behind it, which no name may hold.
    Plain,
}

/// The text around a call's name and its arguments, which are JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Before the name.
    pub open: &'static [Part],
    /// How the name is written.
    pub name: NameForm,
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

    /// What follows `parts` in `text`, if it begins with them.
    pub fn strip<'t>(parts: &[Part], text: &'t [u8]) -> Option<&'t [u8]> {
        parts.iter().try_fold(text, |text, part| match part {
            Part::Mark(part) | Part::Text(part) => text.strip_prefix(part.as_bytes()),
            Part::Space => Some(text.strip_prefix(b" ").unwrap_or(text)),
        })
    }

    /// A tool's name as it stands in the frame.
    pub fn written_name(&self, name: &str) -> String {
        match self.name {
            NameForm::Json => json::spaced(&name),
            NameForm::Plain => name.to_owned(),
        }
    }

    /// Splits what follows `open` behind the name; `None` while the name is not whole.
    pub fn split_name<'t>(&self, text: &'t [u8]) -> Option<(String, &'t [u8])> {
        match self.name {
            NameForm::Json => {
                let (name, rest) = text.split_at(json::string_length(text)?);
                Some((serde_json::from_slice(name).ok()?, rest))
            }
            NameForm::Plain => {
                let end = self.name_end()?.as_bytes();
                let at = text.windows(end.len()).position(|window| window == end)?;
                Some((String::from_utf8(text[..at].to_vec()).ok()?, &text[at..]))
            }
        }
    }

    /// The text that ends a plain name, so that no name may hold it.
    pub fn name_end(&self) -> Option<&'static str> {
        let first = self.middle.first().map(|part| part.text()).filter(|text| !text.is_empty());
        first.filter(|_| self.name == NameForm::Plain)
    }

    fn write(&self, call: &ToolCall) -> String {
        let name = self.written_name(call.name());
        let [open, middle, close] = [self.open, self.middle, self.close].map(Frame::text);
        format!("{open}{name}{middle}{}{close}", call.arguments_text())
    }
}

/// What a chat template writes of a user's turn and a call that answers it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The prompt of the user's turn, up to where the model goes on.
    pub prompt: String,
    /// The same turn with the call behind it.
    pub history: String,
}

/// A model family's way to write a call.
pub trait Dialect: Sync {
    /// What `--dialect` and messages call it.
    fn name(&self) -> &'static str;

    /// What stands around a call.
    fn frame(&self) -> Frame;

    /// What stands between two calls of one turn; `None` where a turn holds one call.
    fn between(&self) -> Option<Between> {
        None
    }

    /// Whether a chat template that wrote `shown` writes the call `name` in this dialect.
    ///
    /// Blanks and line ends do not count, and neither does what follows the arguments' first brace:
    /// some templates add an id there.
    fn is_shown(&self, shown: &Shown, name: &str) -> bool {
        let frame = self.frame();
        let begin =
            [Frame::text(frame.open), frame.written_name(name), Frame::text(frame.middle), "{".into()];
        let (begin, history) = (squeezed(&begin.concat()), squeezed(&shown.history));
        let Some(at) = history.find(&begin) else { return false };
        // Without a mark of its own, the same text may stand inside another format's marks.
        matches!(frame.open.first(), Some(Part::Mark(_)))
            || unthought(&squeezed(&shown.prompt)).starts_with(&unthought(&history[..at]))
    }

    /// What the model writes to end its thoughts, and between that and a call.
    fn thought_end(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// The call as the model would write it.
    fn write(&self, call: &ToolCall) -> String {
        self.frame().write(call)
    }

    /// The one call that `text` holds.
    ///
    /// # Errors
    /// [`Error::NoCall`] if there is none, or not just one.
    fn parse(&self, text: &str) -> Result<ToolCall, Error>;
}

impl fmt::Debug for dyn Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Every dialect; the generic one, which no template shows, is the last.
pub static DIALECTS: &[&dyn Dialect] = &[
    &hermes::Hermes,
    &llama3::Llama3,
    &mistral::Mistral,
    &mistral_args::MistralArgs,
    &functionary::Functionary,
    &generic::Generic,
];

/// The dialect of models that were taught none.
pub static GENERIC: &dyn Dialect = &generic::Generic;

/// The dialect of this name.
pub fn named(name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.iter().copied().find(|dialect| dialect.name() == name)
}

/// The dialect in which a chat template that wrote `shown` writes the call `name`.
pub fn shown_in(shown: &Shown, name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.iter().copied().find(|dialect| dialect.is_shown(shown, name))
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Prompts and histories of one template differ in the empty thoughts that they put in.
fn unthought(text: &str) -> String {
    text.replace("<think>", "").replace("</think>", "")
}

fn no_call(problem: impl Into<String>) -> Error {
    Error::NoCall { problem: problem.into() }
}
