//! A request that waits or is being answered, held from both sides: by its connection and by the thread with the model.

use super::events::Event;
use crate::api::{ChatRequest, CompletionRequest};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Most events that wait for a client to read them; one that is further behind is given up.
const MAX_EVENTS: usize = 1024;

/// A request of either kind.
pub(super) enum Asked {
    Chat(Box<ChatRequest>),
    Completion(Box<CompletionRequest>),
}

/// The work that a request asks of the model.
pub(super) struct Work {
    pub request: Asked,
    /// Time at which the request was read.
    pub received: Instant,
    /// Time at which the answer is no longer wanted.
    pub deadline: Instant,
    /// True if the client wants the answer piece by piece.
    pub streams: bool,
    pub events: mpsc::Sender<Event>,
}

/// A request with its place in the queue.
pub(super) struct Ticket {
    work: Mutex<Option<Work>>,
    place: Mutex<Option<OwnedSemaphorePermit>>,
    is_cancelled: AtomicBool,
}

/// The model's side of a ticket. A request that is dropped before it was answered gives its connection up.
pub(super) struct Queued(Arc<Ticket>);

/// The connection's side of a ticket. Dropping it cancels the request.
pub(super) struct Waiting {
    ticket: Arc<Ticket>,
    pub events: mpsc::Receiver<Event>,
}

impl Ticket {
    /// A ticket for `request`, which was read just now, in `place`, with the connection's side of it.
    pub fn new(
        request: Asked,
        place: OwnedSemaphorePermit,
        deadline: Instant,
        streams: bool,
    ) -> (Arc<Ticket>, Waiting) {
        let (sender, events) = mpsc::channel(MAX_EVENTS);
        let work = Work { request, received: Instant::now(), deadline, streams, events: sender };
        let ticket = Arc::new(Ticket {
            work: Mutex::new(Some(work)),
            place: Mutex::new(Some(place)),
            is_cancelled: AtomicBool::new(false),
        });
        (ticket.clone(), Waiting { ticket, events })
    }

    /// The work, for the first who asks; `None` if it was cancelled.
    pub fn take(&self) -> Option<Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// True if the client went away.
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    /// Frees the place in the queue.
    pub fn free(&self) {
        drop(self.place.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Queued {
    pub fn new(ticket: Arc<Ticket>) -> Queued {
        Queued(ticket)
    }

    pub fn ticket(&self) -> &Ticket {
        &self.0
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        drop(self.0.take());
        self.0.free();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.ticket.is_cancelled.store(true, Ordering::Relaxed);
        // A request that nobody waits for takes neither memory nor a place.
        drop(self.ticket.take());
        self.ticket.free();
    }
}
