//! OpenAI's API over HTTP: one model, whose calls are made one after the other.
//!
//! HTTP runs on a thread of its own and hands each request to the thread with the model, which [`Server::run`] is called
//! on. A request waits in a bounded queue; when its client goes away, it is dropped or ends within a step.
//!
//! ```text
//! connection -> guard (Host, key, origin) -> routes -> chat -> queue -> engine
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

use shared::{Message, Shared};
use std::{
    io,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

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
    /// Most requests that wait while another is answered.
    pub queue: usize,
    /// Most bytes of a request's body.
    pub max_body: usize,
    /// Time for reading a request, and for writing a piece of an answer.
    pub io_timeout: Duration,
    /// Time for an answer, from the moment at which the request was read.
    pub timeout: Duration,
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
    pub fn run(self, mut engine: Engine<'_>, on_ready: impl FnOnce()) {
        self.shared.ready(engine.defaults(), engine.vocabulary());
        on_ready();
        while let Ok(Message::Request(request)) = self.jobs.recv() {
            engine.answer(request.ticket(), &self.shared.metrics);
        }
        // Whatever still waits is refused by the end of its channel.
        drop(self.jobs);
        if self.thread.join().is_err() {
            tracing::error!("the thread of the server failed");
        }
    }
}
