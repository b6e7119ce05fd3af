//! Requests to servers that misbehave.

use crate::server::{Answer, Server, never};
use edgecall::{
    Kind,
    http::{Client, Error, Reply, RetryPolicy},
    remedy::Remedy,
};
use serde_json::json;
use std::{net::TcpListener, sync::mpsc, thread, time::Duration};

const POLICY: RetryPolicy = RetryPolicy {
    timeout: Duration::from_secs(20),
    retries: 3,
    first_pause: Duration::from_millis(2),
    longest_pause: Duration::from_secs(2),
    seed: 1,
};

fn client(url: &str, retry: RetryPolicy) -> Client {
    Client::new(url, None, retry).unwrap()
}

fn post(url: &str, retry: RetryPolicy) -> Result<Reply, Error> {
    client(url, retry).post("/completions", &json!({"prompt": "é"}))
}

fn fine() -> Answer {
    Answer::json(&json!({"fine": true}))
}

#[test]
fn a_request_that_fails_for_now_is_made_again_until_it_succeeds() {
    // Each kind of failure occurs once before the answer.
    let server = Server::start(|_, n| match n {
        0 => Answer::status(500, "", "out of memory"),
        1 => Answer::of(503, "", "text/plain", "starting"),
        2 => fine().cut(5),
        3 => Answer::of(200, "", "application/json; charset=utf-8", "{\"fine\": tr"),
        4 => fine().cut(90),
        _ => fine(),
    });
    let client = client(&server.url(), RetryPolicy { retries: 5, ..POLICY });
    let reply = client.post("/completions", &json!({"prompt": "é"})).unwrap();
    assert_eq!(reply.json, json!({"fine": true}));
    assert_eq!((server.seen().len(), client.retries()), (6, 5));
    for request in server.seen() {
        assert_eq!((&*request.path, &request.body), ("/v1/completions", &json!({"prompt": "é"})));
    }
}

#[test]
fn an_answer_longer_than_any_is_refused_early_with_its_size() {
    for (body, expected) in [
        // Announced.
        (format!("[{}0]", "0,".repeat(32 << 20)), "answered with 67108867 bytes, more than the"),
        // Short enough, and thirty times as long in memory.
        (format!("[{}0]", "0,".repeat(1 << 20)), "answered with 1048577 values"),
        (format!("[{}0]", "{},".repeat(800_000)), "values, more than any answer has"),
    ] {
        let server = Server::start(move |_, _| Answer::of(200, "", "application/json", &body));
        let error = post(&server.url(), POLICY).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!((server.seen().len(), error.kind()), (1, Kind::Unavailable));
    }
}

#[test]
fn the_last_failure_is_told_with_the_servers_words_and_the_number_of_tries() {
    let server = Server::start(|_, _| Answer::status(500, "", "out of\nmemory\u{7}"));
    let error = post(&server.url(), POLICY).unwrap_err();
    assert_eq!(server.seen().len(), 4);
    let url = server.url();
    let expected = format!("{url}/completions answered with status 500, tried 4 times: out of memory");
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.remedies(), [Remedy::MoreRetries]);
    assert_eq!(error.kind(), Kind::Unavailable);
}

#[test]
fn a_pause_that_the_server_names_replaces_the_clients_own() {
    let server = Server::start(|_, n| match n {
        0 => Answer::status(429, "retry-after: 0\r\n", "slow down"),
        _ => fine(),
    });
    // The client's own pause would outlast the test.
    let hour = Duration::from_secs(3600);
    let retry = RetryPolicy { first_pause: hour, longest_pause: hour, ..POLICY };
    let (url, (done, answered)) = (server.url(), mpsc::channel());
    thread::spawn(move || done.send(post(&url, retry).is_ok()));
    assert_eq!(answered.recv_timeout(Duration::from_secs(300)), Ok(true));
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn what_will_not_pass_is_not_tried_again() {
    for (answer, expected) in [
        (
            (400, "", "application/json", r#"{"error": {"message": "unknown field `seed`"}}"#),
            "answered with status 400, tried once: unknown field `seed`",
        ),
        ((401, "", "application/json", "{}"), "answered with status 401, tried once: {}"),
        ((404, "", "text/html", "<h1>Not found</h1>"), "are address and model name right?"),
        (
            (302, "location: https://elsewhere.example/v1\r\n", "text/html", ""),
            "redirects to https://elsewhere.example/v1 (status 302)",
        ),
        (
            (200, "", "text/html", "<!doctype html><title>Welcome</title>"),
            "something else than JSON (text/html), tried once: `<!doctype html><title>Welcome</title>`",
        ),
    ] {
        let (status, more, content_type, body) = answer;
        let server = Server::start(move |_, _| Answer::of(status, more, content_type, body));
        let error = post(&server.url(), POLICY).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        let remedies = if status == 401 { vec![Remedy::ServerKey] } else { Vec::new() };
        assert_eq!(error.remedies(), remedies, "{error}");
        assert_eq!(server.seen().len(), 1, "{error}");
    }
}

#[test]
fn a_server_that_is_too_slow_is_given_up() {
    let server = Server::start(|_, _| never());
    let retry = RetryPolicy { timeout: Duration::from_millis(60), retries: 1, ..POLICY };
    let error = post(&server.url(), retry).unwrap_err();
    assert!(error.to_string().ends_with("within 0.06 s, tried 2 times"), "{error}");
    assert_eq!(error.remedies(), [Remedy::LongerTimeout]);
}

#[test]
fn nobody_listening_is_told_after_a_few_tries() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = post(&format!("http://127.0.0.1:{port}"), POLICY).unwrap_err();
    assert!(error.to_string().contains("tried 4 times; is the server running"), "{error}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.to_lowercase().contains("refused"), "{source}");
}

#[test]
fn json_under_another_type_is_taken() {
    let server = Server::start(|_, _| Answer::of(200, "", "text/plain", r#"{"fine": true}"#));
    assert_eq!(post(&server.url(), POLICY).unwrap().json, json!({"fine": true}));
}
