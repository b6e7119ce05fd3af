//! Text of messages and tools that reads like special tokens: marked before rendering, and cut there afterwards, so that
//! it stays text.
//!
//! A chat template writes `<|im_end|>` and the like around messages, and the tokenizer makes special tokens of them. The
//! same letters in a user's text or in a tool's result would end the message, too. So each occurrence in the content gets
//! a noncharacter behind its first letter. Filters such as `trim` and `tojson` leave that alone. In the rendered
//! prompt it is removed again, and the text before and after it is tokenized apart.

use crate::{
    chat::{Conversation, Message, Role},
    hash,
    runtime::{SpecialTexts, Vocabulary},
};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, fmt, ops::Range};

/// Fields of an assistant's message with text that the model has written.
const WRITTEN_BY_MODEL: [&str; 4] = ["content", "reasoning", "reasoning_content", "thinking"];

/// A prompt from a chat template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenderedPrompt {
    pub(super) text: String,
    /// Offsets in the text, ascending, across which no token may reach.
    pub(super) cuts: Vec<usize>,
}

impl RenderedPrompt {
    /// The prompt with `text` after it.
    pub fn with_text(&self, text: &str) -> RenderedPrompt {
        RenderedPrompt { text: self.text.clone() + text, cuts: self.cuts.clone() }
    }

    /// Puts `text` in the place of a part of the prompt. False, and nothing done, if a cut is inside of that part.
    pub(super) fn replace(&mut self, part: Range<usize>, text: &str) -> bool {
        if self.cuts.iter().any(|&cut| part.start < cut && cut < part.end) {
            return false;
        }
        self.text.replace_range(part.clone(), text);
        for cut in self.cuts.iter_mut().filter(|cut| **cut >= part.end) {
            *cut = *cut - part.len() + text.len();
        }
        true
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.text
    }

    /// Offsets across which no token may reach: there a message or a tool holds the text of a special token.
    pub fn cuts(&self) -> &[usize] {
        &self.cuts
    }

    /// SHA-256 in hex: of the text, and of the cuts if there are any.
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(&self.text);
        self.cuts.iter().for_each(|&cut| hasher.update((cut as u64).to_le_bytes()));
        hash::hex(&hasher.finalize())
    }

    /// The parts between the cuts.
    pub(super) fn parts(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.cuts.iter().copied());
        let ends = self.cuts.iter().copied().chain([self.text.len()]);
        starts.zip(ends).map(|(start, end)| &self.text[start..end])
    }
}

impl std::ops::Deref for RenderedPrompt {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for RenderedPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Marks for the content of one request.
pub(super) struct Marks<'v> {
    specials: &'v SpecialTexts,
    mark: char,
}

impl<'v> Marks<'v> {
    /// Marks with a noncharacter that neither the conversation nor `others` contain. `None` if there is nothing to mark.
    pub fn new(
        vocabulary: &'v Vocabulary,
        conversation: &Conversation,
        others: &[&Value],
    ) -> Option<Marks<'v>> {
        let specials = vocabulary.special_texts();
        let is_told = |text: &str| specials.any_in(text);
        let told =
            conversation.messages.iter().flat_map(Message::fields).any(|(_, value)| any(value, &is_told))
                || others.iter().any(|value| any(value, &is_told));
        if !told {
            return None;
        }
        let is_used = |mark: char| {
            let has = |text: &str| text.contains(mark);
            conversation.messages.iter().flat_map(Message::fields).any(|(_, value)| any(value, &has))
                || others.iter().any(|value| any(value, &has))
        };
        // Text that has all 32 of them gives up one.
        let mark = ('\u{fdd0}'..='\u{fdef}').find(|&mark| !is_used(mark)).unwrap_or('\u{fdd0}');
        Some(Marks { specials, mark })
    }

    /// `conversation` with marks.
    pub fn conversation(&self, conversation: &Conversation) -> Conversation {
        let messages = conversation.messages.iter().map(|message| {
            let field = |(name, value): (&String, &Value)| {
                // The model's own tags for reasoning and calls are for the template to find.
                let is_own = message.role() == Role::Assistant && WRITTEN_BY_MODEL.contains(&name.as_str());
                (name.clone(), self.value(value, is_own))
            };
            message.with_fields(message.fields().iter().map(field).collect())
        });
        Conversation { messages: messages.collect(), tools: conversation.tools.clone() }
    }

    /// `value` with marks in all its texts.
    pub fn tools(&self, value: &Value) -> Value {
        self.value(value, false)
    }

    /// `text` with marks.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.marked(text, false)
    }

    fn value(&self, value: &Value, control_only: bool) -> Value {
        match value {
            Value::String(text) => Value::String(self.marked(text, control_only).into_owned()),
            Value::Array(list) => list.iter().map(|value| self.value(value, control_only)).collect(),
            Value::Object(object) => {
                let pair = |(key, value): (&String, &Value)| {
                    (self.marked(key, control_only).into_owned(), self.value(value, control_only))
                };
                Value::Object(object.iter().map(pair).collect::<Map<_, _>>())
            }
            other => other.clone(),
        }
    }

    fn marked<'t>(&self, text: &'t str, control_only: bool) -> Cow<'t, str> {
        let mut out = String::new();
        let mut copied = 0;
        for (at, first) in text.char_indices() {
            if self.specials.begins(&text[at..], control_only) {
                let end = at + first.len_utf8();
                out.push_str(&text[copied..end]);
                out.push(self.mark);
                copied = end;
            }
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(&text[copied..]);
        Cow::Owned(out)
    }

    /// The rendered prompt without marks.
    pub fn cut(&self, rendered: &str) -> RenderedPrompt {
        let mut text = String::with_capacity(rendered.len());
        let mut cuts = Vec::new();
        for part in rendered.split(self.mark) {
            text.push_str(part);
            cuts.push(text.len());
        }
        cuts.pop();
        RenderedPrompt { text, cuts }
    }
}

impl From<String> for RenderedPrompt {
    fn from(text: String) -> RenderedPrompt {
        RenderedPrompt { text, cuts: Vec::new() }
    }
}

/// True if `test` holds for a text or a key in `value`.
fn any(value: &Value, test: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => test(text),
        Value::Array(list) => list.iter().any(|value| any(value, test)),
        Value::Object(object) => object.iter().any(|(key, value)| test(key) || any(value, test)),
        _ => false,
    }
}
