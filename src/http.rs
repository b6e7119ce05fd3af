//! JSON over HTTP: one request at a time, with retries.
//!
//! A request that fails for a temporary reason (a broken connection, a busy or starting server) is retried after a
//! pause that doubles each time, with jitter, or after the pause that the server asks for. Redirects are not followed,
//! since the key would go to the new address. This is the one place where a server's text enters: its length is bounded
//! and the key is cut out of it, of answers as of errors, so that nothing behind it can show or keep the key.
//!
//! [`Fetcher`] is for files instead of JSON: it follows redirects, and keeps the key back from other servers.

mod address;
mod body;
mod error;
mod fetch;
mod key;
mod redact;
mod resolver;
mod retry;

use address::{address, base, is_local};
pub use error::Error;
pub use fetch::{FetchError, Fetcher, Method, Received};
pub use key::Key;
pub use retry::RetryPolicy;
pub(crate) use retry::{Pauses, retry_after};

use serde_json::Value;
use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use ureq::{
    Agent, Body,
    config::ConfigBuilder,
    http::{HeaderMap, Response, StatusCode, header},
    tls::{RootCerts, TlsConfig},
    typestate::AgentScope,
    unversioned::transport::DefaultConnector,
};

/// Client for a server at a base address. Threads may share it.
pub struct Client {
    agent: Agent,
    base: String,
    origin: String,
    key: Option<Key>,
    retry: RetryPolicy,
    pauses: Mutex<retry::Pauses>,
    retries: AtomicUsize,
}

/// The server's answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Body of the answer.
    pub json: Value,
    /// Seconds from the successful request to its answer, without earlier tries and pauses.
    pub seconds: f64,
}

/// A failed try, classified for retries.
enum FailedAttempt {
    /// A retry may help, after this pause if the server named one.
    ForNow(Error, Option<Duration>),
    /// A retry would fail as well.
    ForGood(Error),
}

impl Client {
    /// Client for the OpenAI-compatible server at `url`: its base address with or without `/v1`, or the address of one
    /// of its endpoints. An address without a path gets `/v1`. A key that must not be sent there ([`Key::is_for`]) is
    /// left out.
    ///
    /// # Errors
    /// [`Error::Url`] for an invalid address, or one with a user name, a password or a query.
    pub fn new(url: &str, key: Option<Key>, retry: RetryPolicy) -> Result<Client, Error> {
        let (base, origin, host) = base(url)?;
        let is_local = is_local(&host);
        let mut config = config(retry.timeout).timeout_global(Some(retry.timeout));
        if is_local {
            // Proxies do not reach servers of this machine.
            config = config.proxy(None);
        }
        let key = key.filter(|key| key.is_for(base.starts_with("https://"), is_local));
        let pauses = Mutex::new(retry::Pauses::new(&retry));
        let retries = AtomicUsize::new(0);
        let agent =
            Agent::with_parts(config.build(), DefaultConnector::default(), resolver::Resolver::default());
        Ok(Client { agent, base, origin, key, retry, pauses, retries })
    }

    /// Base address, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Number of retries so far.
    pub fn retries(&self) -> usize {
        self.retries.load(Ordering::Relaxed)
    }

    /// Sends `body` to `path` below the base address.
    ///
    /// # Errors
    /// The error of the last try, if none succeeded.
    pub fn post(&self, path: &str, body: &Value) -> Result<Reply, Error> {
        self.post_at(Place::Base, path, body)
    }

    /// Sends `body` to `path` below the base address or below the server's root.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub fn post_at(&self, place: Place, path: &str, body: &Value) -> Result<Reply, Error> {
        let url = format!("{}{path}", self.start(place));
        let bytes = body.to_string();
        let limit = body::limit(body, bytes.len());
        let mut tries = 1;
        loop {
            let send = || {
                let mut request = self.agent.post(&url).content_type("application/json");
                if let Some(key) = &self.key {
                    request = request.header(header::AUTHORIZATION, key.bearer());
                }
                request.send(&bytes)
            };
            match self.attempt(&url, tries, limit, send) {
                Ok(reply) => return Ok(reply),
                Err(FailedAttempt::ForNow(_, asked)) if tries <= self.retry.retries => {
                    tries += 1;
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
                    let pause = pauses.next(tries - 2, asked);
                    drop(pauses);
                    tracing::info!(url, tries, pause_s = pause.as_secs_f64(), "trying again");
                    thread::sleep(pause);
                }
                Err(FailedAttempt::ForNow(error, _) | FailedAttempt::ForGood(error)) => return Err(error),
            }
        }
    }

    /// Sends `body`, which is JSON, to `path` below the server's root, once, and returns status and body of the answer,
    /// whatever they are. Numbers keep their text. The answer may be `most` bytes long.
    ///
    /// # Errors
    /// A server that cannot be reached or is not trusted, and an answer that takes or is too long.
    pub fn exchange(&self, path: &str, body: &str, most: u64) -> Result<(u16, Vec<u8>), Error> {
        let url = format!("{}{path}", self.origin);
        let failed = |source| match self.failed(&url, 1, source) {
            FailedAttempt::ForNow(error, _) | FailedAttempt::ForGood(error) => error,
        };
        let mut request = self.agent.post(&url).content_type("application/json");
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, key.bearer());
        }
        let mut response = request.send(body).map_err(failed)?;
        let status = response.status();
        if status.is_redirection() {
            let to = self.excerpt(&text(response.headers(), header::LOCATION));
            return Err(Error::Redirect { url, status: status.as_u16(), to });
        }
        let bytes = response.body_mut().with_config().limit(most).read_to_vec().map_err(failed)?;
        Ok((status.as_u16(), bytes))
    }

    /// Requests `path` below the base address or below the server's root, without retries.
    ///
    /// # Errors
    /// The error of the request.
    pub fn get(&self, place: Place, path: &str) -> Result<Value, Error> {
        let url = format!("{}{path}", self.start(place));
        let send = || {
            let mut request = self.agent.get(&url);
            if let Some(key) = &self.key {
                request = request.header(header::AUTHORIZATION, key.bearer());
            }
            request.call()
        };
        match self.attempt(&url, 1, body::limit(&Value::Null, 0), send) {
            Ok(reply) => Ok(reply.json),
            Err(FailedAttempt::ForNow(error, _) | FailedAttempt::ForGood(error)) => Err(error),
        }
    }

    fn start(&self, place: Place) -> &str {
        match place {
            Place::Base => &self.base,
            Place::Root => &self.origin,
        }
    }

    /// Sends one request and reads its answer.
    fn attempt(
        &self,
        url: &str,
        tries: u32,
        limit: u64,
        send: impl FnOnce() -> Result<Response<Body>, ureq::Error>,
    ) -> Result<Reply, FailedAttempt> {
        let start = Instant::now();
        let failed = |source| self.failed(url, tries, source);
        let mut response = send().map_err(failed)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let too_long = |size| FailedAttempt::ForGood(Error::TooLong { url: url.to_owned(), size });
        if let Some(announced) = response.body().content_length().filter(|&bytes| bytes > limit) {
            return Err(too_long(format!(
                "{announced} bytes, more than the {limit} that such an answer can need"
            )));
        }
        let body = response.body_mut().with_config().limit(limit).read_to_vec().map_err(failed)?;
        if let Some(values) = body::too_many_values(&body) {
            return Err(too_long(format!("{values} values, more than any answer has")));
        }
        let seconds = start.elapsed().as_secs_f64();
        if status.is_redirection() {
            let to = self.excerpt(&text(&headers, header::LOCATION));
            return Err(FailedAttempt::ForGood(Error::Redirect {
                url: url.to_owned(),
                status: status.as_u16(),
                to,
            }));
        }
        if !status.is_success() {
            return Err(self.refused(url, tries, status, &headers, &body));
        }
        match serde_json::from_slice(&body) {
            Ok(mut json) => {
                if let Some(key) = &self.key {
                    key.cut_out_of(&mut json);
                }
                Ok(Reply { json, seconds })
            }
            Err(source) => {
                let content_type = self.excerpt(&text(&headers, header::CONTENT_TYPE));
                let is_json = content_type.contains("json");
                let begins = self.excerpt(&String::from_utf8_lossy(&body));
                let error = Error::NotJson { url: url.to_owned(), content_type, begins, tries, source };
                // Broken JSON may be an incomplete answer; an HTML page comes from another server.
                Err(if is_json { FailedAttempt::ForNow(error, None) } else { FailedAttempt::ForGood(error) })
            }
        }
    }

    /// Classifies a request that got no answer.
    fn failed(&self, url: &str, tries: u32, source: ureq::Error) -> FailedAttempt {
        let url = url.to_owned();
        match source {
            ureq::Error::Timeout(_) => {
                FailedAttempt::ForNow(Error::TimedOut { url, after: self.retry.timeout, tries }, None)
            }
            ureq::Error::BodyExceedsLimit(limit) => {
                let size = format!("more than the {limit} bytes that such an answer can need");
                FailedAttempt::ForGood(Error::TooLong { url, size })
            }
            ureq::Error::Io(ref cause) if cause.kind() == io::ErrorKind::InvalidData => {
                // rustls reports an untrusted certificate like this.
                FailedAttempt::ForGood(Error::Untrusted { url, source: Box::new(source) })
            }
            ureq::Error::Io(_)
            | ureq::Error::ConnectionFailed
            | ureq::Error::HostNotFound
            | ureq::Error::Protocol(_) => {
                FailedAttempt::ForNow(Error::Unreachable { url, tries, source: Box::new(source) }, None)
            }
            other => FailedAttempt::ForGood(Error::Unreachable { url, tries, source: Box::new(other) }),
        }
    }

    /// Classifies an answer with an error status.
    fn refused(
        &self,
        url: &str,
        tries: u32,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> FailedAttempt {
        let said = self.excerpt(&said(body));
        let error = Error::Status {
            url: url.to_owned(),
            status: status.as_u16(),
            said,
            with_key: self.key.as_ref().map(Key::name),
            tries,
        };
        match status.as_u16() {
            408 | 425 | 429 | 500 | 502 | 503 | 504 => {
                FailedAttempt::ForNow(error, retry::retry_after(&text(headers, header::RETRY_AFTER)))
            }
            _ => FailedAttempt::ForGood(error),
        }
    }

    /// Beginning of a server's message, as one line and without the key.
    fn excerpt(&self, text: &str) -> String {
        excerpt(text, self.key.as_ref())
    }
}

/// Start of a request's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Below the base address, with `/v1`.
    Base,
    /// Below the server's root.
    Root,
}

/// Settings of all clients: the time to connect, no redirects, the user agent, the system's certificates.
fn config(timeout: Duration) -> ConfigBuilder<AgentScope> {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder()
        .timeout_connect(Some(timeout.min(Duration::from_secs(30))))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("edgecall/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
}

/// Beginning of a server's text, as one line and without the key.
fn excerpt(text: &str, key: Option<&Key>) -> String {
    const MOST: usize = 300;
    let text = match key {
        Some(key) => key.cut_out(text),
        None => text.to_owned(),
    };
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// Text of a header; empty if it is missing.
fn text(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

/// Message in the body of an error, in any known format; else the whole body.
fn said(body: &[u8]) -> String {
    let whole = || String::from_utf8_lossy(body).into_owned();
    let Ok(json) = serde_json::from_slice::<Value>(body) else { return whole() };
    let places = [&json["error"]["message"], &json["error"], &json["message"], &json["detail"]];
    places.into_iter().find_map(Value::as_str).map_or_else(whole, str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_an_error_is_found_in_every_form() {
        for (body, expected) in [
            (r#"{"error": {"message": "no such model", "code": 404}}"#, "no such model"),
            (r#"{"error": "no such model"}"#, "no such model"),
            (r#"{"message": "no such model"}"#, "no such model"),
            (r#"{"detail": "no such model"}"#, "no such model"),
            (r#"{"detail": ["x"]}"#, r#"{"detail": ["x"]}"#),
            ("Bad Gateway", "Bad Gateway"),
        ] {
            assert_eq!(said(body.as_bytes()), expected);
        }
    }
}
