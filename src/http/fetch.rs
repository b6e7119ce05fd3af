//! Files over HTTP: requests that follow redirects, with the key for one server alone.
//!
//! A server of files answers with a redirect to another server, which has the bytes and wants no key: the address itself
//! is signed. So each step of a redirect is a request of its own, and only those to the server that the user named carry
//! the key. A signed address is as good as a key for a while, so errors name servers and never whole addresses.

use super::{Error, Key, address, config, excerpt, is_local, resolver::Resolver, said, text};
use std::{
    io::{self, Read},
    time::Duration,
};
use ureq::{
    Agent, Body, RequestExt,
    http::{HeaderMap, Request, Response, StatusCode, Uri, header},
    unversioned::transport::DefaultConnector,
};

/// Most redirects that are followed from one to the next.
const MAX_REDIRECTS: usize = 8;
/// Most bytes of an error page that are read for its message.
const ERROR_PAGE_BYTES: u64 = 64 << 10;

/// Client for the files of one server and of those that it redirects to.
pub struct Fetcher {
    agent: Agent,
    base: String,
    origin: String,
    key: Option<Key>,
    /// True if there is a key that must not be sent, since everybody between could read it.
    keeps_key_back: bool,
    timeout: Duration,
}

/// Method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The whole file.
    Get,
    /// The file from this byte on.
    GetFrom(u64),
    /// The headers alone; redirects to other servers are not followed.
    Head,
}

/// Start of an answer; its body is still to be read.
pub struct Received {
    /// HTTP status.
    pub status: u16,
    /// True if the server answered that was asked, and none that it redirected to.
    pub is_own: bool,
    /// Host that answered.
    pub host: String,
    headers: HeaderMap,
    body: Body,
}

/// Reasons for no answer at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The server cannot be reached, or the connection broke.
    #[error("cannot reach {host}; is there a network, and the address right?")]
    Unreachable {
        /// The server.
        host: String,
        /// Cause of the failure.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server's certificate is not trusted.
    #[error(
        "{host} shows a certificate that is not trusted; name that of a private authority in SSL_CERT_FILE"
    )]
    Untrusted {
        /// The server.
        host: String,
        /// Cause of the failure.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server sends nothing.
    #[error("{host} sent nothing for {} s", after.as_secs_f64())]
    TimedOut {
        /// The server.
        host: String,
        /// Time limit.
        after: Duration,
    },
    /// The connection broke within an answer.
    #[error("the connection to {host} broke")]
    Broken {
        /// The server.
        host: String,
        /// Cause of the failure.
        #[source]
        source: io::Error,
    },
    /// A redirect that is not followed.
    #[error("{host} redirects {problem}")]
    Redirect {
        /// The server.
        host: String,
        /// Problem with it.
        problem: &'static str,
    },
}

impl FetchError {
    /// True if another try may help.
    pub fn is_for_now(&self) -> bool {
        match self {
            FetchError::TimedOut { .. } | FetchError::Broken { .. } => true,
            FetchError::Unreachable { source, .. } => matches!(
                **source,
                ureq::Error::Io(_)
                    | ureq::Error::ConnectionFailed
                    | ureq::Error::HostNotFound
                    | ureq::Error::Protocol(_)
            ),
            FetchError::Untrusted { .. } | FetchError::Redirect { .. } => false,
        }
    }
}

impl Fetcher {
    /// Client for the server at `base`. It waits for `timeout` at most, for a connection and for each next piece of an
    /// answer. A key that must not be sent there ([`Key::is_for`]) is kept back.
    ///
    /// # Errors
    /// [`Error::Url`] for an invalid address, or one with a user name, a password or a query.
    pub fn new(base: &str, key: Option<Key>, timeout: Duration) -> Result<Fetcher, Error> {
        let address = address(base, "is no address; give one such as https://huggingface.co")?;
        let may_send = |key: &Key| key.is_for(base.starts_with("https://"), is_local(&address.host));
        let keeps_key_back = key.as_ref().is_some_and(|key| !may_send(key));
        let config = config(timeout)
            .timeout_resolve(Some(timeout))
            .timeout_recv_response(Some(timeout))
            .timeout_per_read(Some(timeout))
            .timeout_per_write(Some(timeout))
            // The bytes of a file are counted and hashed as they are.
            .accept_encoding("identity");
        let agent = Agent::with_parts(config.build(), DefaultConnector::default(), Resolver::default());
        Ok(Fetcher {
            agent,
            base: format!("{}{}", address.origin, address.path),
            origin: address.origin,
            key: key.filter(may_send),
            keeps_key_back,
            timeout,
        })
    }

    /// Base address, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Place that the key came from, if one is sent.
    pub fn key_name(&self) -> Option<&'static str> {
        self.key.as_ref().map(Key::name)
    }

    /// True if there is a key that is not sent, since the connection is not encrypted.
    pub fn keeps_key_back(&self) -> bool {
        self.keeps_key_back
    }

    /// Requests `path` below the base address.
    ///
    /// # Errors
    /// No answer, or a redirect that is not followed.
    pub fn request(&self, path: &str, method: Method) -> Result<Received, FetchError> {
        let mut url = format!("{}{path}", self.base);
        for _ in 0..=MAX_REDIRECTS {
            let uri: Uri = url.parse().map_err(|_| FetchError::Redirect {
                host: self.origin.clone(),
                problem: "to something that is no address",
            })?;
            let host = uri.authority().map(ToString::to_string).unwrap_or_default();
            let is_own = origin(&uri) == self.origin;
            let response = self.send(&uri, method, is_own).map_err(|error| self.failed(&host, error))?;
            let next = match response.status().is_redirection() {
                true => text(response.headers(), header::LOCATION),
                false => String::new(),
            };
            let next = (!next.is_empty()).then(|| joined(&uri, &next));
            match next {
                // What is known of a file stands in the headers of its own server.
                Some(next) if method != Method::Head || next.starts_with(&format!("{}/", self.origin)) => {
                    if uri.scheme_str() == Some("https") && !next.starts_with("https://") {
                        let problem = "from an encrypted connection to another one, which is not followed";
                        return Err(FetchError::Redirect { host, problem });
                    }
                    url = next;
                }
                _ => {
                    let (status, headers) = (response.status().as_u16(), response.headers().clone());
                    return Ok(Received { status, is_own, host, headers, body: response.into_body() });
                }
            }
        }
        Err(FetchError::Redirect { host: self.origin.clone(), problem: "again and again" })
    }

    fn send(&self, uri: &Uri, method: Method, is_own: bool) -> Result<Response<Body>, ureq::Error> {
        let mut request = Request::builder().uri(uri).method(match method {
            Method::Head => "HEAD",
            Method::Get | Method::GetFrom(_) => "GET",
        });
        if let Method::GetFrom(start) = method {
            request = request.header(header::RANGE, format!("bytes={start}-"));
        }
        if let Some(key) = self.key.as_ref().filter(|_| is_own) {
            request = request.header(header::AUTHORIZATION, key.bearer());
        }
        let request = request.body(())?.with_agent(&self.agent);
        match is_local(uri.host().unwrap_or_default()) {
            // Proxies do not reach servers of this machine.
            true => request.configure().proxy(None).run(),
            false => request.run(),
        }
    }

    /// The error for a request to `host` that got no answer.
    fn failed(&self, host: &str, source: ureq::Error) -> FetchError {
        let host = host.to_owned();
        match source {
            ureq::Error::Timeout(_) => FetchError::TimedOut { host, after: self.timeout },
            ureq::Error::Io(ref cause) if cause.kind() == io::ErrorKind::TimedOut => {
                FetchError::TimedOut { host, after: self.timeout }
            }
            ureq::Error::Io(ref cause) if cause.kind() == io::ErrorKind::InvalidData => {
                // rustls reports an untrusted certificate like this.
                FetchError::Untrusted { host, source: Box::new(source) }
            }
            other => FetchError::Unreachable { host, source: Box::new(other) },
        }
    }

    /// The error for a body that broke.
    pub fn broken(&self, host: &str, source: io::Error) -> FetchError {
        match source.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                FetchError::TimedOut { host: host.to_owned(), after: self.timeout }
            }
            _ => FetchError::Broken { host: host.to_owned(), source },
        }
    }

    /// A server's text as one line of some hundred characters, without the key.
    pub fn excerpt(&self, text: &str) -> String {
        excerpt(text, self.key.as_ref())
    }

    /// The message of an answer with an error status, without the key; empty if it has none.
    pub fn message(&self, answer: Received) -> String {
        let header = answer.header("x-error-message").to_owned();
        if !header.is_empty() {
            return self.excerpt(&header);
        }
        let is_page = answer.is_web_page();
        let mut page = Vec::new();
        let read = answer.into_reader().take(ERROR_PAGE_BYTES).read_to_end(&mut page);
        match read.is_ok() && !is_page {
            true => self.excerpt(&said(&page)),
            false => String::new(),
        }
    }
}

impl Received {
    /// A header; empty if it is missing or no text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Announced length of the body.
    pub fn content_length(&self) -> Option<u64> {
        self.body.content_length()
    }

    /// True for a page for people, such as that of a network that wants a login first.
    pub fn is_web_page(&self) -> bool {
        let kind = self.header("content-type").trim_start().to_ascii_lowercase();
        kind.starts_with("text/html") || kind.starts_with("application/xhtml")
    }

    /// True for a part of a file.
    pub fn is_part(&self) -> bool {
        self.status == StatusCode::PARTIAL_CONTENT.as_u16()
    }

    /// The body. The caller bounds it.
    pub fn into_reader(self) -> impl Read {
        self.body.into_reader()
    }
}

/// Scheme and authority of an address.
fn origin(uri: &Uri) -> String {
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme), Some(authority)) => format!("{scheme}://{authority}"),
        _ => String::new(),
    }
}

/// The address that `location` names in an answer of `from` (RFC 3986, section 5.2).
fn joined(from: &Uri, location: &str) -> String {
    let is_absolute = location.split_once("://").is_some_and(|(scheme, _)| !scheme.contains(['/', '?', '#']));
    if is_absolute {
        return location.to_owned();
    }
    let scheme = from.scheme_str().unwrap_or("https");
    if location.starts_with("//") {
        return format!("{scheme}:{location}");
    }
    let origin = origin(from);
    if location.starts_with('/') {
        return format!("{origin}{location}");
    }
    let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{origin}{folder}/{location}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_where_a_browser_would_go() {
        let from: Uri = "https://hub.example:8443/org/name/resolve/main/a?b=c".parse().unwrap();
        for (location, expected) in [
            ("https://cdn.example/x?s=1", "https://cdn.example/x?s=1"),
            ("//cdn.example/x", "https://cdn.example/x"),
            ("/org/new/a", "https://hub.example:8443/org/new/a"),
            ("b?u=http://x", "https://hub.example:8443/org/name/resolve/main/b?u=http://x"),
        ] {
            assert_eq!(joined(&from, location), expected);
        }
    }

    #[test]
    fn a_key_stays_off_a_network_in_the_clear() {
        let fetcher = |url: &str| {
            let key = Key::new("HF_TOKEN", "hf_secret", false).unwrap();
            Fetcher::new(url, Some(key), Duration::from_secs(1)).unwrap()
        };
        let kept = |url| (fetcher(url).key_name(), fetcher(url).keeps_key_back());
        assert_eq!(kept("https://hub.example/mirror/"), (Some("HF_TOKEN"), false));
        assert_eq!(kept("http://127.0.0.1:8080"), (Some("HF_TOKEN"), false));
        assert_eq!(kept("http://hub.example"), (None, true));
        assert_eq!(fetcher("https://hub.example/mirror/").base(), "https://hub.example/mirror");
    }
}
