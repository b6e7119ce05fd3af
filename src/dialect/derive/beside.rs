//! Texts and thoughts in a turn with calls.

use super::{
    NotDerived,
    cut::{common, marks_in, parted},
    frame::Frame,
    probe::{Ask, Probe, Thinking},
};
use crate::dialect::{TextPlace, Thought};

/// Text and thought beside calls.
pub(super) struct Beside {
    pub text: TextPlace,
    pub thought: Option<Thought>,
    /// The end of a thought that the prompt has opened although thoughts are off; [`Frame::first`] begins with it.
    pub lead: String,
    pub notes: Vec<String>,
}

/// A turn with the plain call, cut at the call's arguments.
struct Cut {
    /// Before the arguments.
    head: String,
    /// After the arguments.
    tail: String,
}

fn cut(
    probe: &Probe<'_>,
    frame: &Frame,
    text: &str,
    thought: Option<&str>,
    thinking: Thinking,
) -> Option<Cut> {
    let call = probe.plain_call();
    let ask = Ask { calls: std::slice::from_ref(&call), text, thought, thinking };
    let turn = probe.turn(&ask).ok()?.turn;
    let arguments = frame.arguments.write(&call.arguments);
    let at = turn.find(&arguments)?;
    Some(Cut { head: turn[..at].to_owned(), tail: turn[at + arguments.len()..].to_owned() })
}

/// Finds texts, thoughts, and how a turn begins that has neither.
///
/// # Errors
/// If a plain call cannot be rendered.
pub(super) fn find(probe: &Probe<'_>, frame: &Frame) -> Result<Beside, NotDerived> {
    let words = &probe.words;
    let (says, thinks) = (words.answer.as_str(), words.thought.as_str());
    let cut = |text, thought, thinking| cut(probe, frame, text, thought, thinking);
    let plain = cut("", None, Thinking::Off).ok_or(NotDerived::NoArguments)?.head;
    let said = cut(says, None, Thinking::Off);
    let text = said.as_ref().and_then(|said| said.head.split_once(says));
    let thought = cut("", Some(thinks), Thinking::Default);
    let thought = thought.as_ref().and_then(|cut| cut.head.split_once(thinks));
    let lead = lead(&plain, text, thought);
    let bare = plain.strip_prefix(&lead).unwrap_or(&plain);
    let is_behind = said.as_ref().is_some_and(|said| said.tail.contains(says));
    let mut notes = Vec::new();
    // Behind a text, the call begins with its mark: the blanks there belong to the text.
    let marked = bare.trim_start();
    let marked = if marked.starts_with(&words.name(0)) { bare } else { marked };
    let place = place(text, is_behind, &lead, marked, &mut notes);
    let begin =
        |thinking| cut("", None, thinking).and_then(|cut| Some(cut.head.strip_suffix(bare)?.to_owned()));
    let none = begin(Thinking::Default).unwrap_or_else(|| lead.clone());
    let thought = match thought {
        Some((open, close)) => close.strip_suffix(bare).map(|close| Thought {
            open: open.to_owned(),
            close: close.to_owned(),
            none,
        }),
        None => {
            notes.push("a thought is left out of the history".into());
            ends_in_thought(probe, none, begin)
        }
    };
    Ok(Beside { text: place, thought, lead, notes })
}

/// The place of a text that stands between `text` before the calls, or behind them; `bare` is the beginning of a call.
fn place(
    text: Option<(&str, &str)>,
    is_behind: bool,
    lead: &str,
    bare: &str,
    notes: &mut Vec<String>,
) -> TextPlace {
    let note = match text.map(|(open, close)| (open, close.strip_suffix(bare))) {
        Some((open, Some(close))) => {
            let open = open.strip_prefix(lead).unwrap_or(open);
            return TextPlace::Before { open: open.to_owned(), close: close.to_owned() };
        }
        Some((_, None)) => "a call after a text is written otherwise than alone",
        None if is_behind => "a text beside a call comes behind it in the history",
        None => "a text beside a call is left out of the history",
    };
    notes.push(note.to_owned());
    if text.is_none() && is_behind { TextPlace::Behind } else { TextPlace::Dropped }
}

/// The end of a thought at the start of `head`, by a text that stands behind it, or by a thought that it ends.
fn lead(head: &str, text: Option<(&str, &str)>, thought: Option<(&str, &str)>) -> String {
    if let Some((open, _)) = text
        && marks_in(open).next().is_some()
        && head.starts_with(open)
    {
        return open.to_owned();
    }
    if text.is_none()
        && let Some(("", close)) = thought
        && close == head
        && let Some(mark) = marks_in(head).next()
    {
        let behind = &head[mark.end..];
        let blanks = behind.len() - behind.trim_start().len();
        return head[..mark.end + blanks].to_owned();
    }
    String::new()
}

/// The end of a thought in a template that shows none in the history, if its prompt opens one: by the turn itself, or by
/// the prompt without thoughts.
fn ends_in_thought(
    probe: &Probe<'_>,
    none: String,
    begin: impl Fn(Thinking) -> Option<String>,
) -> Option<Thought> {
    if !none.is_empty() {
        return Some(Thought { open: String::new(), close: none.clone(), none });
    }
    if let Some(close) = begin(Thinking::On).filter(|begin| marks_in(begin).next().is_some()) {
        return Some(Thought { open: String::new(), close, none });
    }
    let (on, off) = (probe.prompt(Thinking::On)?, probe.prompt(Thinking::Off)?);
    let at = parted(on, off).min(common(on, off));
    let (opened, closed) = (on[at..].trim(), &off[at..]);
    // An opened thought, and the same one closed.
    let begin = if opened.is_empty() { 0 } else { closed.find(opened)? + opened.len() };
    let close = closed[begin..].trim_start();
    let name = marks_in(on).last().map(|mark| on[mark].trim_matches(['<', '>']).to_owned())?;
    let is_end = close.starts_with(&format!("</{name}>"));
    is_end.then(|| Thought { open: String::new(), close: close.to_owned(), none })
}
