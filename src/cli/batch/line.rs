//! A line of a batch, and the line of its answer.

use edgecall::{
    Kind,
    api::ApiError,
    call::{self, Answer, openai::ChatCompletion},
    json,
};
use serde_json::{Map, Value, json, value::RawValue};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Reason why a line got no answer.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its class.
    pub kind: Kind,
    status: u16,
    code: &'static str,
    /// The problem.
    pub message: String,
    /// Text that the model had written.
    partial: Option<String>,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Failure {
        let code = error.code.unwrap_or(error.class);
        Failure { kind: Kind::Data, status: error.status, code, message: error.message, partial: None }
    }
}

impl From<call::Error> for Failure {
    fn from(error: call::Error) -> Failure {
        let (kind, partial) = (error.kind(), error.partial().map(str::to_owned));
        Failure { kind, partial, ..Failure::from(ApiError::from(error)) }
    }
}

/// Form of a line.
enum Form {
    /// An id, and the fields of a request beside it.
    Plain,
    /// OpenAI's `custom_id` and `body`.
    Openai,
}

/// A request.
pub struct Line {
    form: Form,
    /// The id as it is written; null if there is none.
    id: Value,
    body: Result<String, Failure>,
}

impl Line {
    /// Reads a line; what is wrong with it shows when its body is used.
    pub fn read(line: &[u8]) -> Line {
        let fields = match json::text(line) {
            Err(error) => Err(format!("the line is {error}")),
            Ok(text) => serde_json::from_str::<BTreeMap<String, &RawValue>>(text)
                .map_err(|error| format!("the line is no JSON object: {error}")),
        };
        match fields {
            Ok(fields) => Line::from_fields(fields),
            Err(problem) => {
                Line { form: Form::Plain, id: Value::Null, body: Err(ApiError::invalid(problem).into()) }
            }
        }
    }

    fn from_fields(mut fields: BTreeMap<String, &RawValue>) -> Line {
        let value = |raw: &RawValue| serde_json::from_str(raw.get()).unwrap_or_default();
        if let (Some(id), Some(body)) = (fields.get("custom_id"), fields.get("body")) {
            let url = fields.get("url").map(|url| value(url));
            let body = match url {
                Some(url) if url != "/v1/chat/completions" => {
                    Err(ApiError::field("url", format!("is {url}; /v1/chat/completions can be answered"))
                        .into())
                }
                _ => Ok(body.get().to_owned()),
            };
            return Line { form: Form::Openai, id: value(id), body };
        }
        let id = fields.remove("id").map(value).unwrap_or_default();
        let Some(prompt) = fields.remove("prompt") else {
            return Line { form: Form::Plain, id, body: body(&fields) };
        };
        let content: Value = value(prompt);
        if fields.contains_key("messages") || !content.is_string() {
            let problem = "must be text, and stand in place of `messages`";
            return Line { form: Form::Plain, id, body: Err(ApiError::field("prompt", problem).into()) };
        }
        let messages = serde_json::value::to_raw_value(&json!([{"role": "user", "content": content}]));
        let body = match &messages {
            Ok(messages) => {
                let mut fields: BTreeMap<String, &RawValue> = fields;
                fields.insert("messages".into(), messages);
                body(&fields)
            }
            Err(error) => Err(ApiError::invalid(error.to_string()).into()),
        };
        Line { form: Form::Plain, id, body }
    }

    /// The body of the request.
    ///
    /// # Errors
    /// The problem of the line.
    pub fn body(&self) -> Result<&str, Failure> {
        self.body.as_deref().map_err(Failure::clone)
    }

    /// The id.
    pub fn id(&self) -> &Value {
        &self.id
    }

    /// The id for a message.
    pub fn id_text(&self) -> String {
        if self.id.is_null() { "without an id".to_owned() } else { self.id.to_string() }
    }

    /// The line of the answer by `model`, without a line feed.
    pub fn answer(&self, answer: &Result<Answer, Failure>, model: &str) -> String {
        match self.form {
            Form::Plain => self.plain(answer),
            Form::Openai => self.openai(answer, model),
        }
    }

    fn plain(&self, answer: &Result<Answer, Failure>) -> String {
        let mut line = Map::new();
        line.insert("id".into(), self.id.clone());
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => {
                let mut error = json!({"kind": failure.code, "message": failure.message});
                if let Some(partial) = &failure.partial {
                    error["partial"] = partial.as_str().into();
                }
                line.insert("error".into(), error);
                return json::spaced(&line);
            }
        };
        // Written as text: numbers of any length stay as they are.
        let id = json::spaced(&self.id);
        let mut parts = vec![format!("\"id\": {id}")];
        match answer.calls.as_slice() {
            [] => {}
            [call] => parts.push(format!("\"call\": {call}")),
            calls => {
                let calls: Vec<String> = calls.iter().map(ToString::to_string).collect();
                parts.push(format!("\"calls\": [{}]", calls.join(", ")));
            }
        }
        if let Some(text) = &answer.content {
            parts.push(format!("\"content\": {}", json::spaced(text)));
        }
        if let Some(reasoning) = answer.reasoning.as_deref().filter(|text| !text.is_empty()) {
            parts.push(format!("\"reasoning\": {}", json::spaced(&reasoning)));
        }
        if answer.end != call::End::Complete {
            parts.push("\"cut_off\": true".to_owned());
        }
        let timings = &answer.timings;
        let usage = json!({
            "prompt_tokens": timings.prompt_tokens,
            "cached_tokens": timings.restored_tokens + timings.kept_tokens,
            "generated_tokens": timings.generated_tokens,
        });
        parts.push(format!("\"usage\": {}", json::spaced(&usage)));
        let ms = |time: Duration| (time.as_secs_f64() * 1e4).round() / 10.0;
        let times = json!({
            "prefill_ms": ms(timings.restore + timings.prefill), "decode_ms": ms(timings.decode),
        });
        parts.push(format!("\"timings\": {}", json::spaced(&times)));
        format!("{{{}}}", parts.join(", "))
    }

    fn openai(&self, answer: &Result<Answer, Failure>, model: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (status, body) = match answer {
            Ok(answer) => (200, serde_json::to_value(ChatCompletion::created_at(answer, model, now))),
            Err(failure) => {
                let error = json!({"message": failure.message, "code": failure.code});
                (failure.status, Ok(json!({"error": error})))
            }
        };
        let response = json!({"status_code": status, "body": body.unwrap_or_default()});
        json::spaced(&json!({"custom_id": self.id, "response": response, "error": null}))
    }
}

/// The fields of a request as its body.
fn body(fields: &BTreeMap<String, &RawValue>) -> Result<String, Failure> {
    serde_json::to_string(fields).map_err(|error| ApiError::invalid(error.to_string()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_a_message_and_numbers_stay_as_they_are_written() {
        let line = Line::read(br#"{"id": {"a": [1]}, "prompt": "Hi", "tools": [{"x": 1e400}], "seed": 3}"#);
        assert_eq!(line.id(), &json!({"a": [1]}));
        let body = line.body().unwrap();
        assert!(body.contains(r#""messages":[{"role":"user","content":"Hi"}]"#), "{body}");
        assert!(body.contains("1e400") && !body.contains("prompt") && !body.contains("\"id\""), "{body}");
    }

    #[test]
    fn a_bad_line_is_an_error_line_with_its_id() {
        for (text, id) in [
            ("{", "null"),
            ("[1]", "null"),
            (r#"{"id": 7, "prompt": 3}"#, "7"),
            (r#"{"id": "a", "prompt": "x", "messages": []}"#, "\"a\""),
        ] {
            let line = Line::read(text.as_bytes());
            let failure = line.body().unwrap_err();
            let answer = line.answer(&Err(failure), "m");
            assert!(answer.starts_with(&format!("{{\"id\": {id}, \"error\": {{\"kind\"")), "{answer}");
        }
    }

    #[test]
    fn openais_form_is_answered_in_openais_form() {
        let text =
            r#"{"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"messages": []}}"#;
        let line = Line::read(text.as_bytes());
        let answer = line.answer(&Err(line.body().unwrap_err()), "m");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(
            (answer["custom_id"].as_str(), answer["response"]["status_code"].as_u64()),
            (Some("a"), Some(400))
        );
        let good = Line::read(br#"{"custom_id": "b", "body": {"messages": [], "x": 1}}"#);
        assert_eq!(good.body().unwrap(), r#"{"messages": [], "x": 1}"#);
    }
}
