//! Errors of a request to a server.

use crate::{kind::Kind, remedy::Remedy};
use std::time::Duration;

/// Error of a request to a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not an address of a server.
    #[error("{url} {problem}")]
    Url {
        /// The address, or a replacement if it may contain a secret.
        url: String,
        /// Problem with the address.
        problem: &'static str,
    },
    /// The key has characters that a header cannot contain.
    #[error("{name} holds characters that no key has; set it anew, without spaces and line feeds")]
    Key {
        /// Environment variable that holds it.
        name: &'static str,
    },
    /// The server cannot be reached, or the connection broke.
    #[error("cannot reach {url}, {}; is the server running, and the address right?", tried(*tries))]
    Unreachable {
        /// The address.
        url: String,
        /// Number of tries.
        tries: u32,
        /// Cause of the last failure.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server's certificate is not trusted.
    #[error(
        "{url} shows a certificate that is not trusted; name that of a private authority in SSL_CERT_FILE"
    )]
    Untrusted {
        /// The address.
        url: String,
        /// Cause of the failure.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server did not answer in time.
    #[error(
        "no answer from {url} within {} s, {}",
        after.as_secs_f64(), tried(*tries)
    )]
    TimedOut {
        /// The address.
        url: String,
        /// Time limit of a request.
        after: Duration,
        /// Number of tries.
        tries: u32,
    },
    /// The server refused the request, or failed.
    #[error("{url} answered with status {status}, {}: {}{}", tried(*tries), words(said), hint(*status, *with_key))]
    Status {
        /// The address.
        url: String,
        /// HTTP status.
        status: u16,
        /// Message of the server.
        said: String,
        /// Environment variable of the key, if one was sent.
        with_key: Option<&'static str>,
        /// Number of tries.
        tries: u32,
    },
    /// The server redirects to another address.
    #[error("{url} redirects to {to} (status {status}); give that address if it is the one you mean")]
    Redirect {
        /// The address.
        url: String,
        /// HTTP status.
        status: u16,
        /// Target of the redirect.
        to: String,
    },
    /// The answer is not JSON.
    #[error(
        "{url} answered with something else than JSON ({content_type}), {}: `{begins}`; is that the address of an \
         OpenAI-compatible server?",
        tried(*tries)
    )]
    NotJson {
        /// The address.
        url: String,
        /// Content type of the answer.
        content_type: String,
        /// Beginning of the answer.
        begins: String,
        /// Number of tries.
        tries: u32,
        /// Error of the JSON parser.
        #[source]
        source: serde_json::Error,
    },
    /// The answer is too long.
    #[error("{url} answered with {size}; is that the address of an OpenAI-compatible server?")]
    TooLong {
        /// The address.
        url: String,
        /// Size and limit, in words.
        size: String,
    },
    /// The answer is JSON, but lacks a field.
    #[error(
        "{url} gave an answer without {missing}: `{begins}`; is that the address of an OpenAI-compatible server?"
    )]
    Incomplete {
        /// The address.
        url: String,
        /// Missing field.
        missing: &'static str,
        /// Beginning of the answer.
        begins: String,
    },
}

impl Error {
    /// Class of the error; it decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Url { .. } | Error::Key { .. } => Kind::Usage,
            _ => Kind::Unavailable,
        }
    }

    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::TimedOut { .. } => vec![Remedy::LongerTimeout],
            Error::Status { status: 401 | 403, with_key: None, .. } => vec![Remedy::ServerKey],
            Error::Status { status: 408 | 425 | 429 | 500..=599, .. } => vec![Remedy::MoreRetries],
            _ => Vec::new(),
        }
    }
}

fn tried(tries: u32) -> String {
    if tries == 1 { "tried once".into() } else { format!("tried {tries} times") }
}

fn words(said: &str) -> &str {
    if said.is_empty() { "without a word" } else { said }
}

/// Likely cause of a status.
fn hint(status: u16, with_key: Option<&str>) -> String {
    match (status, with_key) {
        (401 | 403, Some(name)) => format!("; is the key in {name} this server's?"),
        (404, _) => "; are address and model name right?".into(),
        _ => String::new(),
    }
}
