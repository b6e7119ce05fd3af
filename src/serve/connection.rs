//! Connections: accepted within a limit, served with time-outs, ended when the server drains.

use super::{
    listener::{Origin, Socket},
    routes,
    shared::Shared,
};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{fs, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    task::JoinSet,
    time,
};
use tokio_io_timeout::TimeoutStream;

/// Most connections at once.
const MAX_CONNECTIONS: u64 = 4096;
/// Files that the model, the cache and the sockets need.
const OTHER_FILES: u64 = 64;
/// Most bytes of a request's header.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// Serves all sockets until the server drains.
pub(super) async fn serve(sockets: Vec<Socket>, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(connections()));
    let mut tasks = JoinSet::new();
    for socket in sockets {
        tasks.spawn(accept(socket, shared.clone(), places.clone()));
    }
    while tasks.join_next().await.is_some() {}
}

/// Number of connections that the limit on open files allows, after raising it as far as possible.
fn connections() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        limit = raised;
    }
    let files = limit.current.unwrap_or(u64::MAX).saturating_sub(OTHER_FILES);
    files.clamp(1, MAX_CONNECTIONS) as usize
}

/// Accepts connections of one socket until the server drains, then waits for them to end.
async fn accept(socket: Socket, shared: Arc<Shared>, places: Arc<Semaphore>) {
    let origin = match &socket {
        Socket::Tcp(_, origin) => *origin,
        Socket::Unix(..) => Origin::Unix,
    };
    let router = routes::router(shared.clone(), origin);
    let (mut drained, mut connections) = (shared.drained(), JoinSet::new());
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            _ = drained.wait_for(|drained| *drained) => break,
            accepted = next(&socket) => accepted,
        };
        let Ok(stream) = accepted else {
            // No more files: others have to end first.
            time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (router, shared) = (router.clone(), shared.clone());
        connections.spawn(async move {
            match stream {
                Stream::Tcp(stream) => talk(stream, router, &shared).await,
                Stream::Unix(stream) => talk(stream, router, &shared).await,
            }
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
    if let Socket::Unix(_, Some(path)) = &socket {
        // Somebody may have taken it away.
        let _ = fs::remove_file(path);
    }
    drop(socket);
    while connections.join_next().await.is_some() {}
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

async fn next(socket: &Socket) -> io::Result<Stream> {
    match socket {
        Socket::Tcp(socket, _) => {
            let (stream, _) = socket.accept().await?;
            // Pieces of a stream are small, and are to be sent at once. Without it they only come later.
            let _ = stream.set_nodelay(true);
            Ok(Stream::Tcp(stream))
        }
        Socket::Unix(socket, _) => Ok(Stream::Unix(socket.accept().await?.0)),
    }
}

/// Serves the requests of one connection.
async fn talk(stream: impl AsyncRead + AsyncWrite + Send + 'static, router: Router, shared: &Shared) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(shared.options.io_timeout));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.options.io_timeout)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router));
    tokio::pin!(served);
    let mut drained = shared.drained();
    let ended = tokio::select! {
        ended = &mut served => Some(ended),
        _ = drained.wait_for(|drained| *drained) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
