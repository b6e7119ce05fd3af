//! `GET /`: a page to try the model with.
//!
//! One document without anything from elsewhere. Its script and its style are named by their hashes, so that a browser runs
//! nothing else, whatever a model or a tool writes into it.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The document.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    include_str!("page/page.html")
        .replace("<link rel=\"stylesheet\" href=\"page.css\">", &format!("<style>{STYLE}</style>"))
        .replace("<script src=\"page.js\" defer></script>\n", "")
        .replace("</body>", &format!("<script>{SCRIPT}</script>\n</body>"))
});

/// Permissions of the document: its own style and script, and requests to this server.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    policy.parse().ok()
});

/// The page.
pub(super) async fn page() -> Response {
    let mut response = Response::new(Body::from(PAGE.as_str()));
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::CONTENT_TYPE, "text/html; charset=utf-8");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::CACHE_CONTROL, "no-cache");
    if let Some(policy) = POLICY.clone() {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_one_document_with_the_style_and_the_script_that_its_policy_names() {
        assert!(PAGE.contains(STYLE) && PAGE.contains(SCRIPT));
        assert!(!PAGE.contains("src=") && !PAGE.contains("href=\"page"), "{}", *PAGE);
        assert!(!PAGE.contains("onclick=") && !PAGE.contains("style="));
        let policy = POLICY.clone().unwrap();
        assert!(policy.to_str().unwrap().contains(&STANDARD.encode(Sha256::digest(SCRIPT))));
        // A script ends at the first such tag.
        assert!(!SCRIPT.contains("</script") && !STYLE.contains("</style"));
    }
}
