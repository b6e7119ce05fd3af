//! Why a server gave no answer.

use crate::error::Kind;
use std::time::Duration;

/// Why a server gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Text that is no address of a server.
    #[error("{url} {problem}")]
    Url {
        /// The address, or words for it where it may hold a secret.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A key that no header can hold.
    #[error("{name} holds characters that no key has; set it anew, without spaces and line feeds")]
    Key {
        /// The variable of the environment.
        name: &'static str,
    },
    /// The server cannot be reached, or the connection broke.
    #[error("cannot reach {url}, {}; is the server running, and the address right?", tried(*tries))]
    Unreachable {
        /// The address.
        url: String,
        /// How often it was tried.
        tries: u32,
        /// The reason.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server's certificate is not to be trusted.
    #[error(
        "{url} shows a certificate that is not trusted; name that of a private authority in SSL_CERT_FILE"
    )]
    Untrusted {
        /// The address.
        url: String,
        /// The reason.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The answer did not come in time.
    #[error(
        "no answer from {url} within {} s, {}; allow more with --timeout",
        after.as_secs_f64(), tried(*tries)
    )]
    TimedOut {
        /// The address.
        url: String,
        /// How long was waited.
        after: Duration,
        /// How often it was tried.
        tries: u32,
    },
    /// The server refuses the request or failed.
    #[error("{url} answered with status {status}, {}: {}{}", tried(*tries), words(said), hint(*status, *with_key))]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: u16,
        /// The server's words.
        said: String,
        /// The variable that the key came from, if one was sent.
        with_key: Option<&'static str>,
        /// How often it was tried.
        tries: u32,
    },
    /// The server names another address.
    #[error("{url} redirects to {to} (status {status}); give that address if it is the one you mean")]
    Redirect {
        /// The address.
        url: String,
        /// The status.
        status: u16,
        /// The other address.
        to: String,
    },
    /// The answer is no JSON.
    #[error(
        "{url} answered with something else than JSON ({content_type}), {}: `{begins}`; is that the address of an \
         OpenAI-compatible server?",
        tried(*tries)
    )]
    NotJson {
        /// The address.
        url: String,
        /// The type that the server gave it.
        content_type: String,
        /// How the answer begins.
        begins: String,
        /// How often it was tried.
        tries: u32,
        /// The parser's reason.
        #[source]
        source: serde_json::Error,
    },
    /// The answer has no end in sight.
    #[error(
        "{url} answered with more than {limit} bytes; is that the address of an OpenAI-compatible server?"
    )]
    TooLong {
        /// The address.
        url: String,
        /// The most that is read.
        limit: u64,
    },
    /// The answer is JSON and not the one that the method has.
    #[error(
        "{url} gave an answer without {missing}: `{begins}`; is that the address of an OpenAI-compatible server?"
    )]
    Incomplete {
        /// The address.
        url: String,
        /// What is missing.
        missing: &'static str,
        /// How the answer begins.
        begins: String,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Url { .. } | Error::Key { .. } => Kind::Usage,
            _ => Kind::Unavailable,
        }
    }
}

fn tried(tries: u32) -> String {
    if tries == 1 { "tried once".into() } else { format!("tried {tries} times") }
}

fn words(said: &str) -> &str {
    if said.is_empty() { "without a word" } else { said }
}

/// What to do about a status.
fn hint(status: u16, with_key: Option<&str>) -> String {
    match (status, with_key) {
        (401 | 403, None) => "; put the server's key into EDGECALL_API_KEY".into(),
        (401 | 403, Some(name)) => format!("; is the key in {name} this server's?"),
        (404, _) => "; are address and model name right?".into(),
        (408 | 425 | 429 | 500..=599, _) => "; try again later, or allow more tries with --retries".into(),
        _ => String::new(),
    }
}
