//! Chunks of a streamed answer: `chat.completion.chunk` objects.

use super::envelope::Envelope;
use crate::call::{
    AnswerToken, chat_logprobs,
    openai::{ChatCompletion, call_id},
};
use serde_json::{Value, json};

/// Writer of the chunks of one answer.
#[derive(Clone, Debug)]
pub struct Chunks {
    answer: String,
    envelope: Envelope,
}

impl Chunks {
    /// Chunks of an answer with this id (without its prefix), by `model`; `created` is in Unix seconds.
    pub fn new(id: &str, created: u64, model: &str, include_usage: bool) -> Chunks {
        let (object, model) = ("chat.completion.chunk", model.to_owned());
        let envelope = Envelope { id: format!("chatcmpl-{id}"), object, created, model, include_usage };
        Chunks { answer: id.to_owned(), envelope }
    }

    /// The first chunk: the role.
    pub fn first(&self) -> String {
        self.chunk(&json!({"role": "assistant", "content": ""}), Value::Null)
    }

    /// A chunk with a piece of the text, and the log probabilities of `tokens` if they have some.
    pub fn text(&self, text: &str, tokens: &[AnswerToken]) -> String {
        self.chunk_with(&json!({"content": text}), &chat_logprobs(tokens), Value::Null)
    }

    /// A chunk with the log probabilities of `tokens` alone.
    pub fn tokens(&self, tokens: &[AnswerToken]) -> String {
        self.chunk_with(&json!({}), &chat_logprobs(tokens), Value::Null)
    }

    /// A chunk with the reasoning.
    pub fn reasoning(&self, text: &str) -> String {
        self.chunk(&json!({"reasoning_content": text}), Value::Null)
    }

    /// A chunk with the beginning of a tool call: its name.
    pub fn call(&self, index: usize, name: &str) -> String {
        let id = call_id(&self.answer, index);
        let function = json!({"name": name, "arguments": ""});
        let call = json!({"index": index, "id": id, "type": "function", "function": function});
        self.chunk(&json!({"tool_calls": [call]}), Value::Null)
    }

    /// A chunk with a piece of a call's arguments.
    pub fn arguments(&self, index: usize, piece: &str) -> String {
        let call = json!({"index": index, "function": {"arguments": piece}});
        self.chunk(&json!({"tool_calls": [call]}), Value::Null)
    }

    /// The last chunks: why the answer ended, and the token counts if they were asked for.
    pub fn last(&self, answer: &ChatCompletion) -> Vec<String> {
        self.envelope.last(self.chunk(&json!({}), answer.finish_reason().into()), answer.usage())
    }

    fn chunk(&self, delta: &Value, finish_reason: Value) -> String {
        self.chunk_with(delta, &Value::Null, finish_reason)
    }

    fn chunk_with(&self, delta: &Value, logprobs: &Value, finish_reason: Value) -> String {
        let choice =
            json!({"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason});
        self.envelope.chunk(&choice)
    }
}
