//! `POST /v1/chat/completions`.

use super::{
    events::{Event, Outcome},
    routes,
    shared::{Shared, now},
    sse,
    ticket::{Asked, Ticket, Waiting},
};
use crate::{
    api::{ApiError, ChatBody, ChatRequest, Chunks, Result, Streaming},
    call::openai::ChatCompletion,
};
use axum::{
    body::Body,
    extract::{Request, State},
    http::header,
    response::Response,
};
use http_body_util::BodyExt;
use serde_json::json;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{task, time};

/// Time after which a stream begins even if there is nothing to send yet, so that proxies see the answer begin. An error
/// that shows before has a status of its own.
const SILENCE: Duration = Duration::from_secs(10);

/// Bytes of a body that is too long, or of a refused request, that are read and dropped.
const DROPPED_BYTES: usize = 16 << 20;

/// Answers a chat request.
pub(super) async fn completions(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let answered = answer(&shared, request).await;
    counted(&shared, answered)
}

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
            routes::error(&error)
        }
    }
}

async fn answer(shared: &Arc<Shared>, request: Request) -> Result<Response> {
    let defaults = shared.defaults()?.clone();
    if let Err(error) = shared.has_place() {
        return Err(refuse(request, shared, error).await);
    }
    let bytes = read(request, shared).await?;
    let read = task::spawn_blocking(move || {
        let body = ChatBody::read(&bytes)?;
        let streaming = body.streaming;
        Ok::<_, ApiError>((ChatRequest::new(body, &defaults)?, streaming))
    });
    let failed = |_| ApiError::new(500, "server_error", "the request could not be read; please report it");
    let (request, streaming) = read.await.map_err(failed)??;
    let waiting = queue(shared, Asked::Chat(Box::new(request)), streaming != Streaming::No)?;
    match streaming {
        Streaming::No => whole(shared, waiting).await,
        Streaming::Yes { include_usage } => streamed(shared, waiting, include_usage).await,
    }
}

/// Puts a request into the queue.
pub(super) fn queue(shared: &Shared, request: Asked, streams: bool) -> Result<Waiting> {
    let deadline = Instant::now() + shared.options.timeout;
    let (ticket, waiting) = Ticket::new(request, shared.place()?, deadline, streams);
    shared.send(ticket)?;
    Ok(waiting)
}

/// Reads the body within the limits on its size and its time.
pub(super) async fn read(request: Request, shared: &Shared) -> Result<Vec<u8>> {
    let limit = shared.options.max_body;
    match time::timeout(shared.options.io_timeout, collect(request, limit)).await {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => {
            let message = format!("the request's body has more than {limit} bytes");
            Err(ApiError::new(413, "invalid_request_error", message).with_code("body_too_long"))
        }
        Ok(Err(_)) => Err(ApiError::invalid("the request's body broke off")),
        Err(_) => Err(ApiError::new(408, "invalid_request_error", "the request's body took too long")
            .with_code("request_timeout")),
    }
}

/// The body; `None` if it is longer than `limit`. Of a longer one some more is read and dropped, since a client that is
/// still sending does not see an answer before it is done.
async fn collect(request: Request, limit: usize) -> Result<Option<Vec<u8>>, axum::Error> {
    let most = limit.saturating_add(DROPPED_BYTES);
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > most as u64) {
        return Ok(None);
    }
    let (mut body, mut kept, mut total) = (request.into_body(), Vec::new(), 0_usize);
    while total <= most
        && let Some(frame) = body.frame().await
    {
        let Ok(data) = frame?.into_data() else { continue };
        total = total.saturating_add(data.len());
        if total <= limit {
            kept.extend_from_slice(&data);
        }
    }
    Ok((total <= limit).then_some(kept))
}

/// Reads and drops the body of a request that is refused, so that its client sees why.
pub(super) async fn refuse(request: Request, shared: &Shared, error: ApiError) -> ApiError {
    // Whatever comes of it.
    let _ = time::timeout(shared.options.io_timeout, collect(request, 0)).await;
    error
}

/// The error of a request whose answer was given up.
pub(super) fn given_up() -> ApiError {
    ApiError::new(503, "server_error", "the server ended before it could answer")
}

/// The answer as one object.
async fn whole(shared: &Shared, waiting: Waiting) -> Result<Response> {
    Ok(routes::ok(&completion(&outcome(waiting).await?, &shared.options.model)?))
}

/// Waits for the end of an answer.
pub(super) async fn outcome(mut waiting: Waiting) -> Result<Outcome> {
    loop {
        match waiting.events.recv().await {
            Some(Event::Done(outcome)) => return Ok(outcome),
            Some(Event::Text(_) | Event::Reasoning(_) | Event::Call(..)) => {}
            None => return Err(given_up()),
        }
    }
}

/// The object of an outcome.
///
/// # Errors
/// That of a failure.
pub(super) fn completion(outcome: &Outcome, model: &str) -> Result<ChatCompletion> {
    match outcome {
        Outcome::Answer(answer) => Ok(ChatCompletion::created_at(answer, model, now())),
        Outcome::CutOff { cut, reason, remedy } => {
            let note = json!({"error": reason, "remedy": remedy, "partial": cut.partial});
            Ok(ChatCompletion::cut_off(cut, model, now()).with_note(note))
        }
        Outcome::Failed(error) => Err(error.clone()),
        Outcome::Continuation(_) => Err(given_up()),
    }
}

/// The answer as a stream of chunks.
async fn streamed(shared: &Arc<Shared>, mut waiting: Waiting, include_usage: bool) -> Result<Response> {
    let first = match time::timeout(SILENCE, waiting.events.recv()).await {
        Ok(None) => return Err(given_up()),
        Ok(Some(Event::Done(Outcome::Failed(error)))) => return Err(error),
        Ok(Some(event)) => Some(event),
        Err(_) => None,
    };
    let model = shared.options.model.clone();
    let chunks = Chunks::new(&shared.answer_id(), now().as_secs(), &model, include_usage);
    Ok(sse::response(Body::new(sse::EventBody::new(waiting, chunks, first))))
}
