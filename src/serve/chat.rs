//! `POST /v1/chat/completions`.

use super::{
    chat_stream::ChatStream,
    events::Outcome,
    receive::{first_event, outcome, queue, read, refuse},
    reply::{self, completion, counted, given_up},
    shared::{Shared, now},
    sse,
    ticket::{Asked, Waiting},
};
use crate::{
    api::{ApiError, ChatBody, ChatRequest, Chunks, Result, Streaming, details},
    tools::explain::Explanation,
};
use axum::{
    extract::{Request, State},
    response::Response,
};
use std::sync::Arc;
use tokio::task;

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
        let request = ChatRequest::new(body, &defaults)?;
        let explanation = request.details.then(|| request.explanation());
        Ok::<_, ApiError>((request, streaming, explanation))
    });
    let failed = |_| ApiError::new(500, "server_error", "the request could not be read; please report it");
    let (request, streaming, explanation) = read.await.map_err(failed)??;
    let waiting = queue(shared, Asked::Chat(Box::new(request)), streaming != Streaming::No)?;
    match streaming {
        Streaming::No => whole(shared, waiting, explanation).await,
        Streaming::Yes { include_usage } => streamed(shared, waiting, include_usage).await,
    }
}

/// The answer as one object; `explanation`, which may be none, stands in it if details were asked for.
async fn whole(
    shared: &Shared,
    waiting: Waiting,
    explanation: Option<Option<Explanation>>,
) -> Result<Response> {
    let outcome = outcome(waiting).await?;
    let mut completion = completion(&outcome, &shared.options.model)?;
    if let Some(explanation) = &explanation {
        let (tokens, timings) = match &outcome {
            Outcome::Answer(answer) => (&answer.tokens[..], &answer.timings),
            Outcome::CutOff { cut, .. } => (&[][..], &cut.timings),
            Outcome::Continuation(_) | Outcome::Failed(_) => return Err(given_up()),
        };
        completion = completion.with_note(details(tokens, explanation.as_ref(), timings));
    }
    Ok(reply::ok(&completion))
}

/// The answer as a stream of chunks.
async fn streamed(shared: &Shared, mut waiting: Waiting, include_usage: bool) -> Result<Response> {
    let first = first_event(&mut waiting).await?;
    let model = shared.options.model.clone();
    let chunks = Chunks::new(&shared.answer_id(), now().as_secs(), &model, include_usage);
    Ok(sse::response(sse::EventBody::new(waiting, Box::new(ChatStream::new(chunks)), first)))
}
