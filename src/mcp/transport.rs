//! Connections to servers.

use super::{Address, Error, Result, stderr::Stderr};
use reqwest::{Client, Url, redirect::Policy};
use rmcp::{
    ClientHandler, RoleClient,
    model::{ClientCapabilities, ClientConfig, Implementation},
    service::{NotificationContext, RunningService, serve_client},
    transport::{
        StreamableHttpClientTransport, TokioChildProcess,
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use std::{
    env,
    ffi::OsString,
    io,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{process::Command, time::timeout};

/// Time to connect a socket.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(10);

/// Our side of a connection: it offers nothing, and notes when the list of tools has changed.
#[derive(Clone, Default)]
pub(super) struct Follower {
    has_changed: Arc<AtomicBool>,
}

impl Follower {
    /// True if the list has changed since the last time that this was asked.
    pub fn take_change(&self) -> bool {
        self.has_changed.swap(false, Ordering::SeqCst)
    }
}

impl ClientHandler for Follower {
    fn get_info(&self) -> ClientConfig {
        let this = Implementation::new("edgecall", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), this)
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.has_changed.store(true, Ordering::SeqCst);
    }
}

/// A connection.
pub(super) type Connection = RunningService<RoleClient, Follower>;

/// Connects to the server at `address` within `limit`. A process gets the variables in `environment` that are set here.
///
/// # Errors
/// No server.
pub(super) async fn connect(
    address: &Address,
    environment: &[String],
    limit: Duration,
) -> Result<(Connection, Option<Stderr>)> {
    let server = address.name();
    let start = |source: io::Error| Error::Start { server: server.clone(), source };
    let (connected, stderr) = match address {
        Address::Command(argv) => {
            let (stderr, writer) = Stderr::start(server.clone()).map_err(start)?;
            let transport = process(argv, environment, writer.into()).map_err(start)?;
            (timeout(limit, serve_client(Follower::default(), transport)).await, Some(stderr))
        }
        Address::Url(url) => {
            let transport = http(url).map_err(|error| start(io::Error::other(error)))?;
            (timeout(limit, serve_client(Follower::default(), transport)).await, None)
        }
    };
    let said = || stderr.as_ref().map(Stderr::last_words).unwrap_or_default();
    match connected {
        Ok(Ok(connection)) => Ok((connection, stderr)),
        Ok(Err(error)) => Err(Error::Connect { server, problem: error.to_string(), stderr: said() }),
        Err(_) => Err(Error::Timeout { server, limit, stderr: said() }),
    }
}

fn process(argv: &[String], environment: &[String], stderr: Stdio) -> io::Result<TokioChildProcess> {
    let mut command = Command::new(&argv[0]);
    let set = |name: &String| Some((name.clone(), env::var_os(name)?));
    let variables: Vec<(String, OsString)> = environment.iter().filter_map(set).collect();
    command.args(&argv[1..]).env_clear().envs(variables);
    Ok(TokioChildProcess::builder(command).stderr(stderr).spawn()?.0)
}

fn http(url: &Url) -> Result<StreamableHttpClientTransport<Client>, reqwest::Error> {
    // Another part of the program may have installed one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // What is sent to one server is not meant for another.
    let mut client = Client::builder().redirect(Policy::none()).connect_timeout(SOCKET_TIMEOUT);
    if matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
        client = client.no_proxy();
    }
    let config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
    Ok(StreamableHttpClientTransport::with_client(client.build()?, config))
}
