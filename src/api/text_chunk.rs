//! Chunks of a streamed continuation: `text_completion` objects.

use crate::{
    call::{AnswerToken, Continuation, End, openai::Usage, text_logprobs},
    json,
};
use serde_json::{Value, json};

/// Writer of the chunks of one continuation.
#[derive(Clone, Debug)]
pub struct TextChunks {
    id: String,
    created: u64,
    model: String,
    include_usage: bool,
    /// Characters in the tokens so far.
    offset: usize,
}

impl TextChunks {
    /// Chunks of an answer with this id (without its prefix), by `model`; `created` is in Unix seconds.
    pub fn new(id: &str, created: u64, model: &str, include_usage: bool) -> TextChunks {
        TextChunks { id: id.to_owned(), created, model: model.to_owned(), include_usage, offset: 0 }
    }

    /// A chunk with a piece of the text, and the log probabilities of `tokens` if they have some.
    pub fn text(&mut self, text: &str, tokens: &[AnswerToken]) -> String {
        let logprobs = text_logprobs(tokens, self.offset);
        self.offset += tokens.iter().map(AnswerToken::characters).sum::<usize>();
        self.chunk(text, logprobs, Value::Null)
    }

    /// The last chunks: why the answer ended, and the token counts if they were asked for.
    pub fn last(&self, made: &Continuation) -> Vec<String> {
        let mut chunks = vec![self.chunk("", Value::Null, finish_reason(made.end).into())];
        if self.include_usage {
            let mut usage = self.object(json!([]));
            usage["usage"] = serde_json::to_value(Usage::new(&made.timings)).unwrap_or_default();
            chunks.push(json::spaced(&usage));
        }
        chunks
    }

    fn chunk(&self, text: &str, logprobs: Value, finish_reason: Value) -> String {
        let choice = json!({"text": text, "index": 0, "logprobs": logprobs, "finish_reason": finish_reason});
        let mut chunk = self.object(json!([choice]));
        if self.include_usage {
            chunk["usage"] = Value::Null;
        }
        json::spaced(&chunk)
    }

    fn object(&self, choices: Value) -> Value {
        json!({
            "id": format!("cmpl-{}", self.id), "object": "text_completion", "created": self.created,
            "model": self.model, "choices": choices,
        })
    }
}

/// OpenAI's `finish_reason` of a continuation.
pub(super) fn finish_reason(end: End) -> &'static str {
    if end == End::Complete { "stop" } else { "length" }
}
