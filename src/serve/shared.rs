//! State that the threads of a server share.

use super::{
    Options,
    metrics::Metrics,
    ticket::{Queued, Ticket},
};
use crate::{
    api::{ApiError, Defaults, Result},
    runtime::Vocabulary,
};
use sha2::{Digest, Sha256};
use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Seconds after which a client may try again while the queue is full or the model is loading.
const RETRY_SECONDS: u32 = 2;

/// Message to the threads with the model.
pub(super) enum Message {
    /// A request.
    Request(Queued),
    /// No more requests will come.
    End,
}

/// Requests that wait for a slot, in the order in which they came.
pub(super) struct Inbox(Mutex<Option<mpsc::Receiver<Message>>>);

impl Inbox {
    pub fn new(jobs: mpsc::Receiver<Message>) -> Inbox {
        Inbox(Mutex::new(Some(jobs)))
    }

    /// Waits for the next request; `None` once no more will come. What is sent later is refused then.
    pub fn next(&self) -> Option<Queued> {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match jobs.as_ref()?.recv() {
            Ok(Message::Request(request)) => Some(request),
            Ok(Message::End) | Err(_) => {
                *jobs = None;
                None
            }
        }
    }
}

/// State of a server.
pub(super) struct Shared {
    pub options: Options,
    pub metrics: Metrics,
    /// Set once the model is loaded.
    defaults: OnceLock<Arc<Defaults>>,
    /// Set before `defaults`.
    vocabulary: OnceLock<Vocabulary>,
    jobs: mpsc::Sender<Message>,
    /// One permit for each request that waits or is answered.
    places: Arc<Semaphore>,
    /// True once the server is ending.
    draining: watch::Sender<bool>,
    is_ended: AtomicBool,
    answers: AtomicU64,
    pub started: Duration,
}

impl Shared {
    pub fn new(options: Options, jobs: mpsc::Sender<Message>) -> Shared {
        let slots = options.slots.get();
        Shared {
            places: Arc::new(Semaphore::new(options.places())),
            options,
            metrics: Metrics::new(slots),
            defaults: OnceLock::new(),
            vocabulary: OnceLock::new(),
            jobs,
            draining: watch::Sender::new(false),
            is_ended: AtomicBool::new(false),
            answers: AtomicU64::new(0),
            started: now(),
        }
    }

    /// Notes that the model is loaded.
    pub fn ready(&self, defaults: Arc<Defaults>, vocabulary: Vocabulary) {
        let _ = self.vocabulary.set(vocabulary);
        let _ = self.defaults.set(defaults);
    }

    /// Settings for what requests leave open.
    ///
    /// # Errors
    /// A model that is still loading, or a server that is ending.
    pub fn defaults(&self) -> Result<&Arc<Defaults>> {
        if self.is_draining() {
            return Err(
                ApiError::new(503, "server_error", "the server is shutting down").after(RETRY_SECONDS)
            );
        }
        let loading = || ApiError::new(503, "server_error", "the model is loading").after(RETRY_SECONDS);
        self.defaults.get().ok_or_else(loading)
    }

    /// The model's vocabulary; `None` while it is loading.
    pub fn vocabulary(&self) -> Option<&Vocabulary> {
        self.vocabulary.get()
    }

    /// A place among the requests that wait or are answered.
    ///
    /// # Errors
    /// A queue that is full.
    pub fn place(&self) -> Result<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().map_err(|_| self.full())
    }

    /// Refuses a request if there is no place now.
    ///
    /// # Errors
    /// As [`Shared::place`].
    pub fn has_place(&self) -> Result<()> {
        if self.places.available_permits() > 0 { Ok(()) } else { Err(self.full()) }
    }

    /// Number of requests that wait or are answered.
    pub fn places_taken(&self) -> usize {
        self.options.places().saturating_sub(self.places.available_permits())
    }

    fn full(&self) -> ApiError {
        let waiting = self.options.queue;
        let message = format!("{waiting} requests wait already; try again later");
        ApiError::new(429, "rate_limit_error", message).with_code("queue_full").after(RETRY_SECONDS)
    }

    /// Hands a request to the model.
    ///
    /// # Errors
    /// A server that has ended.
    pub fn send(&self, ticket: Arc<Ticket>) -> Result<()> {
        let ended = |_| ApiError::new(503, "server_error", "the server is shutting down");
        self.jobs.send(Message::Request(Queued::new(ticket))).map_err(ended)
    }

    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Receiver that learns when the server begins to end.
    pub fn drained(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Id of the next streamed answer, unlike that of any other.
    pub fn answer_id(&self) -> String {
        let number = self.answers.fetch_add(1, Ordering::Relaxed);
        let seed = format!("{} {number} {}", self.started.as_nanos(), std::process::id());
        crate::hash::hex(&Sha256::digest(seed)[..16])
    }
}

/// Time since 1970.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Handle that ends a server.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Handle {
        Handle(shared)
    }

    /// Refuses new requests, and ends the server when those that it has are answered.
    pub fn drain(&self) {
        self.0.draining.send_replace(true);
        if !self.0.is_ended.swap(true, Ordering::SeqCst) {
            // A server that has ended listens no more.
            let _ = self.0.jobs.send(Message::End);
        }
    }
}
