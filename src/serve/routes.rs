//! Endpoints of the server.

use super::{
    chat, completion, guard,
    listener::Origin,
    page,
    reply::{error, ok},
    shared::Shared,
};
use crate::api::ApiError;
use axum::{
    Extension, Router,
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    middleware,
    response::Response,
    routing::{get, post},
};
use serde_json::json;
use std::sync::Arc;

/// The router for connections from `origin`.
pub(super) fn router(shared: Arc<Shared>, origin: Origin) -> Router {
    Router::new()
        .route("/", get(page::page))
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
