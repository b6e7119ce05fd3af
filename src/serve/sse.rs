//! Server-sent events: the body of a streamed answer.

use super::{events::Event, ticket::Waiting};
use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::Response,
};
use http_body::Frame;
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};

/// Time between comments while there is nothing to send: proxies end connections that are silent for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The answer with the events of `body`.
pub(super) fn response(body: EventBody) -> Response {
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx would collect the answer first.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Writer of the events of one kind of answer.
pub(super) trait Writer: Send + Unpin {
    /// Appends what is to be sent for `event` to `out`; `None` if the thread with the model has ended. Returns true if
    /// nothing follows.
    fn write(&mut self, event: Option<Event>, out: &mut String) -> bool;
}

/// Body of a streamed answer. Dropping it cancels the request.
pub(super) struct EventBody {
    waiting: Waiting,
    writer: Box<dyn Writer>,
    /// The first event, if it was waited for.
    first: Option<Event>,
    is_done: bool,
    silence: Pin<Box<Sleep>>,
}

impl EventBody {
    pub fn new(waiting: Waiting, writer: Box<dyn Writer>, first: Option<Event>) -> EventBody {
        EventBody { waiting, writer, first, is_done: false, silence: Box::pin(sleep(KEEP_ALIVE)) }
    }
}

/// One event.
pub(super) fn data(json: &str) -> String {
    format!("data: {json}\n\n")
}

/// The last event.
pub(super) const DONE: &str = "data: [DONE]\n\n";

impl http_body::Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_done {
            return Poll::Ready(None);
        }
        let event = match self.first.take() {
            Some(event) => Poll::Ready(Some(event)),
            None => self.waiting.events.poll_recv(context),
        };
        let text = match event {
            Poll::Ready(event) => {
                let this = &mut *self;
                let mut text = String::new();
                this.is_done = this.writer.write(event, &mut text);
                text
            }
            Poll::Pending => match self.silence.as_mut().poll(context) {
                Poll::Ready(()) => ": waiting\n\n".to_owned(),
                Poll::Pending => return Poll::Pending,
            },
        };
        self.silence.as_mut().reset(Instant::now() + KEEP_ALIVE);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(text)))))
    }
}
