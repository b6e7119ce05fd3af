//! Sockets that the server listens on.

use crate::kind::Kind;
use listenfd::ListenFd;
use std::{
    fs, io,
    net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs},
    os::unix::{
        fs::FileTypeExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

/// Reasons why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The system refuses the address.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address or path.
        address: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Something else than a socket is at the path.
    #[error("{} is there and is no socket", path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// Another server listens at the path.
    #[error("another server listens on {}", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// A socket from systemd that is of another kind.
    #[error("systemd passed a socket that is neither a TCP nor a Unix stream socket")]
    Passed(#[source] io::Error),
}

impl ListenError {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            ListenError::Bind { source, .. } if source.kind() == io::ErrorKind::InvalidInput => Kind::Usage,
            ListenError::NoSocket { .. } => Kind::CannotCreate,
            _ => Kind::Unavailable,
        }
    }
}

/// Origin of a connection, which decides what a request must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A program of this machine, or a web page in its browser.
    Loopback,
    /// Any machine.
    Network,
    /// A program that may open the socket's file.
    Unix,
}

/// A socket that is bound.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// Unix domain, with the path of a file that this server made.
    Unix(UnixListener, Option<PathBuf>),
}

/// The same for tokio.
pub(super) enum Socket {
    Tcp(tokio::net::TcpListener, Origin),
    Unix(tokio::net::UnixListener, Option<PathBuf>),
}

impl Listener {
    /// Listens on `address`, such as `127.0.0.1:8080` or `localhost:0`.
    ///
    /// # Errors
    /// [`ListenError::Bind`].
    pub fn tcp(address: &str) -> Result<Listener, ListenError> {
        let failed = |source| ListenError::Bind { address: address.to_owned(), source };
        let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(failed)?.collect();
        TcpListener::bind(&*addresses).map(Listener::Tcp).map_err(failed)
    }

    /// Listens on a Unix socket at `path`, which only this user may open. A socket that an earlier server left is replaced.
    ///
    /// # Errors
    /// As [`Listener::tcp`]; something else at the path.
    pub fn unix(path: &Path) -> Result<Listener, ListenError> {
        let failed = |source| ListenError::Bind { address: path.display().to_string(), source };
        if let Ok(metadata) = fs::symlink_metadata(path) {
            if !metadata.file_type().is_socket() {
                return Err(ListenError::NoSocket { path: path.to_path_buf() });
            }
            if UnixStream::connect(path).is_ok() {
                return Err(ListenError::InUse { path: path.to_path_buf() });
            }
            fs::remove_file(path).map_err(failed)?;
        }
        // For nobody else, not even for a moment.
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let bound = UnixListener::bind(path);
        rustix::process::umask(before);
        bound.map(|socket| Listener::Unix(socket, Some(path.to_path_buf()))).map_err(failed)
    }

    /// The sockets that systemd passed (`LISTEN_FDS`); none if it started no socket.
    ///
    /// # Errors
    /// [`ListenError::Passed`].
    pub fn passed() -> Result<Vec<Listener>, ListenError> {
        let mut passed = ListenFd::from_env();
        let mut listeners = Vec::new();
        for index in 0..passed.len() {
            let listener = match passed.take_tcp_listener(index) {
                Ok(socket) => socket.map(Listener::Tcp),
                Err(_) => {
                    let socket = passed.take_unix_listener(index).map_err(ListenError::Passed)?;
                    socket.map(|socket| Listener::Unix(socket, None))
                }
            };
            listeners.extend(listener);
        }
        Ok(listeners)
    }

    /// True if programs of other machines may connect.
    pub fn is_open_to_the_network(&self) -> bool {
        matches!(self, Listener::Tcp(socket) if origin(socket) == Origin::Network)
    }

    /// The address as a client needs it: a URL, or `unix:PATH`.
    pub fn address(&self) -> String {
        match self {
            Listener::Tcp(socket) => match socket.local_addr() {
                Ok(address) => format!("http://{address}"),
                Err(_) => "a TCP socket".to_owned(),
            },
            Listener::Unix(socket, path) => {
                let address = socket.local_addr().ok();
                let passed = address.as_ref().and_then(|address| address.as_pathname());
                let path = path.as_deref().or(passed);
                path.map_or_else(|| "a Unix socket".to_owned(), |path| format!("unix:{}", path.display()))
            }
        }
    }

    pub(super) fn into_tokio(self) -> io::Result<Socket> {
        Ok(match self {
            Listener::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                let origin = origin(&socket);
                Socket::Tcp(tokio::net::TcpListener::from_std(socket)?, origin)
            }
            Listener::Unix(socket, path) => {
                socket.set_nonblocking(true)?;
                Socket::Unix(tokio::net::UnixListener::from_std(socket)?, path)
            }
        })
    }
}

fn origin(socket: &TcpListener) -> Origin {
    let ip = socket.local_addr().map(|address| address.ip());
    let is_loopback = match ip {
        Ok(IpAddr::V6(ip)) => ip.to_ipv4_mapped().map_or(ip.is_loopback(), |ip| ip.is_loopback()),
        Ok(IpAddr::V4(ip)) => ip.is_loopback(),
        Err(_) => false,
    };
    if is_loopback { Origin::Loopback } else { Origin::Network }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_socket_that_was_left_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let first = Listener::unix(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(first.address(), format!("unix:{}", path.display()));
        assert!(matches!(Listener::unix(&path), Err(ListenError::InUse { .. })));
        drop(first);
        Listener::unix(&path).unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "kept").unwrap();
        assert!(matches!(Listener::unix(&file), Err(ListenError::NoSocket { .. })));
        assert_eq!(fs::read(&file).unwrap(), b"kept");
    }

    #[test]
    fn only_loopback_addresses_are_closed_to_the_network() {
        for (address, is_open) in [("127.0.0.1:0", false), ("localhost:0", false), ("0.0.0.0:0", true)] {
            assert_eq!(Listener::tcp(address).unwrap().is_open_to_the_network(), is_open, "{address}");
        }
        assert!(Listener::tcp("127.0.0.1").is_err());
        let taken = Listener::tcp("127.0.0.1:0").unwrap();
        let address = taken.address();
        assert!(Listener::tcp(address.strip_prefix("http://").unwrap()).is_err());
    }
}
