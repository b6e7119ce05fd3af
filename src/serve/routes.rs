//! Endpoints of the server.

use super::{chat, completion, guard, listener::Origin, shared::Shared};
use crate::{api::ApiError, json};
use axum::{
    Extension, Router,
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    middleware,
    response::Response,
    routing::{get, post},
};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

/// The router for connections from `origin`.
pub(super) fn router(shared: Arc<Shared>, origin: Origin) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat::completions))
        .route("/v1/completions", post(completion::completions))
        .route("/tokenize", post(completion::tokenize))
        .route("/v1/models", get(models))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/version", get(version))
        .route("/metrics", get(metrics))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(shared.clone(), guard::check))
        .layer(Extension(origin))
        .with_state(shared)
}

async fn health() -> Response {
    ok(&json!({"status": "ok"}))
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    match shared.defaults() {
        Ok(_) => ok(&json!({"status": "ready"})),
        Err(problem) => error(&problem),
    }
}

async fn version() -> Response {
    ok(&json!({"version": env!("CARGO_PKG_VERSION")}))
}

async fn models(State(shared): State<Arc<Shared>>) -> Response {
    let options = &shared.options;
    let meta = json!({"size": options.model_bytes});
    let model = json!({
        "id": options.model, "object": "model", "created": shared.started.as_secs(), "owned_by": "edgecall",
        "meta": meta,
    });
    ok(&json!({"object": "list", "data": [model]}))
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let mut response = Response::new(Body::from(shared.metrics.text(shared.places_taken())));
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

async fn not_found() -> Response {
    error(&ApiError::new(404, "invalid_request_error", "there is no such endpoint").with_code("not_found"))
}

async fn wrong_method() -> Response {
    let message = "this endpoint has another method: POST for completions, GET for all others";
    error(&ApiError::new(405, "invalid_request_error", message).with_code("method_not_allowed"))
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
