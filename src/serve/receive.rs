//! The way of a request: its body is read, it waits in the queue, and its answer is waited for.

use super::{
    events::{Event, Outcome},
    reply::given_up,
    shared::Shared,
    ticket::{Asked, Ticket, Waiting},
};
use crate::api::{ApiError, Result};
use axum::{extract::Request, http::header};
use http_body_util::BodyExt;
use std::time::{Duration, Instant};
use tokio::time;

/// Bytes of a body that is too long, or of a refused request, that are read and dropped.
const DROPPED_BYTES: usize = 16 << 20;

/// Time after which a stream begins even if there is nothing to send yet, so that proxies see the answer begin. An error
/// that shows before has a status of its own.
const SILENCE: Duration = Duration::from_secs(10);

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

/// The first event of a stream; `None` if it does not come soon.
///
/// # Errors
/// An answer that fails at once.
pub(super) async fn first_event(waiting: &mut Waiting) -> Result<Option<Event>> {
    match time::timeout(SILENCE, waiting.events.recv()).await {
        Ok(None) => Err(given_up()),
        Ok(Some(Event::Done(Outcome::Failed(error)))) => Err(error),
        Ok(Some(event)) => Ok(Some(event)),
        Err(_) => Ok(None),
    }
}

/// Waits for the end of an answer.
pub(super) async fn outcome(mut waiting: Waiting) -> Result<Outcome> {
    loop {
        match waiting.events.recv().await {
            Some(Event::Done(outcome)) => return Ok(outcome),
            Some(Event::Text(..) | Event::Reasoning(_) | Event::Call(..)) => {}
            None => return Err(given_up()),
        }
    }
}
