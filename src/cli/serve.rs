//! `edgecall serve`.

mod listen;

use super::{
    exit::{self, CliError},
    model_args::ModelArgs,
    numbers::{between, memory, whole},
};
use edgecall::{
    Kind,
    serve::{self, Engine, Server},
};
use listen::ListenArgs;
use sd_notify::NotifyState;
use std::{
    fs,
    io::{self, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Examples at the end of the help.
const EXAMPLES: &str = "\
Examples:
  edgecall serve -m model.gguf                         (http://127.0.0.1:8080/v1)
  edgecall serve -m model.gguf --unix /run/edgecall/socket
  edgecall serve -m model.gguf --listen 0.0.0.0:8080 --api-key-file key.txt";

/// The arguments of `edgecall serve`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,

    /// Name of the model in answers [default: the file's name]
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    alias: Option<String>,

    #[command(flatten, next_help_heading = "Network")]
    listen: ListenArgs,

    /// Maximum number of requests that wait while others are answered; more are refused (429)
    #[arg(long, value_name = "N", default_value = "32", value_parser = whole, help_heading = "Limits")]
    queue: usize,

    /// Maximum size of a request's body
    #[arg(long, value_name = "SIZE", default_value = "8M", value_parser = memory, help_heading = "Limits")]
    max_body: u64,

    /// Time for an answer in seconds, with the time in the queue
    #[arg(long, value_name = "S", default_value = "600", value_parser = between(1, 86_400))]
    #[arg(help_heading = "Limits")]
    timeout: u32,

    /// Time in seconds for a request to arrive, and for a client to read a piece of an answer
    #[arg(long, value_name = "S", default_value = "30", value_parser = between(1, 3_600))]
    #[arg(help_heading = "Limits")]
    io_timeout: u32,
}

/// Runs the command until it is told to end.
pub fn run(args: Args) -> anyhow::Result<()> {
    let path = args.model.path()?;
    let defaults = args.model.defaults(&args.model.profile(&path)?)?;
    let keys = args.listen.keys()?;
    let listeners = args.listen.listeners(keys.is_empty())?;
    let addresses: Vec<String> = listeners.iter().map(serve::Listener::address).collect();
    let options = options(&args, &path, keys)?;
    let server = Server::start(listeners, options).map_err(|error| {
        CliError::with_kind(Kind::Unavailable, format!("cannot start the server: {error}"))
    })?;
    let is_loaded = Arc::new(AtomicBool::new(false));
    end_on_signal(server.handle(), is_loaded.clone())?;

    let cache = args.model.cache();
    let model = args.model.load(&path, &defaults, cache.as_ref())?;
    // Built while nobody waits.
    model.compiler()?;
    server.run(Engine::new(&model, defaults, cache.as_ref()), || {
        is_loaded.store(true, Ordering::SeqCst);
        // Nobody reads a closed stderr.
        let _ = writeln!(io::stderr(), "serving {} on {}", path.display(), addresses.join(" and "));
        notify(&[NotifyState::Ready]);
    });
    Ok(())
}

fn options(args: &Args, path: &Path, keys: serve::Keys) -> anyhow::Result<serve::Options> {
    let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(serve::Options {
        model: args.alias.clone().unwrap_or_else(stem),
        // Whoever loads the file says what is wrong with it.
        model_bytes: fs::metadata(path).map_or(0, |metadata| metadata.len()),
        keys,
        origins: args.listen.cors.clone(),
        slots: args.model.parallel()?,
        queue: args.queue,
        max_body: usize::try_from(args.max_body).unwrap_or(usize::MAX),
        io_timeout: Duration::from_secs(args.io_timeout.into()),
        timeout: Duration::from_secs(args.timeout.into()),
    })
}

/// Lets the first signal drain the server and the second end the process. Before the model is loaded, the first does.
fn end_on_signal(server: serve::Handle, is_loaded: Arc<AtomicBool>) -> anyhow::Result<()> {
    let mut is_draining = false;
    exit::watch_interrupt(move || {
        if is_draining || !is_loaded.load(Ordering::SeqCst) {
            let _ = writeln!(io::stderr(), "error: interrupted");
            exit::leave(130);
        }
        is_draining = true;
        notify(&[NotifyState::Stopping]);
        let _ = writeln!(io::stderr(), "ending after the requests that wait; a second signal ends at once");
        server.drain();
    })
}

/// Tells systemd, if it started this program.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd was not told");
    }
}
