//! Server-sent events: the body of a streamed answer.

use super::{
    events::{Event, Outcome},
    reply::{completion, given_up},
    ticket::Waiting,
};
use crate::{
    api::{ApiError, Chunks},
    call::{Answer, PartialCall},
};
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

/// The answer with `body` as its events.
pub(super) fn response(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx would collect the answer first.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Body of a streamed answer. Dropping it cancels the request.
pub(super) struct EventBody {
    waiting: Waiting,
    chunks: Chunks,
    /// The first event, if it was waited for.
    first: Option<Event>,
    has_begun: bool,
    is_done: bool,
    sent: Sent,
    silence: Pin<Box<Sleep>>,
}

/// The beginning of an answer that was sent.
#[derive(Default)]
struct Sent {
    reasoning: bool,
    text: String,
    /// Arguments of each call.
    calls: Vec<String>,
}

impl EventBody {
    pub fn new(waiting: Waiting, chunks: Chunks, first: Option<Event>) -> EventBody {
        let silence = Box::pin(sleep(KEEP_ALIVE));
        EventBody { waiting, chunks, first, has_begun: false, is_done: false, sent: Sent::default(), silence }
    }

    /// The events to send for `event`.
    fn frames(&mut self, event: Option<Event>) -> String {
        let mut out = String::new();
        if !self.has_begun {
            self.has_begun = true;
            out += &data(&self.chunks.first());
        }
        match event {
            Some(Event::Reasoning(text)) => self.reasoning(&text, &mut out),
            Some(Event::Text(text)) => {
                self.sent.text += &text;
                out += &data(&self.chunks.text(&text));
            }
            Some(Event::Call(index, call)) => {
                if self.call(index, &call, &mut out).is_none() {
                    self.fail(&taken_back(), &mut out);
                }
            }
            Some(Event::Done(outcome)) => self.end(&outcome, &mut out),
            // The thread with the model has ended.
            None => self.fail(&given_up(), &mut out),
        }
        out
    }

    fn reasoning(&mut self, text: &str, out: &mut String) {
        self.sent.reasoning = true;
        *out += &data(&self.chunks.reasoning(text));
    }

    /// The rest of the call at `index`; `None` if what was sent is not its beginning.
    fn call(&mut self, index: usize, call: &PartialCall, out: &mut String) -> Option<()> {
        if index == self.sent.calls.len() {
            self.sent.calls.push(String::new());
            *out += &data(&self.chunks.call(index, &call.name));
        }
        let sent = self.sent.calls.get_mut(index)?;
        let fresh = call.arguments.strip_prefix(sent.as_str())?;
        if !fresh.is_empty() {
            *out += &data(&self.chunks.arguments(index, fresh));
            call.arguments.clone_into(sent);
        }
        Some(())
    }

    /// The rest of a complete answer, and its end.
    fn end(&mut self, outcome: &Outcome, out: &mut String) {
        let completion = match completion(outcome, "") {
            Ok(completion) => completion,
            Err(error) => return self.fail(&error, out),
        };
        if let Outcome::Answer(answer) = outcome
            && self.rest(answer, out).is_none()
        {
            return self.fail(&taken_back(), out);
        }
        for chunk in self.chunks.last(&completion) {
            *out += &data(&chunk);
        }
        *out += "data: [DONE]\n\n";
        self.is_done = true;
    }

    /// The rest of `answer`; `None` if what was sent is not its beginning.
    fn rest(&mut self, answer: &Answer, out: &mut String) -> Option<()> {
        if let Some(text) =
            answer.reasoning.as_deref().filter(|text| !text.is_empty() && !self.sent.reasoning)
        {
            self.reasoning(text, out);
        }
        let fresh = answer.content.as_deref().unwrap_or_default().strip_prefix(&self.sent.text)?;
        if !fresh.is_empty() {
            *out += &data(&self.chunks.text(fresh));
        }
        for (index, call) in answer.calls.iter().enumerate() {
            let call =
                PartialCall { name: call.name().to_owned(), arguments: call.arguments_text().to_owned() };
            self.call(index, &call, out)?;
        }
        (self.sent.calls.len() == answer.calls.len()).then_some(())
    }

    fn fail(&mut self, error: &ApiError, out: &mut String) {
        self.is_done = true;
        *out += &data(&error.to_json());
    }
}

/// The error of an answer whose beginning was sent and then taken back.
fn taken_back() -> ApiError {
    let message = "the model took back a part of its answer that was already sent; ask without `stream`";
    ApiError::new(500, "server_error", message).with_code("taken_back")
}

fn data(json: &str) -> String {
    format!("data: {json}\n\n")
}

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
            Poll::Ready(event) => self.frames(event),
            Poll::Pending => match self.silence.as_mut().poll(context) {
                Poll::Ready(()) => ": waiting\n\n".to_owned(),
                Poll::Pending => return Poll::Pending,
            },
        };
        self.silence.as_mut().reset(Instant::now() + KEEP_ALIVE);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(text)))))
    }
}
