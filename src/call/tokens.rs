//! The tokens of an answer, with their sources and log probabilities.

use crate::runtime::{TokenSource, TracedToken, Vocabulary};
use serde_json::{Map, Value, json};
use std::{cell::RefCell, fmt::Write};

/// The log probability that stands for one too small to be a number of JSON, as OpenAI has it.
const LEAST_LOGPROB: f32 = -9999.0;

/// A token of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerToken {
    /// The token's id.
    pub token: i32,
    /// Bytes of the text; one token alone need not be valid UTF-8.
    pub bytes: Vec<u8>,
    /// Source of the token.
    pub source: TokenSource,
    /// Natural logarithm of the probability that the model gave it, among all tokens; `None` if that was not asked for.
    pub logprob: Option<f32>,
    /// The likeliest tokens in its place, each with bytes and log probability, the likeliest first.
    pub top: Vec<(Vec<u8>, f32)>,
}

impl AnswerToken {
    fn new(vocabulary: &Vocabulary, traced: &TracedToken) -> AnswerToken {
        let score = traced.score.as_ref();
        let top = score.into_iter().flat_map(|score| &score.top);
        AnswerToken {
            token: traced.token,
            bytes: vocabulary.piece(traced.token),
            source: traced.source,
            logprob: score.map(|score| score.logprob),
            top: top.map(|&(token, logprob)| (vocabulary.piece(token), logprob)).collect(),
        }
    }

    /// Number of characters that begin in it.
    pub fn characters(&self) -> usize {
        self.bytes.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
    }

    fn logprob(&self) -> f32 {
        self.logprob.unwrap_or(LEAST_LOGPROB)
    }
}

/// The tokens of a text, taken one after the other while it grows.
pub(super) struct TokenFeed<'f> {
    trace: &'f RefCell<Vec<TracedToken>>,
    vocabulary: &'f Vocabulary,
    /// Bytes at the beginning of the text that are not part of the answer.
    before: usize,
    /// Tokens taken, and their bytes.
    taken: usize,
    bytes: usize,
}

impl<'f> TokenFeed<'f> {
    /// The tokens of `trace` behind the first `before` bytes.
    pub fn new(
        trace: &'f RefCell<Vec<TracedToken>>,
        vocabulary: &'f Vocabulary,
        before: usize,
    ) -> TokenFeed<'f> {
        TokenFeed { trace, vocabulary, before, taken: 0, bytes: 0 }
    }

    /// The next tokens, as far as they begin in the first `end` bytes of the text.
    pub fn up_to(&mut self, end: usize) -> Vec<AnswerToken> {
        let trace = self.trace.borrow();
        let mut tokens = Vec::new();
        while let Some(traced) = trace.get(self.taken).filter(|_| self.bytes < end) {
            let token = AnswerToken::new(self.vocabulary, traced);
            self.taken += 1;
            self.bytes += token.bytes.len();
            if self.bytes > self.before {
                tokens.push(token);
            }
        }
        tokens
    }
}

/// Offset in `whole` of the end of `part`, which is a part of it.
pub(super) fn end_in(part: &str, whole: &[u8]) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize) + part.len()
}

/// OpenAI's `logprobs` of a chat completion; null if no token has a log probability.
pub fn chat_logprobs(tokens: &[AnswerToken]) -> Value {
    if tokens.iter().all(|token| token.logprob.is_none()) {
        return Value::Null;
    }
    let entry = |bytes: &[u8], logprob: f32| json!({"token": String::from_utf8_lossy(bytes), "logprob": finite(logprob), "bytes": bytes});
    let content = tokens.iter().map(|token| {
        let mut shown = entry(&token.bytes, token.logprob());
        shown["top_logprobs"] = token.top.iter().map(|(bytes, logprob)| entry(bytes, *logprob)).collect();
        shown
    });
    json!({"content": content.collect::<Vec<_>>(), "refusal": null})
}

/// OpenAI's `logprobs` of the older completions, for a text that begins with `tokens` after `offset` characters; null if no
/// token has a log probability.
pub fn text_logprobs(tokens: &[AnswerToken], offset: usize) -> Value {
    if tokens.iter().all(|token| token.logprob.is_none()) {
        return Value::Null;
    }
    let mut offsets = Vec::new();
    let mut at = offset;
    for token in tokens {
        offsets.push(at);
        at += token.characters();
    }
    let top = tokens.iter().map(|token| {
        let own = (token.bytes.clone(), token.logprob());
        let mut top = Map::new();
        for (bytes, logprob) in token.top.iter().chain([&own]) {
            top.entry(key(bytes)).or_insert_with(|| json!(finite(*logprob)));
        }
        Value::Object(top)
    });
    let has_top = tokens.iter().any(|token| !token.top.is_empty());
    json!({
        "tokens": tokens.iter().map(|token| key(&token.bytes)).collect::<Vec<_>>(),
        "token_logprobs": tokens.iter().map(|token| finite(token.logprob())).collect::<Vec<_>>(),
        "top_logprobs": if has_top { top.collect() } else { Value::Null },
        "text_offset": offsets,
    })
}

/// Tokens as text with their sources: `{"text", "source"}`.
pub fn sources(tokens: &[AnswerToken]) -> Value {
    let token = |token: &AnswerToken| json!({"text": key(&token.bytes), "source": token.source});
    tokens.iter().map(token).collect()
}

/// The text of a token; of one that ends within a character, its bytes in OpenAI's notation.
fn key(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().fold("bytes:".to_owned(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
            text
        }),
    }
}

fn finite(logprob: f32) -> f32 {
    logprob.max(LEAST_LOGPROB)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(bytes: &[u8], logprob: f32, top: &[(&[u8], f32)]) -> AnswerToken {
        let top = top.iter().map(|(bytes, logprob)| (bytes.to_vec(), *logprob)).collect();
        AnswerToken {
            token: 0,
            bytes: bytes.to_vec(),
            source: TokenSource::Model,
            logprob: Some(logprob),
            top,
        }
    }

    #[test]
    fn both_forms_of_openai_hold_the_same_numbers() {
        let tokens = [
            token("é".as_bytes(), -0.5, &[("é".as_bytes(), -0.5), (b"a", -1.0)]),
            token(&[0xf0, 0x9f], f32::NEG_INFINITY, &[(b"b", -0.25)]),
            token(&[0x98, 0x80], -2.0, &[(b"c", -0.125)]),
        ];
        let chat = chat_logprobs(&tokens);
        assert_eq!(
            chat["content"][0],
            json!({"token": "é", "logprob": -0.5, "bytes": [195, 169], "top_logprobs": [
                {"token": "é", "logprob": -0.5, "bytes": [195, 169]}, {"token": "a", "logprob": -1.0, "bytes": [97]}]})
        );
        assert_eq!(chat["content"][1]["logprob"], json!(-9999.0));
        assert_eq!(
            text_logprobs(&tokens, 3),
            json!({
                "tokens": ["é", "bytes:\\xf0\\x9f", "bytes:\\x98\\x80"], "token_logprobs": [-0.5, -9999.0, -2.0],
                "top_logprobs": [{"é": -0.5, "a": -1.0}, {"b": -0.25, "bytes:\\xf0\\x9f": -9999.0},
                    {"c": -0.125, "bytes:\\x98\\x80": -2.0}],
                "text_offset": [3, 4, 5],
            })
        );
        assert_eq!((chat_logprobs(&[]), text_logprobs(&[], 0)), (Value::Null, Value::Null));
    }

    #[test]
    fn the_end_of_a_part_is_counted_in_the_whole() {
        let whole = "  text <".as_bytes();
        let text = std::str::from_utf8(whole).unwrap();
        assert_eq!(end_in(text.trim(), whole), 8);
        assert_eq!(end_in(text.trim_start().strip_suffix(" <").unwrap(), whole), 6);
    }
}
