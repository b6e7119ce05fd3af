//! Errors in OpenAI's form, with their HTTP status.

use crate::{call, chat, json, kind::Kind, remedy::Remedy, runtime, tools};
use serde_json::{Value, json};
use std::error::Error;

/// Result of the functions that answer a request.
pub type Result<T, E = ApiError> = std::result::Result<T, E>;

/// A request that got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// OpenAI's `type`: a coarse class.
    pub class: &'static str,
    /// OpenAI's `code`: a fine class for programs.
    pub code: Option<&'static str>,
    /// Field of the request that is to blame.
    pub param: Option<String>,
    /// The problem, and what to do next.
    pub message: String,
    /// Text that the model had written.
    pub partial: Option<String>,
    /// Seconds after which the request may succeed.
    pub retry_after: Option<u32>,
}

impl ApiError {
    /// An error of the request (status 400).
    pub fn invalid(message: impl Into<String>) -> ApiError {
        ApiError::new(400, "invalid_request_error", message)
    }

    /// An error of the request's field `param` (status 400).
    pub fn field(param: &str, problem: impl AsRef<str>) -> ApiError {
        let message = format!("the request's `{param}` {}", problem.as_ref());
        ApiError { param: Some(param.to_owned()), ..ApiError::invalid(message) }
    }

    /// An error with this status and class.
    pub fn new(status: u16, class: &'static str, message: impl Into<String>) -> ApiError {
        ApiError {
            status,
            class,
            code: None,
            param: None,
            message: message.into(),
            partial: None,
            retry_after: None,
        }
    }

    /// The same with a code.
    pub fn with_code(self, code: &'static str) -> ApiError {
        ApiError { code: Some(code), ..self }
    }

    /// The same, to be tried again after `seconds`.
    pub fn after(self, seconds: u32) -> ApiError {
        ApiError { retry_after: Some(seconds), ..self }
    }

    /// OpenAI's error object.
    pub fn to_value(&self) -> Value {
        let mut error = json!({
            "message": self.message, "type": self.class, "param": self.param, "code": self.code,
        });
        if let Some(partial) = &self.partial {
            error["partial"] = partial.as_str().into();
        }
        json!({"error": error})
    }

    /// The object as text.
    pub fn to_json(&self) -> String {
        json::spaced(&self.to_value())
    }
}

impl From<call::Error> for ApiError {
    fn from(error: call::Error) -> ApiError {
        let message = with_causes(&error) + &advice(&error.remedies());
        match &error {
            call::Error::Field { field, .. } => {
                ApiError { param: Some(field.clone()), ..ApiError::invalid(message) }
            }
            call::Error::TextTooLong { .. }
            | call::Error::PromptTooLong { .. }
            | call::Error::Runtime(runtime::Error::PromptTooLong { .. }) => {
                ApiError { param: Some("messages".into()), ..ApiError::invalid(message) }
                    .with_code("context_length_exceeded")
            }
            // Trying again would need as much.
            call::Error::Memory(_) | call::Error::AddressSpace(_) => {
                ApiError::invalid(message).with_code("insufficient_memory")
            }
            call::Error::Unsatisfied { .. } | call::Error::Invalid { .. } => {
                let partial = error.partial().map(str::to_owned);
                let error = ApiError::new(422, "no_valid_answer", message).with_code("no_valid_answer");
                ApiError { partial, ..error }
            }
            call::Error::Tools(_) => ApiError { param: Some("tools".into()), ..ApiError::invalid(message) },
            call::Error::Chat(_) => ApiError { param: Some("messages".into()), ..ApiError::invalid(message) },
            _ => ApiError::of_kind(error.kind(), message),
        }
    }
}

impl ApiError {
    /// The error for an error of this class.
    fn of_kind(kind: Kind, message: String) -> ApiError {
        match kind {
            Kind::Usage | Kind::Data => ApiError::invalid(message),
            Kind::Negative => ApiError::new(422, "no_valid_answer", message).with_code("no_valid_answer"),
            Kind::Interrupted | Kind::Unavailable => ApiError::new(503, "server_error", message),
            Kind::NoInput | Kind::Bug | Kind::CannotCreate | Kind::Io => {
                ApiError::new(500, "server_error", message)
            }
        }
    }
}

impl From<chat::Error> for ApiError {
    fn from(error: chat::Error) -> ApiError {
        call::Error::from(error).into()
    }
}

impl From<tools::Error> for ApiError {
    fn from(error: tools::Error) -> ApiError {
        call::Error::from(error).into()
    }
}

/// The message of an error with those of its causes.
fn with_causes(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        let message = error.to_string();
        // Transparent errors repeat their source.
        if !text.ends_with(&message) {
            text += ": ";
            text += &message;
        }
        cause = error.source();
    }
    text
}

/// Remedies in terms of a request.
fn advice(remedies: &[Remedy]) -> String {
    let field = |remedy: &Remedy| match remedy {
        Remedy::MoreTokens => Some("allow more with `max_tokens`".to_owned()),
        Remedy::ShorterAnswer(most) => Some(format!("a `max_tokens` of {most} would fit")),
        _ => None,
    };
    remedies.iter().filter_map(field).fold(String::new(), |text, advice| text + "; " + &advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_which_field_is_to_blame_and_what_to_do() {
        let error = call::Error::Field { field: "n".into(), problem: "is 2; one answer is made".into() };
        let error = ApiError::from(error);
        assert_eq!((error.status, error.param.as_deref()), (400, Some("n")));
        let value = error.to_value();
        assert_eq!(value["error"]["type"], "invalid_request_error");
        assert_eq!(value["error"]["message"], "the request's `n` is 2; one answer is made");
        assert!(value["error"]["code"].is_null());
    }

    #[test]
    fn causes_stand_behind_the_message_once() {
        let error = chat::Error::Json { source: serde_json::from_str::<Value>("{").unwrap_err() };
        let message = ApiError::from(error).message;
        assert!(message.starts_with("the messages are not valid JSON: EOF"), "{message}");
        assert_eq!(message.matches("EOF").count(), 1, "{message}");
    }
}
