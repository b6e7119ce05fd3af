//! Conversations that a template is asked to render, and the assistant's turn in what it renders.

use super::{
    cut::{Marks, common, parted},
    words::Words,
};
use crate::{
    chat::{self, LocalTime, RenderOptions, Renderer},
    dialect::{JsonStyle, encode::json_text},
    machine::cpu_time,
};
use serde_json::{Map, Value, json};
use std::{cell::OnceCell, time::Duration};

/// Limit on the work of one rendering, in the template engine's steps; usual templates take some thousand.
pub(super) const FUEL: u64 = 2_000_000;
/// CPU time of this thread for a derivation; usual templates need some milliseconds. Not the time of the clock, by which a busy
/// machine would give up a template that another one derives.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest rendering that is looked at.
const MAX_BYTES: usize = 1 << 20;
/// Longest end of a conversation that is looked for in another. Usual ones have some hundred bytes.
const MAX_COMPARED: usize = 16 << 10;

/// The form in which calls are handed to a template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handover {
    /// True for arguments as JSON text, false for an object.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub text_arguments: bool,
    /// True if the content of a message that only calls is null, false for `""`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub null_content: bool,
    /// True if a call's id has to be `functions.NAME:NUMBER`, numbers from 0 on in the whole conversation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub id_holds_name: bool,
    /// True if the tools are also wanted as JSON text under `functions`, and the time under `datetime`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub functions: bool,
    /// True if the template fails on results without the name of their tool.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub results_need_names: bool,
}

/// The template's switch for thoughts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinking {
    /// Not set.
    Default = 0,
    Off = 1,
    On = 2,
}

/// A call to render.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub name: String,
    pub arguments: Map<String, Value>,
}

/// A turn to render.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub calls: &'a [Call],
    pub text: &'a str,
    pub thought: Option<&'a str>,
    pub thinking: Thinking,
}

impl<'a> Ask<'a> {
    /// Calls with nothing beside them, and without thoughts.
    pub fn calls(calls: &'a [Call]) -> Ask<'a> {
        Ask { calls, text: "", thought: None, thinking: Thinking::Off }
    }
}

/// The assistant's turn in a rendering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rendered {
    /// From where the prompt ends to the chat's own end of turn.
    pub turn: String,
    /// The chat's own end of turn.
    pub end: String,
}

/// A template that is asked.
pub(super) struct Probe<'t> {
    renderer: &'t Renderer<'t>,
    pub words: Words,
    pub handover: Handover,
    tools: Value,
    marks: OnceCell<Marks>,
    prompts: [OnceCell<Option<String>>; 3],
    /// Text in front of the arguments, whose marks do not end a turn.
    pub front: String,
    until: Duration,
}

impl<'t> Probe<'t> {
    pub fn new(renderer: &'t Renderer<'t>, words: Words) -> Probe<'t> {
        let tools = Value::Array((0..3).map(|nth| tool(&words.name(nth), &words)).collect());
        Probe {
            renderer,
            words,
            handover: Handover::default(),
            tools,
            marks: OnceCell::new(),
            prompts: Default::default(),
            front: String::new(),
            until: cpu_time::thread() + PATIENCE,
        }
    }

    /// The call of the first tool with these arguments.
    pub fn call(&self, arguments: impl IntoIterator<Item = (String, Value)>) -> Call {
        Call { name: self.words.name(0), arguments: arguments.into_iter().collect() }
    }

    /// The call of the first tool with the first key and value.
    pub fn plain_call(&self) -> Call {
        self.call([(self.words.key(1), self.words.value(1).into())])
    }

    /// True if the prompt of a question shows the tools.
    pub fn shows_tools(&self) -> bool {
        let question = json!({"role": "user", "content": self.words.question});
        let prompt = self.render(&[question], true, Thinking::Default);
        prompt.is_ok_and(|prompt| prompt.contains(&self.words.name(0)))
    }

    /// True if the time for a derivation is over.
    pub fn is_late(&self) -> bool {
        cpu_time::thread() > self.until
    }

    fn render(&self, messages: &[Value], prompt: bool, thinking: Thinking) -> Result<String, chat::Error> {
        let late =
            || chat::Error::Runaway { line: 1, limit: "two seconds of CPU time for all questions".into() };
        if self.is_late() {
            return Err(late());
        }
        let mut arguments = Map::new();
        if thinking != Thinking::Default {
            for name in ["enable_thinking", "thinking"] {
                arguments.insert(name.into(), (thinking == Thinking::On).into());
            }
        }
        if self.handover.functions {
            arguments.insert("functions".into(), self.tools.to_string().into());
            arguments.insert("datetime".into(), "2026-01-02 03:04:05".into());
        }
        let options = RenderOptions {
            add_generation_prompt: prompt,
            bos_token: Some("<s>"),
            eos_token: Some("</s>"),
            arguments,
            now: LocalTime::from_epoch(0),
            ..RenderOptions::default()
        };
        let text = self.renderer.render(messages, Some(&self.tools), &options)?;
        if text.len() > MAX_BYTES { Err(late()) } else { Ok(text) }
    }

    /// The messages of a conversation with the turn `ask`, in this order: the question, the turn, its results.
    fn messages(&self, ask: &Ask<'_>, earlier: usize) -> Vec<Value> {
        let words = &self.words;
        let id = |nth: usize, call: &Call| match self.handover.id_holds_name {
            true => format!("functions.{}:{}", call.name, earlier + nth),
            false => words.id(earlier + nth),
        };
        let arguments = |call: &Call| match self.handover.text_arguments {
            true => Value::String(json_text(&Value::Object(call.arguments.clone()), JsonStyle::Spaced)),
            false => Value::Object(call.arguments.clone()),
        };
        let calls: Vec<Value> = ask
            .calls
            .iter()
            .enumerate()
            .map(|(nth, call)| {
                json!({"id": id(nth, call), "type": "function",
                       "function": {"name": call.name, "arguments": arguments(call)}})
            })
            .collect();
        let content = match (ask.text, self.handover.null_content && !calls.is_empty()) {
            ("", true) => Value::Null,
            (text, _) => text.into(),
        };
        let mut assistant = json!({"role": "assistant", "content": content});
        if !calls.is_empty() {
            assistant["tool_calls"] = calls.into();
        }
        if let Some(thought) = ask.thought {
            assistant["reasoning_content"] = thought.into();
        }
        let mut messages = vec![json!({"role": "user", "content": words.question}), assistant];
        messages.extend(ask.calls.iter().enumerate().map(|(nth, call)| {
            json!({"role": "tool", "name": call.name, "tool_call_id": id(nth, call), "content": words.result})
        }));
        messages
    }

    /// Everything behind the question.
    fn behind(&self, text: String) -> Option<String> {
        let at = text.find(&self.words.question)?;
        Some(text[at + self.words.question.len()..].to_owned())
    }

    /// The prompt behind the question.
    pub fn prompt(&self, thinking: Thinking) -> Option<&str> {
        let ask = || {
            let question = json!({"role": "user", "content": self.words.question});
            self.render(&[question], true, thinking).ok().and_then(|text| self.behind(text))
        };
        self.prompts[thinking as usize].get_or_init(ask).as_deref()
    }

    /// The text between turns of a plain chat.
    pub fn marks(&self) -> &Marks {
        self.marks.get_or_init(|| {
            let words = &self.words;
            let ask = Ask { calls: &[], text: &words.answer, thought: None, thinking: Thinking::Off };
            let mut messages = self.messages(&ask, 0);
            let behind = |text: Result<String, chat::Error>| {
                let text = text.ok()?;
                let at = text.find(&words.answer)?;
                Some(text[at + words.answer.len()..].to_owned())
            };
            let alone = behind(self.render(&messages, false, Thinking::Off));
            messages.push(json!({"role": "user", "content": words.later_question}));
            let followed = behind(self.render(&messages, false, Thinking::Off));
            let followed = followed.map(|text| {
                let at = text.find(&words.later_question).unwrap_or(text.len());
                text[..at].to_owned()
            });
            Marks::new(alone.as_deref(), followed.as_deref())
        })
    }

    /// The whole rendering of `ask` with results behind the question, for a first look; and whether the results are in.
    ///
    /// # Errors
    /// The template's error.
    pub fn look(&self, ask: &Ask<'_>) -> Result<(String, bool), String> {
        let messages = self.messages(ask, 0);
        let behind = |text: Result<String, chat::Error>| match text {
            Ok(text) => self.behind(text).ok_or_else(|| "the question is not in its prompt".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        match behind(self.render(&messages, true, ask.thinking)) {
            Ok(text) => Ok((text, true)),
            Err(_) => Ok((behind(self.render(&messages[..2], false, ask.thinking))?, false)),
        }
    }

    /// True if `ask` with results is rendered, but not if the results lack the names of their tools.
    pub fn results_need_names(&self, ask: &Ask<'_>) -> bool {
        let mut messages = self.messages(ask, 0);
        let renders = |messages: &[Value]| self.render(messages, true, ask.thinking).is_ok();
        renders(&messages) && {
            messages
                .iter_mut()
                .filter_map(Value::as_object_mut)
                .for_each(|fields| drop(fields.shift_remove("name")));
            !renders(&messages)
        }
    }

    /// The assistant's turn of `ask`.
    ///
    /// # Errors
    /// The template's error.
    pub fn turn(&self, ask: &Ask<'_>) -> Result<Rendered, String> {
        let messages = self.messages(ask, 0);
        let full = self.render(&messages, true, ask.thinking);
        let alone = self.render(&messages[..2], false, ask.thinking);
        let (full, alone, error) = match (full, alone) {
            (Err(error), Err(_)) => return Err(error.to_string()),
            (full, alone) => {
                let error = full.as_ref().err().map(ToString::to_string);
                let behind = |text: Result<String, _>| text.ok().and_then(|text| self.behind(text));
                (behind(full), behind(alone), error)
            }
        };
        let text = full.as_ref().or(alone.as_ref());
        let Some(text) = text else {
            return Err(error.unwrap_or_else(|| "the question is not in its prompt".into()));
        };
        let prompt = self.prompt(ask.thinking).unwrap_or_default();
        let start = parted(prompt, text);
        let end = match (&full, &alone) {
            (Some(full), Some(alone)) => self.end(full, alone, start, ask),
            (Some(full), None) => full[start..].find(&self.words.result).map_or(full.len(), |at| start + at),
            _ => text.len(),
        };
        let turn = &text[start..end.max(start)];
        let last = self.last_word(turn, ask);
        let cut = self.marks().cut(turn, last, &self.front).unwrap_or(turn.len());
        Ok(Rendered { turn: turn[..cut].to_owned(), end: turn[cut..].to_owned() })
    }

    /// The offset at which the turn ends in `full`, which goes on, by `alone`, which does not.
    fn end(&self, full: &str, alone: &str, start: usize, ask: &Ask<'_>) -> usize {
        let same = common(full, alone);
        if same == alone.len() {
            return same;
        }
        // The last turn has something that the same turn lacks when others follow: the longest end of it that is there, too,
        // and holds a word.
        let last = alone.rfind(&self.words.prefix).filter(|_| alone.len() <= MAX_COMPARED);
        for (at, _) in alone.char_indices().take_while(|(at, _)| last.is_some_and(|last| *at <= last)) {
            if let Some(found) = full[start..].find(&alone[at..]) {
                return start + found + alone.len() - at;
            }
        }
        // The two differ before they end: the first mark behind what they share is the end.
        let same = same.max(start);
        let last = start + self.last_word(&full[start..same], ask);
        let results = full[last..].find(&self.words.result).map_or(full.len(), |at| last + at);
        let cut = self.marks().cut(&full[start..results], last - start, &self.front);
        cut.map_or(same, |at| start + at)
    }

    /// True if a call in the last turn is rendered without its id.
    pub fn last_turn_lacks_ids(&self) -> bool {
        let messages = self.messages(&Ask::calls(&[self.plain_call()]), 0);
        let last = self.render(&messages[..2], false, Thinking::Off);
        last.is_ok_and(|text| text.contains(&self.words.name(0)) && !text.contains(&self.words.id(0)))
    }

    /// The end of the last word of the calls in `turn`.
    fn last_word(&self, turn: &str, ask: &Ask<'_>) -> usize {
        let found = turn.rfind(&self.words.prefix).map(|at| {
            let word = turn[at..].find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(turn.len() - at);
            at + word
        });
        match ask.calls.is_empty() {
            true => found.unwrap_or(0),
            false => found.unwrap_or(turn.len()),
        }
    }

    /// The text of a second round of calls up to the end of `mark` in it.
    pub fn second_round(&self, first: &Call, second: &Call) -> Option<String> {
        let mut messages = self.messages(&Ask::calls(std::slice::from_ref(first)), 0);
        messages.extend(self.messages(&Ask::calls(std::slice::from_ref(second)), 1).into_iter().skip(1));
        self.render(&messages, true, Thinking::Off).ok()
    }
}

/// A tool with every field that templates rely on.
fn tool(name: &str, words: &Words) -> Value {
    let keys = (1..=3).map(|nth| (words.key(nth), json!({"type": "string", "description": "A text."})));
    let properties: Map<String, Value> = keys.collect();
    json!({"type": "function", "function": {"name": name, "description": "A probe.", "parameters": {
        "type": "object", "properties": properties, "required": [words.key(1)]}}})
}
