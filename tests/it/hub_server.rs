//! A local hub: the API that lists a repository's files, and a second server that has the bytes of large ones.

use crate::server::{Answer, Request, Server};
use edgecall::hash::hex;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, path::Path, process::Command, sync::Arc};

pub const ID: &str = "org/name";
pub const COMMIT: &str = "70d244cc86ccca08cf5af4e1e306ecf908b1ad5e";

pub type Files = BTreeMap<String, Vec<u8>>;

/// The hub, and the server that it redirects to.
pub struct HubServer {
    pub hub: Server,
    pub store: Server,
}

pub fn files(list: &[(&str, &[u8])]) -> Files {
    list.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect()
}

/// Bytes that look like no others.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut random = edgecall::random::SplitMix64::new(seed);
    (0..length).map(|_| (random.next_unit() * 256.0) as u8).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub fn git_hash(bytes: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", bytes.len()));
    hash.update(bytes);
    hex(&hash.finalize())
}

pub fn is_large(name: &str) -> bool {
    name.ends_with(".safetensors") || name.ends_with(".gguf")
}

/// The hub's answer about its files.
pub fn listing(files: &Files) -> Value {
    let sibling = |(name, bytes): (&String, &Vec<u8>)| match is_large(name) {
        true => json!({"rfilename": name, "size": bytes.len(), "blobId": git_hash(b"pointer"),
                       "lfs": {"sha256": sha256(bytes), "size": bytes.len(), "pointerSize": 134}}),
        false => json!({"rfilename": name, "size": bytes.len(), "blobId": git_hash(bytes)}),
    };
    json!({"id": ID, "sha": COMMIT, "gated": false, "siblings": files.iter().map(sibling).collect::<Vec<_>>()})
}

/// The files as the hub lists those of a folder.
fn tree(files: &Files) -> Value {
    let entry = |(name, bytes): (&String, &Vec<u8>)| match is_large(name) {
        true => json!({"type": "file", "path": name, "size": bytes.len(), "oid": git_hash(b"pointer"),
                       "lfs": {"oid": sha256(bytes), "size": bytes.len(), "pointerSize": 134}}),
        false => json!({"type": "file", "path": name, "size": bytes.len(), "oid": git_hash(bytes)}),
    };
    files.iter().map(entry).collect()
}

/// Start of the range that a request asks for.
pub fn range(request: &Request) -> Option<usize> {
    let line = request.header.iter().find_map(|line| line.strip_prefix("range: bytes="))?;
    line.strip_suffix('-')?.parse().ok()
}

/// The bytes that a request asks for: all, or those from the start of its range on.
pub fn part(request: &Request, bytes: &[u8]) -> Answer {
    match range(request) {
        None => Answer::bytes(200, "", "application/octet-stream", bytes),
        Some(start) => {
            let range = format!("content-range: bytes {start}-{}/{}\r\n", bytes.len() - 1, bytes.len());
            Answer::bytes(206, &range, "application/octet-stream", &bytes[start..])
        }
    }
}

/// The hub's refusal of a request, with the cause that it names.
pub fn refusal(status: u16, cause: &str) -> Answer {
    let cause = format!("x-error-code: {cause}\r\nx-error-message: the hub's own words\r\n");
    Answer::of(status, &cause, "application/json", r#"{"error": "the hub's own words"}"#)
}

impl HubServer {
    pub fn start(files: Files) -> HubServer {
        HubServer::with(files, |_, _| None, |_, _, _| None)
    }

    /// `on_hub` and `on_store` may answer a request in place of the servers; they get the number of earlier ones, and
    /// the bytes that the store has.
    pub fn with(
        files: Files,
        on_hub: impl Fn(&Request, usize) -> Option<Answer> + Send + Sync + 'static,
        on_store: impl Fn(&Request, usize, &[u8]) -> Option<Answer> + Send + Sync + 'static,
    ) -> HubServer {
        let files = Arc::new(files);
        let stored = files.clone();
        let store = Server::start(move |request, n| {
            let name = request.path.split(['?', '/']).nth(1).unwrap().replace("%2F", "/");
            let bytes = &stored[&name];
            on_store(request, n, bytes).unwrap_or_else(|| part(request, bytes))
        });
        let origin = store.origin();
        let hub = Server::start(move |request, n| {
            on_hub(request, n).unwrap_or_else(|| answer(request, &files, &origin))
        });
        HubServer { hub, store }
    }

    /// Starts of the ranges that the store was asked for.
    pub fn ranges(&self) -> Vec<usize> {
        self.store.seen().iter().map(|request| range(request).unwrap_or(0)).collect()
    }

    /// `edgecall ARGS` with this hub and the cache in `home`.
    pub fn edgecall(&self, home: &Path, args: &[&str]) -> Command {
        let mut command = edgecall(home, args);
        command.env("HF_ENDPOINT", self.hub.origin());
        command
    }
}

/// `edgecall ARGS` with the cache in `home`, and without settings of the machine.
pub fn edgecall(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_uppercase();
        if ["HF_", "HUGGING", "TRANSFORMERS_", "RUST_LOG"].iter().any(|start| text.starts_with(start)) {
            command.env_remove(name);
        }
    }
    // No other server is reached, whatever is wrong.
    command.env("HF_ENDPOINT", "http://127.0.0.1:9").env("HF_HOME", home).args(args);
    command
}

fn answer(request: &Request, files: &Files, store: &str) -> Answer {
    if request.path.starts_with(&format!("/api/models/{ID}/revision/")) {
        return Answer::json(&listing(files));
    }
    // Asked for by later versions of Python's client.
    if request.path.starts_with(&format!("/api/models/{ID}/tree/{COMMIT}")) {
        return Answer::json(&tree(files));
    }
    let name = request.path.strip_prefix(&format!("/{ID}/resolve/{COMMIT}/"));
    let Some(bytes) = name.and_then(|name| files.get(name)) else { return refusal(404, "EntryNotFound") };
    let name = name.unwrap();
    let about = |hash| format!("etag: \"{hash}\"\r\nx-repo-commit: {COMMIT}\r\n");
    match (is_large(name), &*request.method) {
        (true, _) => {
            let linked = format!(
                "location: {store}/{}?signature=signed\r\nx-linked-etag: \"{}\"\r\nx-linked-size: {}\r\n{}",
                name.replace('/', "%2F"),
                sha256(bytes),
                bytes.len(),
                about(git_hash(b"pointer"))
            );
            Answer::of(302, &linked, "text/plain; charset=utf-8", "Found. Redirecting")
        }
        (false, "HEAD") => {
            let length = format!("content-length: {}\r\n{}", bytes.len(), about(git_hash(bytes)));
            Answer::raw(200, &length, "text/plain", b"")
        }
        (false, _) => Answer::bytes(200, &about(git_hash(bytes)), "text/plain; charset=utf-8", bytes),
    }
}
