//! Errors of MCP servers.

use crate::kind::Kind;
use std::{io, time::Duration};

/// Result of the functions that connect to servers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Reasons why a server's tools cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text that is no command line.
    #[error("`{command}` is no command with its arguments; see to its quotes")]
    Command {
        /// The text.
        command: String,
    },
    /// An address that cannot be used.
    #[error("`{url}` is no address of a server: {problem}")]
    Url {
        /// The address.
        url: String,
        /// The defect.
        problem: String,
    },
    /// A server that cannot be started, or a connection that cannot be prepared.
    #[error("the MCP server {server} cannot be started")]
    Start {
        /// Its name.
        server: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A server that does not answer as one.
    #[error("the MCP server {server} does not answer as one: {problem}{}", written(.stderr))]
    Connect {
        /// Its name.
        server: String,
        /// The defect.
        problem: String,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
    /// A server that takes too long.
    #[error("the MCP server {server} did not answer within {} s{}", .limit.as_secs_f64(), written(.stderr))]
    Timeout {
        /// Its name.
        server: String,
        /// The limit.
        limit: Duration,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
    /// A list of tools without an end.
    #[error("the MCP server {server} lists more tools than fit any context")]
    TooManyTools {
        /// Its name.
        server: String,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Command { .. } | Error::Url { .. } => Kind::Usage,
            _ => Kind::Unavailable,
        }
    }
}

fn written(stderr: &str) -> String {
    match stderr.is_empty() {
        true => String::new(),
        false => format!("; it wrote: {stderr}"),
    }
}
