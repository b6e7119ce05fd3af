//! The side of the model: each slot answers one request after the other in a context that is kept.

use super::{
    events::{Event, Outcome},
    metrics::Metrics,
    ticket::{Asked, Ticket, Work},
};
use crate::{
    api::{ApiError, ChatRequest, CompletionRequest, Defaults},
    cache::Cache,
    call::{self, AnswerToken, Call, Observer, PartialCall, Slot},
    runtime::{self, Model, Vocabulary},
};
use std::{num::NonZeroUsize, ops::ControlFlow, sync::Arc, time::Instant};
use tokio::sync::mpsc::{Sender, error::TrySendError};

/// A loaded model that answers requests.
pub struct Engine<'m> {
    model: &'m Model,
    defaults: Arc<Defaults>,
    cache: Option<&'m Cache>,
}

impl<'m> Engine<'m> {
    /// An engine for `model`.
    pub fn new(model: &'m Model, defaults: Defaults, cache: Option<&'m Cache>) -> Engine<'m> {
        Engine { model, defaults: Arc::new(defaults), cache }
    }

    pub(super) fn vocabulary(&self) -> Vocabulary {
        self.model.vocabulary().clone()
    }

    pub(super) fn defaults(&self) -> Arc<Defaults> {
        self.defaults.clone()
    }

    /// Those who answer requests, `slots` at the same time.
    pub(super) fn workers(&self, slots: NonZeroUsize) -> impl Iterator<Item = Worker<'m>> {
        let cache = self.cache;
        Slot::several(self.model, slots).into_iter().map(move |slot| Worker { slot, cache })
    }
}

/// Answers one request after the other.
pub(super) struct Worker<'m> {
    slot: Slot<'m>,
    cache: Option<&'m Cache>,
}

impl Worker<'_> {
    /// Answers the request of `ticket`, unless its client went away.
    pub fn answer(&mut self, ticket: &Ticket, metrics: &Metrics) {
        let Some(work) = ticket.take() else { return };
        metrics.busy(true);
        let outcome = self.outcome(ticket, &work);
        metrics.busy(false);
        ticket.free();
        match &outcome {
            Some(Outcome::Answer(answer)) => metrics.called(&answer.timings, work.received),
            Some(Outcome::Continuation(made)) => metrics.called(&made.timings, work.received),
            Some(Outcome::CutOff { cut, .. }) => metrics.called(&cut.timings, work.received),
            Some(Outcome::Failed(_)) | None => {}
        }
        if let Some(outcome) = outcome {
            // A client that went away wants no answer, and one that reads nothing is given up.
            let _ = work.events.try_send(Event::Done(outcome));
        }
    }

    /// The end of an answer; `None` if nobody waits for it.
    fn outcome(&mut self, ticket: &Ticket, work: &Work) -> Option<Outcome> {
        let mut follower = Follower { ticket, work, is_behind: false, sent: Vec::new(), tokens: Vec::new() };
        let made = match &work.request {
            Asked::Chat(request) => self.chat(request, &mut follower),
            Asked::Completion(request) => match request.tokens(self.slot.model().vocabulary()) {
                Ok(prompt) => self.completion(request, &prompt, &mut follower),
                Err(error) => return Some(Outcome::Failed(error)),
            },
        };
        match made {
            Ok(outcome) => Some(outcome),
            Err(call::Error::Runtime(runtime::Error::Cancelled)) if !follower.is_late() => {
                tracing::info!("the client went away");
                None
            }
            Err(call::Error::Runtime(runtime::Error::Cancelled)) => Some(Outcome::Failed(late())),
            Err(error) if is_cut_off(&error) && error.cut().is_some() => {
                let (reason, remedy) = (error.to_string(), error.remedies().into_iter().next());
                error.cut().map(|cut| Outcome::CutOff { cut: Box::new(cut.clone()), reason, remedy })
            }
            Err(error) => {
                tracing::info!(%error, "refused");
                Some(Outcome::Failed(error.into()))
            }
        }
    }

    fn chat(&mut self, request: &ChatRequest, follower: &mut Follower<'_>) -> call::Result<Outcome> {
        let call = Call {
            model: self.slot.model(),
            template: &request.template,
            request: &request.request(),
            settings: &request.settings,
            cache: self.cache,
        };
        let answer = call::ask_in(&mut self.slot, &call, follower)?;
        Ok(Outcome::Answer(Box::new(answer)))
    }

    fn completion(
        &mut self,
        request: &CompletionRequest,
        prompt: &[i32],
        follower: &mut Follower<'_>,
    ) -> call::Result<Outcome> {
        let CompletionRequest { settings, stop, .. } = request;
        let made = call::continuation(&mut self.slot, prompt, settings, stop, self.cache, follower)?;
        Ok(Outcome::Continuation(Box::new(made)))
    }
}

/// True if an answer ended before it could be used.
fn is_cut_off(error: &call::Error) -> bool {
    matches!(
        error,
        call::Error::Budget { .. } | call::Error::ContextFull { .. } | call::Error::Repetition { .. }
    )
}

fn late() -> ApiError {
    let message = "the time for an answer ran out; ask for fewer tokens with `max_tokens`";
    ApiError::new(504, "server_error", message).with_code("timeout")
}

/// Passes an answer on while it is made.
struct Follower<'w> {
    ticket: &'w Ticket,
    work: &'w Work,
    /// True if the client does not read what it is sent.
    is_behind: bool,
    /// The calls as they were sent last.
    sent: Vec<PartialCall>,
    /// The tokens of the text that comes next.
    tokens: Vec<AnswerToken>,
}

impl Follower<'_> {
    /// True if the time is over while the client still waits.
    fn is_late(&self) -> bool {
        !self.ticket.is_cancelled() && !self.is_behind && Instant::now() >= self.work.deadline
    }

    fn send(&mut self, events: &Sender<Event>, event: Event) {
        match events.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => self.is_behind = true,
        }
    }
}

impl Observer for Follower<'_> {
    fn text(&mut self, text: &str) -> ControlFlow<()> {
        if self.work.streams {
            let tokens = std::mem::take(&mut self.tokens);
            self.send(&self.work.events, Event::Text(text.to_owned(), tokens));
        }
        ControlFlow::Continue(())
    }

    fn tokens(&mut self, tokens: Vec<AnswerToken>) {
        self.tokens = tokens;
    }

    fn reasoning(&mut self, text: &str) {
        if self.work.streams && !text.is_empty() {
            self.send(&self.work.events, Event::Reasoning(text.to_owned()));
        }
    }

    fn wants_calls(&self) -> bool {
        self.work.streams
    }

    fn calls(&mut self, calls: &[PartialCall]) {
        for (index, call) in calls.iter().enumerate() {
            if self.sent.get(index) != Some(call) {
                self.send(&self.work.events, Event::Call(index, call.clone()));
            }
        }
        self.sent = calls.to_vec();
    }

    fn is_cancelled(&mut self) -> bool {
        self.is_behind || self.ticket.is_cancelled() || Instant::now() >= self.work.deadline
    }
}
