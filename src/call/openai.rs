//! An answer as a `chat.completion` object of OpenAI's API.

use super::{Answer, Cut, End, Timings, chat_logprobs};
use crate::tools::ToolCall;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// A `chat.completion` object.
#[derive(Clone, Debug, Serialize)]
pub struct ChatCompletion {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    choices: [Choice; 1],
    usage: Usage,
    /// Not OpenAI's: why there is no answer, and details that the request asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    edgecall: Option<Map<String, Value>>,
}

#[derive(Clone, Debug, Serialize)]
struct Choice {
    index: u32,
    message: Message,
    logprobs: Value,
    finish_reason: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct Message {
    role: &'static str,
    content: Option<String>,
    // Not OpenAI's, but the name that llama-server, vLLM and the clients of both use.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
}

#[derive(Clone, Debug, Serialize)]
struct Call {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function,
}

#[derive(Clone, Debug, Serialize)]
struct Function {
    name: String,
    arguments: String,
}

/// Token counts of an answer.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Usage {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
    prompt_tokens_details: PromptTokens,
}

/// Details of a prompt's tokens.
#[derive(Clone, Copy, Debug, Serialize)]
struct PromptTokens {
    cached_tokens: usize,
}

impl Usage {
    /// The counts in `timings`.
    pub fn new(timings: &Timings) -> Usage {
        let Timings { prompt_tokens, generated_tokens: completion_tokens, .. } = *timings;
        let cached_tokens = timings.restored_tokens + timings.kept_tokens;
        Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
            prompt_tokens_details: PromptTokens { cached_tokens },
        }
    }
}

impl ChatCompletion {
    /// Builds the object for `answer` by `model`; `created` is in Unix seconds.
    pub fn new(answer: &Answer, model: impl Into<String>, created: u64) -> ChatCompletion {
        ChatCompletion::created_at(answer, model, Duration::from_secs(created))
    }

    /// Builds the object for `answer` by `model`; `created` is the time since 1970.
    ///
    /// The ids are hashes of the request, the answer and this time, so the same request answered twice gets two ids for
    /// a conversation that holds both.
    pub fn created_at(answer: &Answer, model: impl Into<String>, created: Duration) -> ChatCompletion {
        let id = id(&answer.id, created);
        let message = Message {
            role: "assistant",
            content: answer.content.clone(),
            reasoning_content: answer.reasoning.clone().filter(|text| !text.is_empty()),
            tool_calls: answer.calls.iter().enumerate().map(|(i, call)| entry(&id, i, call)).collect(),
        };
        let finish_reason = match answer.end {
            End::CutOff | End::Repetition => "length",
            End::Complete if !answer.calls.is_empty() => "tool_calls",
            End::Complete => "stop",
        };
        let usage = Usage::new(&answer.timings);
        let mut completion =
            ChatCompletion::with_message(&id, created, model.into(), (message, finish_reason), usage);
        completion.choices[0].logprobs = chat_logprobs(&answer.tokens);
        completion
    }

    /// Builds the object for an answer that was cut off before any of it could be used: no text and no call.
    pub fn cut_off(cut: &Cut, model: impl Into<String>, created: Duration) -> ChatCompletion {
        let message =
            Message { role: "assistant", content: None, reasoning_content: None, tool_calls: Vec::new() };
        let id = id(&cut.partial, created);
        ChatCompletion::with_message(
            &id,
            created,
            model.into(),
            (message, "length"),
            Usage::new(&cut.timings),
        )
    }

    fn with_message(
        id: &str,
        created: Duration,
        model: String,
        (message, finish_reason): (Message, &'static str),
        usage: Usage,
    ) -> ChatCompletion {
        ChatCompletion {
            id: format!("chatcmpl-{id}"),
            object: "chat.completion",
            created: created.as_secs(),
            model,
            choices: [Choice { index: 0, message, logprobs: Value::Null, finish_reason }],
            usage,
            edgecall: None,
        }
    }

    /// The object with the members of `note` in its field `edgecall`.
    pub fn with_note(mut self, note: Map<String, Value>) -> ChatCompletion {
        match &mut self.edgecall {
            Some(notes) => notes.extend(note),
            None => self.edgecall = Some(note),
        }
        self
    }

    /// OpenAI's `finish_reason`: `stop`, `tool_calls` or `length`.
    pub fn finish_reason(&self) -> &'static str {
        self.choices[0].finish_reason
    }

    /// Token counts.
    pub fn usage(&self) -> Usage {
        self.usage
    }
}

/// Id of the answer with this hash, made at this time.
fn id(answer: &str, created: Duration) -> String {
    let hash = Sha256::digest(format!("{answer} {}", created.as_nanos()));
    hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn entry(answer: &str, nth: usize, call: &ToolCall) -> Call {
    Call {
        id: call_id(answer, nth),
        kind: "function",
        function: Function { name: call.name().to_owned(), arguments: call.arguments_text().to_owned() },
    }
}

/// Call ids are nine letters and digits: Mistral's templates accept no others in a history, and the rest do
/// too.
pub(crate) fn call_id(answer: &str, nth: usize) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let hash = Sha256::digest(format!("{answer} {nth}"));
    hash[..9].iter().map(|byte| char::from(DIGITS[usize::from(*byte) % DIGITS.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_answers_of_two_times_have_two_ids_and_those_of_one_time_the_same() {
        let at = |nanos| id("answer", Duration::from_nanos(nanos));
        assert_eq!(at(7), at(7));
        assert_ne!(at(7), at(8));
        assert_ne!(id("another", Duration::ZERO), id("answer", Duration::ZERO));
        assert_ne!(call_id(&at(7), 0), call_id(&at(7), 1));
        assert_eq!(at(7).len(), 32);
    }
}
