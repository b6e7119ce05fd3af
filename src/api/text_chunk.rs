//! Chunks of a streamed continuation: `text_completion` objects.

use super::envelope::Envelope;
use crate::call::{AnswerToken, Continuation, End, openai::Usage, text_logprobs};
use serde_json::{Value, json};

/// Writer of the chunks of one continuation.
#[derive(Clone, Debug)]
pub struct TextChunks {
    envelope: Envelope,
    /// Characters in the tokens so far.
    offset: usize,
}

impl TextChunks {
    /// Chunks of an answer with this id (without its prefix), by `model`; `created` is in Unix seconds.
    pub fn new(id: &str, created: u64, model: &str, include_usage: bool) -> TextChunks {
        let (object, model) = ("text_completion", model.to_owned());
        let envelope = Envelope { id: format!("cmpl-{id}"), object, created, model, include_usage };
        TextChunks { envelope, offset: 0 }
    }

    /// A chunk with a piece of the text, and the log probabilities of `tokens` if they have some.
    pub fn text(&mut self, text: &str, tokens: &[AnswerToken]) -> String {
        let logprobs = text_logprobs(tokens, self.offset);
        self.offset += tokens.iter().map(AnswerToken::characters).sum::<usize>();
        self.chunk(text, logprobs, Value::Null)
    }

    /// The last chunks: why the answer ended, and the token counts if they were asked for.
    pub fn last(&self, made: &Continuation) -> Vec<String> {
        let end = self.chunk("", Value::Null, finish_reason(made.end).into());
        self.envelope.last(end, Usage::new(&made.timings))
    }

    fn chunk(&self, text: &str, logprobs: Value, finish_reason: Value) -> String {
        let choice = json!({"text": text, "index": 0, "logprobs": logprobs, "finish_reason": finish_reason});
        self.envelope.chunk(&choice)
    }
}

/// OpenAI's `finish_reason` of a continuation.
pub(super) fn finish_reason(end: End) -> &'static str {
    if end == End::Complete { "stop" } else { "length" }
}
