//! Requests of the older API that continue a text: `POST /v1/completions`.

use super::{
    ApiError, Defaults, Result, Streaming, body::streaming, request::settings, text_chunk::finish_reason,
};
use crate::{
    call::{
        self, Continuation, RequestFields, Settings, StopStrings, openai::Usage, text_logprobs, top_logprobs,
    },
    json,
    runtime::{TokenDetail, Vocabulary},
};
use serde_json::{Map, Value, json};

/// A request for the continuation of a prompt.
#[derive(Clone, Debug)]
pub struct CompletionRequest {
    /// The prompt.
    pub prompt: TextPrompt,
    /// Sampling, token budget, context.
    pub settings: Settings,
    /// Strings that end the text before them.
    pub stop: StopStrings,
    /// Form of the reply.
    pub streaming: Streaming,
}

/// A prompt that is not rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextPrompt {
    /// Text, in which special tokens are recognized.
    Text(String),
    /// Token ids.
    Tokens(Vec<i32>),
}

impl CompletionRequest {
    /// Reads the body of a request; `defaults` fill in what it leaves open.
    ///
    /// # Errors
    /// A body that is no JSON object or has no prompt, and fields that cannot be held.
    pub fn read(bytes: &[u8], defaults: &Defaults) -> Result<CompletionRequest> {
        let text = json::text(bytes).map_err(|error| ApiError::invalid(format!("the body is {error}")))?;
        let mut body = match json::input::parse(text) {
            Ok(Value::Object(body)) => body,
            Ok(_) => return Err(ApiError::invalid("the body is no JSON object")),
            Err(error) => return Err(ApiError::invalid(format!("the body is not valid JSON: {error}"))),
        };
        body.retain(|_, value| !value.is_null());
        let streaming = streaming(&mut body)?;
        let (mut known, mut unknown) = (Map::new(), Vec::new());
        let (mut prompt, mut logprobs, names) = (None, None, RequestFields::names());
        for (name, value) in body {
            match name.as_str() {
                "prompt" => prompt = Some(read_prompt(value)?),
                "skip_special_tokens" if value != false => {
                    return Err(ApiError::field(
                        "skip_special_tokens",
                        "must be false: they are part of the text",
                    ));
                }
                "logprobs" => logprobs = Some(top_logprobs("logprobs", &value)?),
                name if names.contains(&name) => drop(known.insert(name.to_owned(), value)),
                _ => unknown.push(name),
            }
        }
        let prompt = prompt.ok_or_else(|| ApiError::field("prompt", "is missing"))?;
        let fields = RequestFields::read(&known, &unknown)?;
        if fields.schema.is_some() || fields.choice.is_some() || fields.functions.is_some() {
            let problem = "cannot be held for a prompt that is not rendered; ask for a chat completion";
            return Err(ApiError::field("response_format", problem));
        }
        let mut settings = settings(&fields, defaults.settings.clone());
        settings.detail = logprobs.map_or(settings.detail, TokenDetail::Logprobs);
        Ok(CompletionRequest { prompt, settings, stop: fields.stop.unwrap_or_default(), streaming })
    }

    /// The tokens of the prompt.
    ///
    /// # Errors
    /// Ids that the vocabulary does not have, and text that cannot be tokenized.
    pub fn tokens(&self, vocabulary: &Vocabulary) -> Result<Vec<i32>> {
        let tokens = match &self.prompt {
            TextPrompt::Text(text) => call::tokenize(vocabulary, text)?,
            TextPrompt::Tokens(tokens) => tokens.clone(),
        };
        let is_known = |&token: &i32| usize::try_from(token).is_ok_and(|id| id < vocabulary.n_vocab());
        match tokens.iter().find(|token| !is_known(token)) {
            Some(token) => {
                Err(ApiError::field("prompt", format!("has the token {token}, which the model lacks")))
            }
            None if tokens.is_empty() => Err(ApiError::field("prompt", "is empty")),
            None => Ok(tokens),
        }
    }
}

/// A text, or token ids; either may stand alone in a list.
fn read_prompt(value: Value) -> Result<TextPrompt> {
    let wrong = || ApiError::field("prompt", "is neither one text nor one list of token ids");
    match value {
        Value::String(text) => Ok(TextPrompt::Text(text)),
        Value::Array(mut items) if items.len() == 1 && !items[0].is_number() => {
            items.pop().map_or_else(|| Err(wrong()), read_prompt)
        }
        Value::Array(items) => {
            let id = |item: &Value| item.as_i64().and_then(|id| i32::try_from(id).ok());
            items.iter().map(id).collect::<Option<_>>().map(TextPrompt::Tokens).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

/// The object of an answer: a `text_completion`.
pub fn text_completion(answer: &Continuation, id: &str, created: u64, model: &str) -> Value {
    let finish_reason = finish_reason(answer.end);
    json!({
        "id": format!("cmpl-{id}"), "object": "text_completion", "created": created, "model": model,
        "choices": [{
            "text": answer.text, "index": 0, "logprobs": text_logprobs(&answer.tokens, 0), "finish_reason": finish_reason,
        }],
        "usage": Usage::new(&answer.timings),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: Value) -> Result<CompletionRequest> {
        CompletionRequest::read(body.to_string().as_bytes(), &Defaults::default())
    }

    #[test]
    fn a_prompt_is_a_text_or_a_list_of_tokens() {
        let prompt = |value: Value| read(json!({"prompt": value})).map(|request| request.prompt);
        assert_eq!(prompt(json!("a")).unwrap(), TextPrompt::Text("a".into()));
        assert_eq!(prompt(json!(["a"])).unwrap(), TextPrompt::Text("a".into()));
        assert_eq!(prompt(json!([1, 2])).unwrap(), TextPrompt::Tokens(vec![1, 2]));
        assert_eq!(prompt(json!([[3]])).unwrap(), TextPrompt::Tokens(vec![3]));
        for wrong in [json!(["a", "b"]), json!([1, "a"]), json!({}), json!([[1], [2]]), json!([1u64 << 40])] {
            assert_eq!(prompt(wrong.clone()).unwrap_err().param.as_deref(), Some("prompt"), "{wrong}");
        }
    }

    #[test]
    fn what_another_edgecall_asks_is_taken_and_what_changes_the_text_is_refused() {
        let bench = json!({"model": "m", "max_tokens": 9, "temperature": 0, "top_p": 1, "presence_penalty": 0,
            "frequency_penalty": 0, "repetition_penalty": 1, "repeat_penalty": 1, "seed": 0, "stream": false,
            "prompt": "x", "stop": ["<|im_end|>"], "skip_special_tokens": false,
            "spaces_between_special_tokens": false, "preserved_tokens": ["<tool_call>"]});
        assert_eq!(read(bench).unwrap().settings.max_tokens, 9);
        for (field, value) in [
            ("stream", json!("yes")),
            ("logprobs", json!(true)),
            ("logprobs", json!(21)),
            ("top_logprobs", json!(1)),
            ("echo", json!(true)),
            ("suffix", json!("x")),
            ("skip_special_tokens", json!(true)),
        ] {
            let mut body = json!({"prompt": "x"});
            body[field] = value;
            assert_eq!(read(body).unwrap_err().param.as_deref(), Some(field));
        }
    }
}
