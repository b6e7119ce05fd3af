//! A request to a model, and the answer.

use super::{AnswerToken, StopStrings, Timings};
use crate::{
    chat::Conversation,
    schema::KeyOrder,
    tools::{ToolCall, ToolSet, arguments::AnswerSchema},
};
use std::num::NonZeroUsize;

/// OpenAI's `tool_choice`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// One of the tools must be called.
    #[default]
    Required,
    /// A call of one of the tools, or text.
    Auto,
    /// No call: text.
    None,
    /// The tool of this name must be called.
    Named(String),
}

impl Choice {
    /// `required`, `auto`, `none`, or else a tool's name.
    pub fn from_word(word: &str) -> Choice {
        match word {
            "required" => Choice::Required,
            "auto" => Choice::Auto,
            "none" => Choice::None,
            name => Choice::Named(name.to_owned()),
        }
    }
}

/// A request: conversation, tools, and the form of the answer.
#[derive(Clone, Debug)]
pub struct Request<'r> {
    /// The messages so far.
    pub conversation: &'r Conversation,
    /// The tools that the model is shown.
    pub tools: Option<&'r ToolSet>,
    /// The tool choice. Ignored without tools: the answer is text or JSON then.
    pub choice: Choice,
    /// Most calls in one turn (OpenAI's `parallel_tool_calls`); one if the dialect has no way to write several.
    pub parallel: NonZeroUsize,
    /// Without tools, or with the choice [`Choice::None`]: the JSON schema of the answer; `None` is free text.
    pub schema: Option<&'r AnswerSchema>,
    /// Order of the keys in the objects of a call.
    pub key_order: KeyOrder,
    /// Names of the tools that may be called; `None` is all of them. The model is shown all in any case. Ignored for the
    /// choices [`Choice::Named`] and [`Choice::None`].
    pub allowed: Option<Vec<String>>,
    /// Closes a call that the token budget or a repetition cuts off after its last complete member, if the schema accepts
    /// that.
    pub close_at_budget: bool,
    /// Texts that end free text before them. They end no call, no JSON and no reasoning.
    pub stop: StopStrings,
}

impl<'r> Request<'r> {
    /// A request for one call of one of `tools`; for text if there are none.
    pub fn new(conversation: &'r Conversation, tools: Option<&'r ToolSet>) -> Request<'r> {
        Request {
            conversation,
            tools,
            choice: Choice::default(),
            parallel: NonZeroUsize::MIN,
            schema: None,
            key_order: KeyOrder::default(),
            allowed: None,
            close_at_budget: false,
            stop: StopStrings::default(),
        }
    }
}

/// End of an answer: complete or cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The model ended it.
    Complete,
    /// The token budget or the context ended first.
    CutOff,
    /// The model repeated itself, and its calls were closed before that.
    Repetition,
}

/// An answer: calls, text, or both.
#[derive(Clone, Debug)]
pub struct Answer {
    /// A hash of prompt, seed and answer: 32 hexadecimal digits.
    pub id: String,
    /// The text, or the JSON that a schema asked for; with calls, the text before them.
    pub content: Option<String>,
    /// The calls in their order.
    pub calls: Vec<ToolCall>,
    /// Reasoning before the answer, without the marks around it; empty if reasoning was on and the model wrote
    /// none.
    pub reasoning: Option<String>,
    /// The tokens of the answer behind the reasoning, those of calls included, if the settings ask for them.
    pub tokens: Vec<AnswerToken>,
    /// Complete, or cut off.
    pub end: End,
    /// Durations and token counts.
    pub timings: Timings,
}
