//! OpenAI's API over HTTP: one model, with slots that each make one call after the other.
//!
//! HTTP runs on a thread of its own and hands each request to the thread of a slot: the one that [`Server::run`] is called
//! on, and more if there are several slots. A request waits in a bounded queue; when its client goes away, it is dropped or
//! ends within a step.
//!
//! ```text
//! connection -> guard (Host, key, origin) -> routes -> chat -> queue -> slot
//!                                                       ^                 |
//!                                                       +---- events -----+
//! ```

mod chat;
mod chat_stream;
pub mod client;
mod completion;
mod connection;
mod engine;
mod events;
mod guard;
mod keys;
mod listener;
mod metrics;
mod page;
mod receive;
mod reply;
mod routes;
mod shared;
mod sse;
mod text_stream;
mod ticket;

pub use engine::Engine;
pub use keys::{KeyError, Keys, first_key};
pub use listener::{ListenError, Listener};
pub use shared::Handle;

use engine::Worker;
use shared::{Inbox, Message, Shared};
use std::{
    io,
    num::NonZeroUsize,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::Semaphore;

/// Stack of a slot's thread, as large as that of a program's first one usually is.
const STACK_BYTES: usize = 8 << 20;

/// Settings of a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the model in answers.
    pub model: String,
    /// Bytes of the model's file.
    pub model_bytes: u64,
    /// API keys, one of which a request must have; none if there are none.
    pub keys: Keys,
    /// Origins of web pages that may use the server; `*` is all.
    pub origins: Vec<String>,
    /// Requests that are answered at the same time.
    pub slots: NonZeroUsize,
    /// Most requests that wait while others are answered.
    pub queue: usize,
    /// Most bytes of a request's body.
    pub max_body: usize,
    /// Time for reading a request, and for writing a piece of an answer.
    pub io_timeout: Duration,
    /// Time for an answer, from the moment at which the request was read.
    pub timeout: Duration,
}

impl Options {
    /// Most requests that wait or are answered.
    fn places(&self) -> usize {
        self.queue.saturating_add(self.slots.get()).min(Semaphore::MAX_PERMITS)
    }
}

/// A server that listens, and whose model may still be loading.
pub struct Server {
    shared: Arc<Shared>,
    jobs: mpsc::Receiver<Message>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Starts to listen. Requests are refused with status 503 until [`Server::run`].
    ///
    /// # Errors
    /// A thread or a socket that the system refuses.
    pub fn start(listeners: Vec<Listener>, options: Options) -> io::Result<Server> {
        let (sender, jobs) = mpsc::channel();
        let shared = Arc::new(Shared::new(options, sender));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // They read requests and compile schemas; more would take the CPU from the model.
            .max_blocking_threads(2)
            .build()?;
        let served = shared.clone();
        let sockets = {
            let _entered = runtime.enter();
            listeners.into_iter().map(Listener::into_tokio).collect::<io::Result<Vec<_>>>()?
        };
        let serve = move || runtime.block_on(connection::serve(sockets, served));
        let thread = thread::Builder::new().name("http".into()).spawn(serve)?;
        Ok(Server { shared, jobs, thread })
    }

    /// A handle that ends the server.
    pub fn handle(&self) -> Handle {
        Handle::new(self.shared.clone())
    }

    /// Answers requests until the server is drained, then waits for the answers to be sent. `on_ready` is called once
    /// requests are taken.
    ///
    /// # Panics
    /// If an answer panics, once the others are done.
    pub fn run(self, engine: Engine<'_>, on_ready: impl FnOnce()) {
        let Server { shared, jobs, thread } = self;
        shared.ready(engine.defaults(), engine.vocabulary());
        on_ready();
        let inbox = Inbox::new(jobs);
        let answer = &|mut worker: Worker<'_>| {
            let _ends = EndsOnPanic(&shared);
            while let Some(request) = inbox.next() {
                worker.answer(request.ticket(), &shared.metrics);
            }
        };
        let mut workers = engine.workers(shared.options.slots);
        let first = workers.next();
        thread::scope(|scope| {
            for (nth, worker) in workers.enumerate() {
                let builder =
                    thread::Builder::new().name(format!("slot {}", nth + 2)).stack_size(STACK_BYTES);
                if let Err(error) = builder.spawn_scoped(scope, move || answer(worker)) {
                    tracing::warn!(%error, "a slot is not used: the system starts no thread for it");
                }
            }
            first.into_iter().for_each(answer);
        });
        // Whatever still waits is refused by the end of its channel.
        drop(inbox);
        if thread.join().is_err() {
            tracing::error!("the thread of the server failed");
        }
    }
}

/// Ends a server whose slot failed: nothing would answer there any longer.
struct EndsOnPanic<'s>(&'s Arc<Shared>);

impl Drop for EndsOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            Handle::new(self.0.clone()).drain();
        }
    }
}
