//! Profile: the settings that a model was made to be called with, so that its file alone is enough for a call.
//!
//! A profile holds data only: texts, tools and numbers. It comes from a file of unknown origin, so sizes and ranges are
//! limited, and nothing in it is run as a template.

mod check;
mod error;
mod gguf_form;
mod json_form;
mod text;

pub use crate::display::visible;
pub use check::{
    MAX_ARGUMENTS_BYTES, MAX_JSON_BYTES, MAX_MAX_TOKENS, MAX_PARALLEL, MAX_SYSTEM_BYTES, MAX_TEMPERATURE,
    MAX_TOOLS_BYTES,
};
pub use error::{Error, Result};
pub use gguf_form::{PREFIX, is_profile_key};
pub use json_form::KEYS;

use crate::{chat, schema::KeyOrder};
use serde_json::{Map, Value};
use std::{borrow::Cow, num::NonZeroUsize};

/// Version of the profile's format: of its JSON form and of its keys in a GGUF file.
pub const VERSION: u32 = 1;

/// Settings of a call; `None` and empty for what the profile leaves open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Text of the system message.
    pub system: Option<SystemText>,
    /// The tools as they were given, in any form that [`ToolSet`](crate::tools::ToolSet) reads. Parsed by
    /// [`json::input::parse_exact`](crate::json::input::parse_exact), so wide numbers are kept as they are written.
    pub tools: Option<Value>,
    /// OpenAI's `tool_choice`.
    pub tool_choice: Option<ToolChoice>,
    /// Most calls in one turn.
    pub parallel: Option<NonZeroUsize>,
    /// Reasoning before the answer.
    pub thinking: Option<Thinking>,
    /// Sampling parameters.
    pub sampling: Sampling,
    /// Most tokens of an answer, reasoning included.
    pub max_tokens: Option<NonZeroUsize>,
    /// Name of the format in which the model writes calls, one of [`entries`](crate::dialect::entries).
    pub dialect: Option<String>,
    /// Order of the keys in the arguments of a call.
    pub key_order: Option<KeyOrder>,
    /// Further arguments of the chat template.
    pub template_arguments: Map<String, Value>,
}

/// Text of the system message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SystemText {
    /// The text itself.
    Text(String),
    /// A task description, which distil labs' TFT models read inside a system text that is always the same.
    Task(String),
}

/// OpenAI's `tool_choice`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// One of the tools must be called.
    Required,
    /// A call of one of the tools, or text.
    Auto,
    /// No call: text.
    None,
    /// The tool of this name must be called.
    Named(String),
}

/// Reasoning before the answer: the chat template's `enable_thinking`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// The template gets `enable_thinking=true`.
    On,
    /// The template gets `enable_thinking=false`.
    Off,
    /// The template gets no `enable_thinking`.
    Auto,
}

/// Sampling parameters; `None` for those that the profile leaves open.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sampling {
    /// Divisor of the logits, from 0; 0 takes the most likely token.
    pub temperature: Option<f32>,
    /// Keeps this many of the most likely tokens.
    pub top_k: Option<NonZeroUsize>,
    /// Keeps the most likely tokens that together reach this probability, from 0 to 1.
    pub top_p: Option<f32>,
    /// Keeps the tokens at least this fraction as likely as the most likely, from 0 to 1.
    pub min_p: Option<f32>,
    /// Random seed.
    pub seed: Option<u64>,
}

impl Profile {
    /// True if the profile leaves everything open.
    pub fn is_empty(&self) -> bool {
        *self == Profile::default()
    }
}

impl SystemText {
    /// The text of the system message: a task description with the text around it.
    pub fn message(&self) -> Cow<'_, str> {
        match self {
            SystemText::Text(text) => Cow::Borrowed(text),
            SystemText::Task(task) => Cow::Owned(chat::task_system_text(task)),
        }
    }
}

impl Thinking {
    /// Every value.
    pub const ALL: [Thinking; 3] = [Thinking::On, Thinking::Off, Thinking::Auto];

    /// The value in the JSON form and in GGUF files.
    pub fn word(self) -> &'static str {
        match self {
            Thinking::On => "on",
            Thinking::Off => "off",
            Thinking::Auto => "auto",
        }
    }
}
