//! Addresses of servers, as people give them.

use super::Error;
use ureq::http::Uri;

/// Base address, origin and host of `url`.
pub(super) fn base(url: &str) -> Result<(String, String, String), Error> {
    let parsed = address(url, "is no address; give one such as http://localhost:8080/v1")?;
    let mut path = parsed.path.as_str();
    for method in ["/chat/completions", "/completions", "/models"] {
        path = path.strip_suffix(method).unwrap_or(path);
    }
    let path = if path.is_empty() { "/v1" } else { path };
    Ok((format!("{}{path}", parsed.origin), parsed.origin, parsed.host))
}

/// Address of a server.
pub(super) struct Address {
    /// Scheme and authority, such as `https://a.example:8080`.
    pub origin: String,
    pub host: String,
    /// Path, without a slash at its end.
    pub path: String,
}

/// The parts of `url`; `malformed` is the problem of one that has none.
pub(super) fn address(url: &str, malformed: &'static str) -> Result<Address, Error> {
    let wrong = |shown: &str, problem| Error::Url { url: shown.to_owned(), problem };
    // A password must not reach a terminal or a log.
    if url.split(['/', '?', '#']).nth(2).is_some_and(|authority| authority.contains('@')) {
        return Err(wrong(
            "the URL",
            "holds a name or a password; leave them out and put the key into the environment",
        ));
    }
    if url.contains(['?', '#']) {
        return Err(wrong(
            "the URL",
            "holds `?` or `#`; give the base address alone and put the key into the environment",
        ));
    }
    let parsed: Uri = url.parse().map_err(|_| wrong(url, malformed))?;
    let (Some(scheme), Some(authority)) = (parsed.scheme_str(), parsed.authority()) else {
        return Err(wrong(url, malformed));
    };
    if !matches!(scheme, "http" | "https") {
        return Err(wrong(url, "does not begin with http:// or https://"));
    }
    Ok(Address {
        origin: format!("{scheme}://{authority}"),
        host: authority.host().to_owned(),
        path: parsed.path().trim_end_matches('/').to_owned(),
    })
}

/// True for a name of this machine.
pub(super) fn is_local(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_address_is_found_in_whatever_was_given() {
        for (url, expected) in [
            ("http://localhost:8080", "http://localhost:8080/v1"),
            ("http://localhost:8080/", "http://localhost:8080/v1"),
            ("https://api.example.org/v1/", "https://api.example.org/v1"),
            ("https://api.example.org/v1/chat/completions", "https://api.example.org/v1"),
            ("http://[::1]:80/v1/completions", "http://[::1]:80/v1"),
            ("https://example.org/openai/deployments/x", "https://example.org/openai/deployments/x"),
        ] {
            assert_eq!(base(url).unwrap().0, expected, "{url}");
        }
        assert_eq!(base("https://a.example:8/x/v1").unwrap().1, "https://a.example:8");
    }

    #[test]
    fn what_is_no_address_is_refused_and_no_password_is_repeated() {
        for (url, expected) in [
            ("localhost:8080", "is no address"),
            ("ftp://localhost/v1", "does not begin with http://"),
            ("http://", "is no address"),
            ("http://me:secret@host/v1", "the URL holds a name or a password"),
            ("http://host/v1?api_key=secret", "the URL holds `?`"),
        ] {
            let message = base(url).unwrap_err().to_string();
            assert!(message.contains(expected) && !message.contains("secret"), "{message}");
        }
    }
}
