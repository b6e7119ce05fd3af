//! `POST /v1/completions`, for prompts that the client rendered, and `POST /tokenize`, for parts of them.

use super::{
    events::Outcome,
    receive::{first_event, outcome, queue, read, refuse},
    reply::{self, counted},
    shared::{Shared, now},
    sse,
    text_stream::TextStream,
    ticket::Asked,
};
use crate::{
    api::{ApiError, CompletionRequest, Result, Streaming, TextChunks, text_completion},
    call, json,
};
use axum::{
    extract::{Request, State},
    response::Response,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers a request for the continuation of a prompt.
pub(super) async fn completions(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let answered = answer(&shared, request).await;
    counted(&shared, answered)
}

async fn answer(shared: &Shared, request: Request) -> Result<Response> {
    let defaults = shared.defaults()?.clone();
    if let Err(error) = shared.has_place() {
        return Err(refuse(request, shared, error).await);
    }
    let bytes = read(request, shared).await?;
    let request = CompletionRequest::read(&bytes, &defaults)?;
    let streaming = request.streaming;
    let streams = streaming != Streaming::No;
    let mut waiting = queue(shared, Asked::Completion(Box::new(request)), streams)?;
    if let Streaming::Yes { include_usage } = streaming {
        let first = first_event(&mut waiting).await?;
        let model = &shared.options.model;
        let chunks = TextChunks::new(&shared.answer_id(), now().as_secs(), model, include_usage);
        return Ok(sse::response(sse::EventBody::new(waiting, Box::new(TextStream::new(chunks)), first)));
    }
    match outcome(waiting).await? {
        Outcome::Continuation(made) => {
            let model = &shared.options.model;
            Ok(reply::ok(&text_completion(&made, &shared.answer_id(), now().as_secs(), model)))
        }
        Outcome::Failed(error) => Err(error),
        Outcome::Answer(_) | Outcome::CutOff { .. } => {
            Err(ApiError::new(500, "server_error", "no text was made"))
        }
    }
}

/// Answers with the token ids of a text: `content` as llama-server calls it, or `prompt` as vLLM does.
pub(super) async fn tokenize(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let answered = tokens(&shared, request).await;
    counted(&shared, answered)
}

async fn tokens(shared: &Shared, request: Request) -> Result<Response> {
    shared.defaults()?;
    let bytes = read(request, shared).await?;
    let text = json::text(&bytes).map_err(|error| ApiError::invalid(format!("the body is {error}")))?;
    let body = json::input::parse(text)
        .map_err(|error| ApiError::invalid(format!("the body is not valid JSON: {error}")))?;
    let text = body["content"].as_str().or_else(|| body["prompt"].as_str());
    let text = text.ok_or_else(|| ApiError::field("content", "is no text"))?;
    let flag = |names: [&str; 2], default| {
        names.iter().find_map(|name| body.get(name).and_then(Value::as_bool)).unwrap_or(default)
    };
    let loading = || ApiError::new(503, "server_error", "the model is loading");
    let vocabulary = shared.vocabulary().ok_or_else(loading)?;
    let tokens = match flag(["add_special", "add_special_tokens"], false) {
        true => call::tokenize(vocabulary, text)?,
        false => {
            let tokens = vocabulary.tokenize(text, flag(["parse_special", "parse_special"], true));
            tokens.map_err(call::Error::from)?
        }
    };
    Ok(reply::ok(&json!({"tokens": tokens})))
}
