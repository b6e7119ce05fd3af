//! Client of a server of this program: one request, over TCP, TLS or a Unix socket.

use crate::{
    http::{self, Key, RetryPolicy},
    kind::Kind,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1::handshake,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use std::{error::Error, io, path::PathBuf, str::FromStr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time,
};

/// Most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Port of an address without one.
const HTTP_PORT: u16 = 80;

/// Reasons why a server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The text is no address of a server.
    #[error("`{0}` is no address of a server; give http://HOST:PORT, https://HOST or unix:PATH")]
    Address(String),
    /// The server cannot be reached.
    #[error("cannot reach the server at {address}; is it running?")]
    Unreachable {
        /// The address.
        address: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The connection broke, or the answer is no HTTP.
    #[error("the server at {address} broke off")]
    Broken {
        /// The address.
        address: String,
        /// The reason.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A request over TLS failed.
    #[error(transparent)]
    Tls(#[from] http::Error),
    /// The server did not answer in time.
    #[error("the server at {address} gave no answer within {} s", after.as_secs())]
    TimedOut {
        /// The address.
        address: String,
        /// The limit.
        after: Duration,
    },
}

impl ClientError {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            ClientError::Address(_) => Kind::Usage,
            ClientError::Tls(error) => error.kind(),
            _ => Kind::Unavailable,
        }
    }
}

/// Address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Host, in brackets if it is an IPv6 address, and port.
    Tcp(String, u16),
    /// URL of a server, or of a proxy in front of it, that is spoken to over TLS; without a path.
    Tls(String),
    /// Path of a Unix socket.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Address, ClientError> {
        // A password must not reach a terminal.
        let wrong = || ClientError::Address(if text.contains('@') { "...@..." } else { text }.to_owned());
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Address::Unix(path.into()));
        }
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let path = uri.path().trim_end_matches('/');
        let is_plain = matches!(path, "" | "/v1") && uri.query().is_none();
        match (uri.scheme_str(), uri.authority()) {
            (_, Some(authority)) if !is_plain || authority.as_str().contains('@') => Err(wrong()),
            (Some("http"), Some(authority)) => {
                Ok(Address::Tcp(authority.host().to_owned(), authority.port_u16().unwrap_or(HTTP_PORT)))
            }
            (Some("https"), Some(authority)) => Ok(Address::Tls(format!("https://{authority}"))),
            _ => Err(wrong()),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp(host, port) => write!(f, "http://{host}:{port}"),
            Address::Tls(url) => f.write_str(url),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Address {
    /// True if `key` may be sent there.
    pub fn may_have(&self, key: &Key) -> bool {
        let is_local = match self {
            Address::Unix(_) => true,
            Address::Tcp(host, _) => host == "localhost" || host == "[::1]" || host.starts_with("127."),
            Address::Tls(_) => false,
        };
        key.is_for(matches!(self, Address::Tls(_)), is_local)
    }
}

/// Sends `body` to `path` of the server at `address`, and returns status and body of the answer.
///
/// # Errors
/// A server that cannot be reached, breaks off, or does not answer in time.
pub fn post(
    address: &Address,
    path: &str,
    key: Option<&Key>,
    body: String,
    timeout: Duration,
) -> Result<(u16, Vec<u8>), ClientError> {
    if let Address::Tls(url) = address {
        let retry = RetryPolicy { timeout, retries: 0, ..RetryPolicy::default() };
        let client = http::Client::new(url, key.cloned(), retry)?;
        return Ok(client.exchange(path, &body, MAX_ANSWER_BYTES as u64)?);
    }
    let broken = |source| ClientError::Broken { address: address.to_string(), source };
    let unreachable = |source| ClientError::Unreachable { address: address.to_string(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unreachable)?;
    let host = match address {
        Address::Tcp(host, port) => format!("{host}:{port}"),
        Address::Unix(_) | Address::Tls(_) => "localhost".to_owned(),
    };
    let mut request = Request::post(path).header(HOST, host).header(CONTENT_TYPE, "application/json");
    if let Some(key) = key {
        request = request.header(AUTHORIZATION, key.bearer());
    }
    let request = request.body(Full::from(Bytes::from(body))).map_err(|error| broken(error.into()))?;
    let exchanged = async {
        match address {
            Address::Tcp(host, port) => {
                let name = host.trim_start_matches('[').trim_end_matches(']');
                let stream = TcpStream::connect((name, *port)).await.map_err(unreachable)?;
                exchange(stream, request).await.map_err(broken)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(unreachable)?;
                exchange(stream, request).await.map_err(broken)
            }
            Address::Tls(url) => Err(ClientError::Address(url.clone())),
        }
    };
    // A timer needs the runtime from its start.
    let exchanged = runtime.block_on(async { time::timeout(timeout, exchanged).await });
    let timed_out = |_| ClientError::TimedOut { address: address.to_string(), after: timeout };
    let (status, body) = exchanged.map_err(timed_out)??;
    Ok((status.as_u16(), body))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Vec<u8>), Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await?;
    Ok((status, body.to_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_of_this_machine_or_another_or_a_path() {
        let tcp = |host: &str, port| Address::Tcp(host.into(), port);
        for (text, expected) in [
            ("http://127.0.0.1:8080", tcp("127.0.0.1", 8080)),
            ("http://board:8080/v1/", tcp("board", 8080)),
            ("http://board", tcp("board", 80)),
            ("http://[::1]:81/", tcp("[::1]", 81)),
            ("https://board.example", Address::Tls("https://board.example".into())),
            ("https://board:8443/v1/", Address::Tls("https://board:8443".into())),
            ("unix:/run/a b", Address::Unix("/run/a b".into())),
        ] {
            assert_eq!(text.parse::<Address>().unwrap(), expected, "{text}");
        }
        for wrong in [
            "",
            "board:8080",
            "https://board/other",
            "unix:",
            "http://board/other",
            "https://me:secret@board",
        ] {
            let error = wrong.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains("unix:PATH") && !error.contains("secret"), "{error}");
        }
    }
}
