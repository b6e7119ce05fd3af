//! Requests to a server, and its replies.

use super::{count, prompts::Prompt};
use crate::{
    bench::{
        Result,
        data::{Case, Dataset, json::quoted},
    },
    hash::hex,
    http::{Client, Error},
    json::spaced,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Tags of a call that the server must not remove from the text.
const MARKS: [&str; 2] = ["<tool_call>", "</tool_call>"];

/// Request fields that are not in OpenAI's API; a server that accepts only that API refuses them.
const EXTENSIONS: [&str; 6] = [
    "skip_special_tokens",
    "spaces_between_special_tokens",
    "preserved_tokens",
    "repetition_penalty",
    "repeat_penalty",
    "chat_template_kwargs",
];

/// A request for one answer.
pub(super) struct Request {
    path: &'static str,
    body: Value,
    ends: Vec<String>,
    /// SHA-256 in hex: of the prompt, or of messages and tools where the server renders the prompt.
    pub(super) sha256: String,
    /// Lengths of the prompt's parts, as in [`Prompt::parts`].
    parts: Vec<usize>,
}

/// The server's reply to one request.
pub(super) struct Reply {
    pub(super) text: String,
    pub(super) finish: String,
    pub(super) prompt_tokens: usize,
    pub(super) computed_tokens: usize,
    pub(super) generated_tokens: usize,
    pub(super) seconds: f64,
}

impl Request {
    /// Request for `/completions` with a prompt rendered here.
    pub(super) fn completion(model: &str, prompt: Prompt, max_tokens: usize, ends: &[String]) -> Request {
        let Prompt { sent, sha256, parts } = prompt;
        let mut body = greedy(model, max_tokens);
        body["prompt"] = sent.into();
        body["stop"] = json!(ends);
        // The first two fields make vLLM keep the tags in the text, the third does so in llama-server.
        body["skip_special_tokens"] = false.into();
        body["spaces_between_special_tokens"] = false.into();
        body["preserved_tokens"] = json!(MARKS);
        Request { path: "/completions", body, ends: ends.to_vec(), sha256, parts }
    }

    /// Request for `/chat/completions` with messages and tools.
    pub(super) fn chat(model: &str, dataset: &Dataset, case: &Case, max_tokens: usize) -> Request {
        let messages = Value::Array(messages(dataset, case));
        let tools = Value::Array(case.tools().sources());
        let sha256 = hex(&Sha256::digest(format!("{}\0{}", spaced(&messages), spaced(&tools))));
        let mut body = greedy(model, max_tokens);
        body["messages"] = messages;
        body["tools"] = tools;
        body["tool_choice"] = "auto".into();
        body["chat_template_kwargs"] = json!({"enable_thinking": false});
        Request { path: "/chat/completions", body, ends: Vec::new(), sha256, parts: Vec::new() }
    }

    /// Parts of the prompt that are to be tokenized apart; none if its text can be sent as it is.
    pub(super) fn parts(&self) -> Vec<&str> {
        let mut rest = self.body["prompt"].as_str().unwrap_or_default();
        let mut parts = Vec::new();
        for &length in &self.parts {
            let (part, behind) = rest.split_at(length);
            parts.push(part);
            rest = behind;
        }
        parts
    }

    /// Sends `tokens` as the prompt.
    pub(super) fn with_tokens(mut self, tokens: Vec<u64>) -> Request {
        self.body["prompt"] = tokens.into();
        self.parts = Vec::new();
        self
    }

    /// Sends the request and reads the reply. If `plain` is true, the fields in [`EXTENSIONS`] are left out; it becomes
    /// true when the server refuses one of them by name, and the request is then sent again.
    pub(super) fn send(&mut self, client: &Client, plain: &mut bool) -> Result<Reply> {
        let strip = |body: &mut Value| {
            body.as_object_mut()
                .into_iter()
                .for_each(|fields| fields.retain(|key, _| !EXTENSIONS.contains(&&**key)));
        };
        if *plain {
            strip(&mut self.body);
        }
        let reply = match client.post(self.path, &self.body) {
            Err(Error::Status { status: 400 | 422, said, .. })
                if !*plain && EXTENSIONS.iter().any(|field| said.contains(field)) =>
            {
                *plain = true;
                strip(&mut self.body);
                client.post(self.path, &self.body)?
            }
            reply => reply?,
        };
        let incomplete = |missing| Error::Incomplete {
            url: format!("{}{}", client.base(), self.path),
            missing,
            begins: reply.json.to_string().chars().take(200).collect(),
        };
        let choice = &reply.json["choices"][0];
        let text = match self.path {
            "/completions" => {
                let text = choice["text"].as_str().ok_or_else(|| incomplete("`choices[0].text`"))?;
                let end = self.ends.iter().find_map(|end| text.strip_suffix(end.as_str()));
                end.unwrap_or(text).to_owned()
            }
            _ => {
                let message = choice["message"].as_object();
                message_text(message.ok_or_else(|| incomplete("`choices[0].message`"))?)
            }
        };
        let usage = &reply.json["usage"];
        let prompt_tokens = count(&usage["prompt_tokens"]);
        Ok(Reply {
            text,
            finish: match choice["finish_reason"].as_str() {
                Some("stop" | "tool_calls") => "stop".into(),
                Some("length") => "budget".into(),
                other => other.unwrap_or("unknown").to_owned(),
            },
            prompt_tokens,
            computed_tokens: prompt_tokens
                - count(&usage["prompt_tokens_details"]["cached_tokens"]).min(prompt_tokens),
            generated_tokens: count(&usage["completion_tokens"]),
            seconds: reply.seconds,
        })
    }
}

/// Request fields for greedy decoding; they override defaults of the server and of the model.
fn greedy(model: &str, max_tokens: usize) -> Value {
    json!({
        "model": model,
        "max_tokens": max_tokens,
        "temperature": 0,
        "top_p": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        // Names of the same penalty in vLLM, which takes its default from generation_config.json, and in llama-server.
        "repetition_penalty": 1,
        "repeat_penalty": 1,
        "seed": 0,
        "stream": false,
    })
}

/// Messages of a case in OpenAI's format: arguments are strings, and every call has an id.
fn messages(dataset: &Dataset, case: &Case) -> Vec<Value> {
    let conversation = dataset.conversation(case);
    let message = |(i, message): (usize, &crate::chat::Message)| {
        let mut fields = message.fields().clone();
        if let Some(Value::Array(calls)) = fields.get_mut("tool_calls") {
            for (j, call) in calls.iter_mut().enumerate() {
                let arguments = &mut call["function"]["arguments"];
                if !arguments.is_string() {
                    *arguments = spaced(arguments).into();
                }
                if !call["id"].is_string() {
                    call["id"] = format!("call_{i}_{j}").into();
                }
                call["type"] = "function".into();
            }
        }
        Value::Object(fields)
    };
    conversation.messages.iter().enumerate().map(message).collect()
}

/// Text of a message, followed by its tool calls written as `<tool_call>` blocks.
fn message_text(message: &serde_json::Map<String, Value>) -> String {
    let content = message.get("content").and_then(Value::as_str).unwrap_or_default();
    let call = |call: &Value| {
        let function = &call["function"];
        let name = function["name"].as_str().map_or("null".into(), quoted);
        let arguments = match &function["arguments"] {
            Value::Null => "{}".into(),
            // A string without an object is kept as a string, so that it is rejected as arguments later.
            Value::String(text) => match serde_json::from_str::<Value>(text) {
                // The original text, since a parsed number may be written in another way.
                Ok(Value::Object(_)) => text.clone(),
                _ => quoted(text),
            },
            other => spaced(other),
        };
        format!("<tool_call>\n{{\"name\": {name}, \"arguments\": {arguments}}}\n</tool_call>")
    };
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten().map(call);
    let parts: Vec<String> =
        std::iter::once(content.to_owned()).filter(|content| !content.is_empty()).chain(calls).collect();
    parts.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::data::{Call, CallError};

    fn read(message: Value) -> Result<Call, CallError> {
        Call::parse(&message_text(message.as_object().unwrap()))
    }

    #[test]
    fn calls_of_a_message_are_read_as_those_of_a_model() {
        let call = |arguments: Value| json!({"function": {"name": "find", "arguments": arguments}});
        let found = read(json!({"content": null, "tool_calls": [call(json!("{\"n\": 2.0}"))]})).unwrap();
        assert_eq!(
            found,
            read(json!({"tool_calls": [call(json!({"n": 2.0}))], "content": "Let me see."})).unwrap()
        );
        assert_eq!(read(json!({"content": "Hello!"})), Err(CallError::NoJson));
        assert_eq!(read(json!({"content": null})), Err(CallError::Empty));
        let twice = json!({"tool_calls": [call(json!("{}")), call(json!("{}"))]});
        assert_eq!(read(twice), Err(CallError::SeveralCalls));
        for broken in ["{\"n\": ", "[1]", ""] {
            let message = json!({"tool_calls": [call(json!(broken))]});
            assert_eq!(read(message), Err(CallError::ArgumentsNotAnObject), "{broken}");
        }
        assert_eq!(read(json!({"tool_calls": [{"function": {}}]})), Err(CallError::NoName));
        assert!(read(json!({"tool_calls": [call(Value::Null)]})).unwrap().arguments.is_empty());
    }
}
