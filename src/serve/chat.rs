//! `POST /v1/chat/completions`.

use super::{
    events::{Event, Outcome},
    receive::{outcome, queue, read, refuse},
    reply::{self, completion, counted, given_up},
    shared::{Shared, now},
    sse,
    ticket::{Asked, Waiting},
};
use crate::api::{ApiError, ChatBody, ChatRequest, Chunks, Result, Streaming};
use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use std::{sync::Arc, time::Duration};
use tokio::{task, time};

/// Time after which a stream begins even if there is nothing to send yet, so that proxies see the answer begin. An error
/// that shows before has a status of its own.
const SILENCE: Duration = Duration::from_secs(10);

/// Answers a chat request.
pub(super) async fn completions(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let answered = answer(&shared, request).await;
    counted(&shared, answered)
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

/// The answer as one object.
async fn whole(shared: &Shared, waiting: Waiting) -> Result<Response> {
    Ok(reply::ok(&completion(&outcome(waiting).await?, &shared.options.model)?))
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
