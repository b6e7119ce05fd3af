//! Requests to the hub, with retries; statuses become errors that say what to do.

use super::{Digest, Error, Progress, RemoteFile, RepoId, listing::Listing};
use crate::http::{FetchError, Fetcher, Key, Method, Pauses, Received, RetryPolicy, retry_after};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::{io::Read, thread, time::Duration};

/// Longest list of files that is read. That of a repository with 50,000 files has 15 MB.
const MAX_LISTING_BYTES: u64 = 64 << 20;
/// Characters that a path of an address has as they are.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
/// The same without the slash, for a revision, which is one component.
const COMPONENT: &AsciiSet = &PATH.add(b'/');

/// Client for a hub.
pub(super) struct Client {
    fetcher: Fetcher,
    retry: RetryPolicy,
}

/// A failed try, classified for retries.
pub(super) enum FailedAttempt {
    /// A retry may help, after this pause if the server named one. `progressed` tells that the try brought some bytes.
    ForNow { error: Error, asked: Option<Duration>, progressed: bool },
    /// A retry would fail as well.
    ForGood(Error),
}

impl From<Error> for FailedAttempt {
    fn from(error: Error) -> FailedAttempt {
        FailedAttempt::ForGood(error)
    }
}

/// A request, for its errors.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub id: &'a RepoId,
    pub revision: &'a str,
    /// File, or none for the list of all.
    pub file: Option<&'a str>,
}

impl Target<'_> {
    /// Path of the request, below the hub's address.
    fn path(&self) -> String {
        let (id, revision) = (self.id, utf8_percent_encode(self.revision, COMPONENT));
        match self.file {
            Some(file) => format!("/{id}/resolve/{revision}/{}", utf8_percent_encode(file, PATH)),
            None => format!("/api/models/{id}/revision/{revision}?blobs=true"),
        }
    }

    fn what(&self) -> String {
        match self.file {
            Some(file) => format!("{file} of {}", self.id),
            None => format!("the list of files of {}", self.id),
        }
    }
}

impl Client {
    /// Client for the hub at `endpoint`.
    pub fn new(endpoint: &str, token: Option<Key>, retry: RetryPolicy) -> Result<Client, Error> {
        let fetcher = Fetcher::new(endpoint, token, retry.timeout).map_err(Error::Endpoint)?;
        Ok(Client { fetcher, retry })
    }

    /// Calls `attempt` with the number of tries until it succeeds, fails for good, or fails too often. Tries that brought
    /// something are not counted.
    pub fn with_retries<T>(
        &self,
        progress: &mut dyn Progress,
        mut attempt: impl FnMut(u32, &mut dyn Progress) -> Result<T, FailedAttempt>,
    ) -> Result<T, Error> {
        let mut pauses = Pauses::new(&self.retry);
        let mut tries = 1;
        loop {
            match attempt(tries, progress) {
                Ok(value) => return Ok(value),
                Err(FailedAttempt::ForGood(error)) => return Err(error),
                Err(FailedAttempt::ForNow { error, asked, progressed }) => {
                    if progressed {
                        tries = 1;
                    }
                    if tries > self.retry.retries {
                        return Err(error);
                    }
                    let pause = pauses.next(tries - 1, asked);
                    tries += 1;
                    tracing::info!(%error, tries, pause_s = pause.as_secs_f64(), "trying again");
                    progress.wait("trying again");
                    thread::sleep(pause);
                }
            }
        }
    }

    /// The files of a repository.
    pub fn listing(&self, target: Target<'_>, progress: &mut dyn Progress) -> Result<Listing, Error> {
        let url = self.url(target);
        let json = self.with_retries(progress, |tries, _| {
            let answer = self.request(target, Method::Get, tries)?;
            self.small(target, answer, MAX_LISTING_BYTES, tries)
        })?;
        Listing::read(&url, &json)
    }

    /// Size and hash of a file whose hub does not list them, from the headers of an answer.
    pub fn metadata(&self, target: Target<'_>, progress: &mut dyn Progress) -> Result<RemoteFile, Error> {
        let name = target.file.unwrap_or_default();
        self.with_retries(progress, |tries, _| {
            let answer = self.request(target, Method::Head, tries)?;
            // What a redirect says of itself is not said of the file.
            let own = |name| if answer.status < 300 { answer.header(name) } else { "" };
            let first = |linked: &'static str, name| match answer.header(linked) {
                "" => own(name),
                value => value,
            };
            let tag = first("x-linked-etag", "etag");
            let digest = Digest::new(tag.trim_start_matches("W/").trim_matches('"'));
            let file_bytes = first("x-linked-size", "content-length").parse().ok();
            match (digest, file_bytes) {
                (Some(digest), Some(file_bytes)) => {
                    Ok(RemoteFile { name: name.to_owned(), file_bytes, digest })
                }
                _ => {
                    let problem = format!("{name:?} without its size and hash, so it could not be checked");
                    Err(Error::Listing { url: self.url(target), problem }.into())
                }
            }
        })
    }

    /// All of a file that has no more than `limit` bytes.
    pub fn bytes(
        &self,
        target: Target<'_>,
        limit: u64,
        progress: &mut dyn Progress,
    ) -> Result<Vec<u8>, Error> {
        self.with_retries(progress, |tries, _| {
            let answer = self.request(target, Method::Get, tries)?;
            self.small(target, answer, limit, tries)
        })
    }

    /// Sends one request; an answer with an error status is an error, and so is a page for people.
    pub fn request(&self, target: Target<'_>, method: Method, tries: u32) -> Result<Received, FailedAttempt> {
        let answer = self
            .fetcher
            .request(&target.path(), method)
            .map_err(|source| self.failed(target, source, tries))?;
        let is_right = (200..300).contains(&answer.status) || method == Method::Head && answer.status < 400;
        if !is_right {
            return Err(self.refused(target, answer, tries));
        }
        match answer.is_web_page() {
            true => Err(Error::WebPage { url: self.url(target) }.into()),
            false => Ok(answer),
        }
    }

    /// A connection that failed.
    pub fn failed(&self, target: Target<'_>, source: FetchError, tries: u32) -> FailedAttempt {
        let is_for_now = source.is_for_now();
        let error = Error::Connection { what: target.what(), tries, source };
        match is_for_now {
            true => FailedAttempt::ForNow { error, asked: None, progressed: false },
            false => FailedAttempt::ForGood(error),
        }
    }

    /// A body that broke.
    pub fn broken(
        &self,
        target: Target<'_>,
        host: &str,
        source: std::io::Error,
        tries: u32,
    ) -> FailedAttempt {
        self.failed(target, self.fetcher.broken(host, source), tries)
    }

    /// The whole body of an answer.
    fn small(
        &self,
        target: Target<'_>,
        answer: Received,
        limit: u64,
        tries: u32,
    ) -> Result<Vec<u8>, FailedAttempt> {
        let host = answer.host.clone();
        let mut body = Vec::new();
        let read = answer.into_reader().take(limit + 1).read_to_end(&mut body);
        read.map_err(|source| self.broken(target, &host, source, tries))?;
        if body.len() as u64 > limit {
            return Err(Error::TooLong { url: self.url(target), limit }.into());
        }
        Ok(body)
    }

    /// Address of a request, for people.
    pub fn url(&self, target: Target<'_>) -> String {
        let path = target.path();
        format!("{}{}", self.fetcher.base(), path.strip_suffix("?blobs=true").unwrap_or(&path))
    }

    /// Classifies an answer with an error status. The hub names the cause in a header; without it the status decides.
    fn refused(&self, target: Target<'_>, answer: Received, tries: u32) -> FailedAttempt {
        let (hub, id) = (self.fetcher.base().to_owned(), target.id.to_string());
        let token = self.fetcher.key_name();
        let (status, is_own) = (answer.status, answer.is_own);
        let cause = answer.header("x-error-code").to_owned();
        let asked = retry_after(answer.header("retry-after"));
        let url = match is_own {
            true => self.url(target),
            // The address of another server is signed.
            false => format!("{}, which {} redirects to,", answer.host, self.url(target)),
        };
        let error = match (status, &*cause) {
            (401 | 403, "GatedRepo") => Error::Gated { hub, id, token },
            (401 | 403 | 404, "RepoNotFound") => Error::NoRepository { hub, id, token },
            (404, "RevisionNotFound") => Error::NoRevision { id, revision: target.revision.to_owned() },
            (404, "EntryNotFound") => {
                Error::NoSuchFile { id, file: target.file.unwrap_or_default().to_owned(), names: Vec::new() }
            }
            // Without a token the hub answers like this for names that do not exist, too.
            (401, _)
                if is_own && token.is_none() && !self.fetcher.keeps_key_back() && target.file.is_none() =>
            {
                Error::NoRepository { hub, id, token }
            }
            (401 | 403, _) if is_own => Error::Unauthorized {
                url,
                token,
                kept_back: self.fetcher.keeps_key_back(),
                said: self.fetcher.message(answer),
            },
            (404, _) if is_own && target.file.is_none() => Error::NoRepository { hub, id, token },
            (429, _) => Error::TooManyRequests { url, tries, with_token: token.is_some() },
            _ => Error::Status { url, status, said: self.fetcher.message(answer), tries },
        };
        match status {
            408 | 425 | 429 | 500 | 502 | 503 | 504 => {
                FailedAttempt::ForNow { error, asked, progressed: false }
            }
            // A signed address has an end; the next try gets a new one.
            400 | 401 | 403 if !is_own => FailedAttempt::ForNow { error, asked, progressed: false },
            _ => FailedAttempt::ForGood(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_escapes_that_the_hub_expects() {
        let id = "a/b".parse().unwrap();
        let path = |revision, file| Target { id: &id, revision, file }.path();
        assert_eq!(path("refs/pr/1", None), "/api/models/a/b/revision/refs%2Fpr%2F1?blobs=true");
        assert_eq!(path("main", Some("x y/ä?#%.gguf")), "/a/b/resolve/main/x%20y/%C3%A4%3F%23%25.gguf");
    }
}
