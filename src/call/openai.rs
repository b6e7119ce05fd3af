//! An answer as a `chat.completion` object of OpenAI's API.

use super::{Answer, End};
use crate::tools::ToolCall;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// A `chat.completion` object.
#[derive(Clone, Debug, Serialize)]
pub struct ChatCompletion {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    choices: [Choice; 1],
    usage: Usage,
}

#[derive(Clone, Debug, Serialize)]
struct Choice {
    index: u32,
    message: Message,
    logprobs: Option<()>,
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

#[derive(Clone, Debug, Serialize)]
struct Usage {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
}

impl ChatCompletion {
    /// Builds the object for `answer` by `model`; `created` is in Unix seconds.
    pub fn new(answer: &Answer, model: impl Into<String>, created: u64) -> ChatCompletion {
        let (prompt_tokens, completion_tokens) =
            (answer.timings.prompt_tokens, answer.timings.generated_tokens);
        let message = Message {
            role: "assistant",
            content: answer.content.clone(),
            reasoning_content: answer.reasoning.clone().filter(|text| !text.is_empty()),
            tool_calls: answer.calls.iter().enumerate().map(|(i, call)| entry(&answer.id, i, call)).collect(),
        };
        let finish_reason = match answer.end {
            End::CutOff => "length",
            End::Complete if !answer.calls.is_empty() => "tool_calls",
            End::Complete => "stop",
        };
        ChatCompletion {
            id: format!("chatcmpl-{}", answer.id),
            object: "chat.completion",
            created,
            model: model.into(),
            choices: [Choice { index: 0, message, logprobs: None, finish_reason }],
            usage: Usage {
                prompt_tokens,
                completion_tokens,
                total_tokens: prompt_tokens + completion_tokens,
            },
        }
    }
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
fn call_id(answer: &str, nth: usize) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let hash = Sha256::digest(format!("{answer} {nth}"));
    hash[..9].iter().map(|byte| char::from(DIGITS[usize::from(*byte) % DIGITS.len()])).collect()
}
