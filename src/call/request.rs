//! What is asked of a model, and what it answers.

use super::Timings;
use crate::{
    chat::Conversation,
    tools::{ToolCall, ToolSet, arguments::AnswerSchema, json_schema::KeyOrder},
};
use std::num::NonZeroUsize;

/// Which tools the model calls, in OpenAI's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// One of the tools.
    #[default]
    Required,
    /// One of the tools, or it answers in text.
    Auto,
    /// None: it answers in text.
    None,
    /// The tool of this name.
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

/// What is asked of a model.
#[derive(Clone, Debug)]
pub struct Request<'r> {
    /// What was said so far.
    pub conversation: &'r Conversation,
    /// The tools that the model is shown.
    pub tools: Option<&'r ToolSet>,
    /// Which of them it calls. Without tools it answers in text whatever this is.
    pub choice: Choice,
    /// The most calls in one turn, where the model's dialect knows more than one.
    pub parallel: NonZeroUsize,
    /// Without tools: the schema of an answer that is JSON instead of text.
    pub schema: Option<&'r AnswerSchema>,
    /// The order in which the keys of a call's objects are written.
    pub key_order: KeyOrder,
    /// Whether a call that the budget cuts off is ended with the keys that are complete, where
    /// those are all that it needs.
    pub close_at_budget: bool,
}

impl<'r> Request<'r> {
    /// One call of one of `tools`, or text where there are none.
    pub fn new(conversation: &'r Conversation, tools: Option<&'r ToolSet>) -> Request<'r> {
        Request {
            conversation,
            tools,
            choice: Choice::default(),
            parallel: NonZeroUsize::MIN,
            schema: None,
            key_order: KeyOrder::default(),
            close_at_budget: false,
        }
    }
}

/// Whether an answer is all that the model wanted to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is.
    Complete,
    /// The budget or the context ended first.
    CutOff,
}

/// What a model answered: calls, or text, or both.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The same for the same prompt, seed and answer, and for no others: 32 hexadecimal digits.
    pub id: String,
    /// The text, or the JSON that a schema asked for; with calls, what was said before them.
    pub content: Option<String>,
    /// The calls in their order.
    pub calls: Vec<ToolCall>,
    /// What the model thought first, without the marks around it; empty if it could and did not.
    pub thought: Option<String>,
    /// Whether that is all.
    pub end: End,
    /// How long it took.
    pub timings: Timings,
}
