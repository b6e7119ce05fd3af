//! Answers as HTTP responses.

use super::{
    events::Outcome,
    shared::{Shared, now},
};
use crate::{
    api::{ApiError, Result},
    call::openai::ChatCompletion,
    json,
};
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Serialize;
use serde_json::json;

/// Counts an answer, and makes a response of an error.
pub(super) fn counted(shared: &Shared, answered: Result<Response>) -> Response {
    match answered {
        Ok(response) => {
            shared.metrics.answered(200, "");
            response
        }
        Err(error) => {
            tracing::debug!(status = error.status, %error, "refused");
            shared.metrics.answered(error.status, error.code.unwrap_or(error.class));
            self::error(&error)
        }
    }
}

/// The error of a request whose answer was given up.
pub(super) fn given_up() -> ApiError {
    ApiError::new(503, "server_error", "the server ended before it could answer")
}

/// The object of an outcome.
///
/// # Errors
/// That of a failure.
pub(super) fn completion(outcome: &Outcome, model: &str) -> Result<ChatCompletion> {
    match outcome {
        Outcome::Answer(answer) => Ok(ChatCompletion::created_at(answer, model, now())),
        Outcome::CutOff { cut, reason, remedy } => {
            let note = [("error", json!(reason)), ("remedy", json!(remedy)), ("partial", json!(cut.partial))];
            let note = note.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
            Ok(ChatCompletion::cut_off(cut, model, now()).with_note(note))
        }
        Outcome::Failed(error) => Err(error.clone()),
        Outcome::Continuation(_) => Err(given_up()),
    }
}

/// An answer with status 200.
pub(super) fn ok(value: &impl Serialize) -> Response {
    response(StatusCode::OK, json::spaced(value))
}

/// An error as an answer.
pub(super) fn error(error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = response(status, error.to_json());
    let headers = response.headers_mut();
    if let Some(seconds) = error.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if error.status == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn response(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text + "\n"));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
