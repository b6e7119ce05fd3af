//! Checks of a request before anything of it is read: Host, origin and key.

use super::{listener::Origin, reply, shared::Shared};
use crate::api::{ApiError, Result};
use axum::{
    body::Body,
    extract::{Extension, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use std::{net::IpAddr, sync::Arc};

/// Paths that need no key: a supervisor asks them, and a browser has none to ask for the page.
const OPEN: [&str; 3] = ["/", "/health", "/ready"];

/// Lets a request pass or refuses it, and adds what browsers need for a page of another origin.
pub(super) async fn check(
    State(shared): State<Arc<Shared>>,
    Extension(from): Extension<Origin>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let allowed = match allowed_origin(headers, &shared.options.origins) {
        Ok(allowed) => allowed,
        Err(error) => return reply::error(&error),
    };
    let refused = check_host(headers, from).and_then(|()| check_key(&request, &shared));
    let mut response = match (refused, request.method()) {
        (Err(error), method) if method != Method::OPTIONS || error.status != 401 => reply::error(&error),
        // A preflight never has the key.
        (_, &Method::OPTIONS) => preflight(request.headers()),
        _ => next.run(request).await,
    };
    if let Some(origin) = allowed {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

/// The origin of a page that may use the server, for the answer; `None` for requests of no page, or of our own.
///
/// # Errors
/// A page of another origin.
fn allowed_origin(headers: &HeaderMap, origins: &[String]) -> Result<Option<HeaderValue>> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(None) };
    let text = origin.to_str().unwrap_or_default();
    if origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(text)) {
        return Ok(Some(origin.clone()));
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = text.split_once("://").map(|(_, authority)| authority);
    if authority.is_some() && authority == host {
        return Ok(None);
    }
    let message = "web pages of other origins may not use this server unless it was started to allow theirs";
    Err(ApiError::new(403, "permission_error", message).with_code("origin_not_allowed"))
}

fn preflight(headers: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let answer = response.headers_mut();
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// Refuses a name that somebody else may have pointed to this machine (DNS rebinding).
fn check_host(headers: &HeaderMap, from: Origin) -> Result<()> {
    if from != Origin::Loopback {
        return Ok(());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if is_loopback(host) {
        return Ok(());
    }
    let message = "the header `Host` names another machine; use the address that the server listens on";
    Err(ApiError::new(403, "permission_error", message).with_code("host_not_allowed"))
}

/// True if `host`, with or without a port, can only mean this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.trim_end_matches('.');
    let is_named =
        name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost");
    is_named || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn check_key(request: &Request, shared: &Shared) -> Result<()> {
    let keys = &shared.options.keys;
    if keys.is_empty() || OPEN.contains(&request.uri().path()) {
        return Ok(());
    }
    let value = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = value
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match key {
        Some((_, key)) if keys.accepts(key.trim()) => Ok(()),
        _ => {
            let problem =
                if value.is_some() { "the API key is wrong" } else { "this server needs an API key" };
            let message = format!("{problem}; send it as `Authorization: Bearer KEY`");
            Err(ApiError::new(401, "authentication_error", message).with_code("invalid_api_key"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_its_own() {
        for own in
            ["127.0.0.1", "127.0.0.1:80", "localhost:8080", "LOCALHOST", "[::1]:80", "[::1]", "a.localhost:1"]
        {
            assert!(is_loopback(own), "{own}");
        }
        for other in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:80",
            "10.0.0.1",
            "[::2]:80",
        ] {
            assert!(!is_loopback(other), "{other}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_refused_unless_it_was_named() {
        let check = |origin: Option<&str>, origins: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:80"));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
            }
            let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
            allowed_origin(&headers, &origins).map(|allowed| allowed.is_some()).map_err(|error| error.status)
        };
        assert_eq!(check(None, &[]), Ok(false));
        assert_eq!(check(Some("http://127.0.0.1:80"), &[]), Ok(false));
        assert_eq!(check(Some("https://evil.example"), &[]), Err(403));
        assert_eq!(check(Some("null"), &[]), Err(403));
        assert_eq!(check(Some("https://a.example"), &["https://a.example"]), Ok(true));
        assert_eq!(check(Some("https://b.example"), &["https://a.example"]), Err(403));
        assert_eq!(check(Some("https://b.example"), &["*"]), Ok(true));
    }
}
