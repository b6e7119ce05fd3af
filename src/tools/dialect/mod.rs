//! Tool-call formats of model families: writing, parsing and detection.

mod body;
pub mod foreign;
mod functionary;
mod generic;
mod hermes;
mod llama3;
mod mistral;
mod mistral_args;

use super::{Error, ToolCall};
use crate::json;
use std::fmt;

/// A part of the text around a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A special token such as `<tool_call>`; its text if the vocabulary has no such token.
    Mark(&'static str),
    /// Plain text.
    Text(&'static str),
    /// An optional space, as some models were trained with one; omitted in text written here.
    Space,
}

impl Part {
    /// The part's text, as it is written here.
    pub fn text(self) -> &'static str {
        match self {
            Part::Mark(text) | Part::Text(text) => text,
            Part::Space => "",
        }
    }
}

/// Syntax of the name in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameForm {
    /// As a JSON string.
    Json,
    /// As plain text up to the next part, which names must not contain.
    Plain,
}

/// The text around a call's name and its JSON arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Before the name.
    pub open: &'static [Part],
    /// Syntax of the name.
    pub name: NameForm,
    /// Between the name and the arguments.
    pub middle: &'static [Part],
    /// After the arguments.
    pub close: &'static [Part],
}

/// The text between two calls of one turn, in place of the first one's `close` and the second one's `open`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Between {
    /// After the arguments of a call that is followed by another.
    pub close: &'static [Part],
    /// Before the name of a call that follows another.
    pub open: &'static [Part],
}

impl Frame {
    /// The concatenated text of `parts`.
    pub fn text(parts: &[Part]) -> String {
        parts.iter().map(|part| part.text()).collect()
    }

    /// The rest of `text` after `parts`; `None` if it does not start with them.
    pub fn strip<'t>(parts: &[Part], text: &'t [u8]) -> Option<&'t [u8]> {
        parts.iter().try_fold(text, |text, part| match part {
            Part::Mark(part) | Part::Text(part) => text.strip_prefix(part.as_bytes()),
            Part::Space => Some(text.strip_prefix(b" ").unwrap_or(text)),
        })
    }

    /// A tool's name in the syntax of the frame.
    pub fn written_name(&self, name: &str) -> String {
        match self.name {
            NameForm::Json => json::spaced(&name),
            NameForm::Plain => name.to_owned(),
        }
    }

    /// Splits the text after `open` into the name and the rest; `None` while the name is incomplete.
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

    /// The text that ends a plain name, so that names must not contain it.
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

/// Renderings of a user turn and a call, by a chat template.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The prompt of the user turn, up to where the model continues.
    pub prompt: String,
    /// The same turn followed by the call.
    pub history: String,
}

/// The tool-call format of a model family.
pub trait Dialect: Sync {
    /// Its name in options and messages.
    fn name(&self) -> &'static str;

    /// The text around a call.
    fn frame(&self) -> Frame;

    /// The text between two calls of one turn; `None` if a turn has a single call.
    fn between(&self) -> Option<Between> {
        None
    }

    /// True if a chat template that rendered `shown` writes the call `name` in this format.
    ///
    /// White space is ignored, and so is the text after the arguments' first brace, where some templates add an
    /// id.
    fn is_shown(&self, shown: &Shown, name: &str) -> bool {
        let frame = self.frame();
        let begin =
            [Frame::text(frame.open), frame.written_name(name), Frame::text(frame.middle), "{".into()];
        let (begin, history) = (squeezed(&begin.concat()), squeezed(&shown.history));
        let Some(at) = history.find(&begin) else { return false };
        // Without a special token of its own, the text may be inside another format's tokens.
        matches!(frame.open.first(), Some(Part::Mark(_)))
            || unthought(&squeezed(&shown.prompt)).starts_with(&unthought(&history[..at]))
    }

    /// The text that ends the model's reasoning, and the text between that and a call.
    fn thought_end(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// Writes the call as the model would.
    fn write(&self, call: &ToolCall) -> String {
        self.frame().write(call)
    }

    /// Parses the single call in `text`.
    ///
    /// # Errors
    /// [`Error::NoCall`] if there is none, or more than one.
    fn parse(&self, text: &str) -> Result<ToolCall, Error>;
}

impl fmt::Debug for dyn Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Every format; the generic one, which no template uses, comes last.
pub static DIALECTS: &[&dyn Dialect] = &[
    &hermes::Hermes,
    &llama3::Llama3,
    &mistral::Mistral,
    &mistral_args::MistralArgs,
    &functionary::Functionary,
    &generic::Generic,
];

/// The format for models without one of their own.
pub static GENERIC: &dyn Dialect = &generic::Generic;

/// The format of this name.
pub fn named(name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.iter().copied().find(|dialect| dialect.name() == name)
}

/// The format in which a chat template that rendered `shown` writes the call `name`.
pub fn shown_in(shown: &Shown, name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.iter().copied().find(|dialect| dialect.is_shown(shown, name))
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Prompts and histories of a template may differ in empty reasoning blocks.
fn unthought(text: &str) -> String {
    text.replace("<think>", "").replace("</think>", "")
}

fn no_call(problem: impl Into<String>) -> Error {
    Error::NoCall { problem: problem.into() }
}
