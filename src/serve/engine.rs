//! The side of the model: answers one request after the other in a context that is kept.

use super::{
    events::{Event, Outcome},
    metrics::Metrics,
    ticket::{Ticket, Work},
};
use crate::{
    api::{ApiError, Defaults},
    cache::Cache,
    call::{self, Call, Observer, PartialCall, Slot},
    runtime::{self, Model},
};
use std::{ops::ControlFlow, sync::Arc, time::Instant};
use tokio::sync::mpsc::{Sender, error::TrySendError};

/// A loaded model that answers requests.
pub struct Engine<'m> {
    slot: Slot<'m>,
    defaults: Arc<Defaults>,
    cache: Option<&'m Cache>,
}

impl<'m> Engine<'m> {
    /// An engine for `model`.
    pub fn new(model: &'m Model, defaults: Defaults, cache: Option<&'m Cache>) -> Engine<'m> {
        Engine { slot: Slot::new(model), defaults: Arc::new(defaults), cache }
    }

    pub(super) fn defaults(&self) -> Arc<Defaults> {
        self.defaults.clone()
    }

    /// Answers the request of `ticket`, unless its client went away.
    pub(super) fn answer(&mut self, ticket: &Ticket, metrics: &Metrics) {
        let Some(work) = ticket.take() else { return };
        metrics.busy(true);
        let outcome = self.outcome(ticket, &work);
        metrics.busy(false);
        ticket.free();
        match &outcome {
            Some(Outcome::Answer(answer)) => metrics.called(&answer.timings, work.received),
            Some(Outcome::CutOff(cut)) => metrics.called(&cut.timings, work.received),
            Some(Outcome::Failed(_)) | None => {}
        }
        if let Some(outcome) = outcome {
            // A client that went away wants no answer, and one that reads nothing is given up.
            let _ = work.events.try_send(Event::Done(outcome));
        }
    }

    /// The end of an answer; `None` if nobody waits for it.
    fn outcome(&mut self, ticket: &Ticket, work: &Work) -> Option<Outcome> {
        let mut follower = Follower { ticket, work, is_behind: false, sent: Vec::new() };
        let request = work.request.request();
        let call = Call {
            model: self.slot.model(),
            template: &work.request.template,
            request: &request,
            settings: &work.request.settings,
            cache: self.cache,
        };
        match call::ask_in(&mut self.slot, &call, &mut follower) {
            Ok(answer) => {
                let timings = &answer.timings;
                tracing::info!(
                    prompt_tokens = timings.prompt_tokens,
                    cached_tokens = timings.restored_tokens + timings.kept_tokens,
                    generated_tokens = timings.generated_tokens,
                    "answered"
                );
                Some(Outcome::Answer(Box::new(answer)))
            }
            Err(call::Error::Runtime(runtime::Error::Cancelled)) if !follower.is_late() => {
                tracing::info!("the client went away");
                None
            }
            Err(call::Error::Runtime(runtime::Error::Cancelled)) => Some(Outcome::Failed(late())),
            Err(
                call::Error::Budget { cut, .. }
                | call::Error::ContextFull { cut, .. }
                | call::Error::Repetition { cut, .. },
            ) => Some(Outcome::CutOff(cut)),
            Err(error) => {
                tracing::info!(%error, "refused");
                Some(Outcome::Failed(error.into()))
            }
        }
    }
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
            self.send(&self.work.events, Event::Text(text.to_owned()));
        }
        ControlFlow::Continue(())
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
