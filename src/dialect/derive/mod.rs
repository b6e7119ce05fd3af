//! A dialect from a chat template, by differential rendering.
//!
//! The template's text is no evidence: Qwen3-Coder's holds `<tool_call>` and means XML. So the template renders small
//! conversations that differ in one thing each, with words that no template holds, and the dialect follows from where
//! those words come out and from what stands between them. In the end the dialect writes further calls, which have to
//! equal what the template renders; otherwise it is not trusted.

mod beside;
mod check;
mod cut;
mod frame;
mod handover;
mod members;
mod object;
mod probe;
mod samples;
mod words;

pub use probe::Handover;

use super::{Arguments, Dialect, Piece};
use crate::chat::Template;
use probe::Probe;
use std::fmt;
use words::Words;

/// Number of the derivation, part of the key of what is stored of it. It changes with what is derived, and with its form.
pub const REVISION: u32 = 2;

/// Name of a dialect that equals no entry.
pub const DERIVED: &str = "derived";

/// Tokens that end a turn with calls in some chats, and not a turn without. That they do is in no template.
const CALL_ENDS: [&str; 5] =
    ["<|eom_id|>", "<|call|>", "<|calls|>", "<|tool_response>", "<start_function_response>"];

/// The tool-call format that a template shows.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derived {
    /// The format.
    pub dialect: Dialect,
    /// The form in which the template wants calls of a history.
    pub handover: Handover,
    /// The chat's own end of turn, as far as the template writes one.
    pub turn_end: String,
    /// True if the last turn of a chat has no ids although the turns before do: models learn to write none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last_turn_lacks_ids: bool,
    /// Values that the format cannot hold or the template does not show; one sentence each.
    pub notes: Vec<String>,
}

/// The reason why a template yields no dialect.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotDerived {
    /// The template holds every word that could be asked with.
    NoWords,
    /// The template refuses or fails.
    Fails(String),
    /// The name of a call is not in its rendering.
    NoName,
    /// The arguments of a call are not in its rendering.
    NoArguments,
    /// Texts that should be alike differ.
    Disagree(String),
    /// Values of a type are written in no known encoding.
    Encoding(String),
    /// The dialect writes something else than the template.
    Differs(String),
    /// The format that the template shows cannot be read back, so nothing could be enforced.
    Unusable(String),
}

impl fmt::Display for NotDerived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotDerived::NoWords => f.write_str("the template holds every word that it could be asked with"),
            NotDerived::Fails(error) => write!(f, "the template fails on a call: {error}"),
            NotDerived::NoName => f.write_str("the template shows no tool calls"),
            NotDerived::NoArguments => f.write_str("the template shows a call without its arguments"),
            NotDerived::Disagree(what) => write!(f, "the template writes calls irregularly: {what}"),
            NotDerived::Encoding(what) => write!(f, "the template writes {what} in an unknown way"),
            NotDerived::Unusable(what) => write!(f, "the template's calls cannot be read back: {what}"),
            NotDerived::Differs(what) => {
                write!(f, "the derived format does not write what the template writes: {what}")
            }
        }
    }
}

impl std::error::Error for NotDerived {}

/// The text around the arguments of a call, with the words of the question still in it.
struct Around {
    head: String,
    tail: String,
    arguments: Arguments,
}

/// Everything that a template shows, the tools in its prompts included.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// The dialect, or why there is none.
    pub derived: std::result::Result<Derived, NotDerived>,
    /// True if a prompt shows the names of the tools.
    pub shows_tools: bool,
}

/// Derives the dialect of `template`, within two seconds of CPU time whatever the template does.
///
/// # Errors
/// The reason why it cannot be told.
pub fn derive(template: &Template) -> Result<Derived, NotDerived> {
    study(template).derived
}

/// Derives the dialect of `template`, and looks whether it shows the tools.
pub fn study(template: &Template) -> Shown {
    let Some(words) = Words::new(template.source()) else {
        return Shown { derived: Err(NotDerived::NoWords), shows_tools: false };
    };
    let studied = template.with_renderer(probe::FUEL, |renderer| {
        let mut probe = Probe::new(renderer, words);
        let derived = probe.derived();
        Shown { derived, shows_tools: probe.shows_tools() }
    });
    studied.unwrap_or_else(|error| Shown {
        derived: Err(NotDerived::Fails(error.to_string())),
        shows_tools: false,
    })
}

impl Probe<'_> {
    fn derived(&mut self) -> Result<Derived, NotDerived> {
        self.handover = handover::find(self)?;
        let around = match object::find(self)? {
            Some(around) => around,
            None => members::find(self)?,
        };
        self.front = around.head.clone();
        let names = frame::name_form(self, &around)?;
        let frame = frame::Frame::new(self, around, names)?;
        let beside = beside::find(self, &frame)?;
        let mut notes = frame.notes;
        notes.extend(beside.notes);
        let (mut first, mut last) = (frame.first, frame.last);
        strip_lead(&mut first, &beside.lead);
        let end = call_end(&mut last);
        let dialect = Dialect {
            name: DERIVED.to_owned(),
            first,
            next: frame.next,
            last,
            arguments: frame.arguments,
            end: end.into_iter().collect(),
            also_first: Vec::new(),
            text: beside.text,
            thought: beside.thought,
            count: frame.count,
        };
        check::check(self, &dialect, &beside.lead)?;
        dialect.check().map_err(|error| NotDerived::Unusable(error.to_string()))?;
        let turn_end = self.marks().end.clone();
        let last_turn_lacks_ids = dialect.has_ids() && self.last_turn_lacks_ids();
        Ok(Derived { dialect, handover: self.handover, turn_end, last_turn_lacks_ids, notes })
    }
}

/// Takes the text that ends an open thought from the start of `first`.
fn strip_lead(first: &mut Vec<Piece>, lead: &str) {
    if let Some(Piece::Text(text)) = first.first_mut()
        && let Some(rest) = text.strip_prefix(lead)
    {
        *text = rest.to_owned();
        if text.is_empty() {
            first.remove(0);
        }
    }
}

/// Takes a token that ends a turn with calls from the end of `last`.
fn call_end(last: &mut Vec<Piece>) -> Option<String> {
    let Some(Piece::Text(text)) = last.last_mut() else { return None };
    let end = CALL_ENDS.iter().find(|end| text.trim_end().ends_with(**end))?;
    let at = text.rfind(end).unwrap_or(text.len());
    text.truncate(at);
    if text.is_empty() {
        last.pop();
    }
    Some((*end).to_owned())
}

#[cfg(test)]
mod tests;
