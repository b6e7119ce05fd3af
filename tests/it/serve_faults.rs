//! Clients that break off, stall or flood harm nobody else, and a server ends as it is told to.

use crate::{
    pocket,
    serving::{PATIENCE, Serving, long, reply, restaurants},
};
use edgecall::convert::FileType;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

/// Asks for a long answer and returns once it is being made: the connection, at the first byte of its answer.
fn busy(serving: &Serving) -> TcpStream {
    let mut stream = serving.send("POST /v1/chat/completions", "", long().to_string().as_bytes());
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();
    stream
}

/// Repeats a request until it is not refused for a full queue, and returns the answer.
fn once_free(serving: &Serving, body: &Value) -> Value {
    let started = Instant::now();
    loop {
        let reply = serving.chat(body);
        if reply.status == 200 {
            return reply.json();
        }
        assert_eq!(reply.error(), (429, json!("queue_full"), Value::Null));
        assert!(started.elapsed() < PATIENCE, "the place never became free");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_full_queue_is_refused_and_a_client_that_goes_away_frees_its_place() {
    let serving = Serving::start(&["--exact", "--queue", "0"]);
    let call = restaurants("Thai food in San Jose");
    let expected = serving.answer(&call)["choices"][0]["message"]["tool_calls"][0]["function"].clone();
    let first = busy(&serving);
    let refused = serving.chat(&call);
    assert_eq!(refused.error(), (429, json!("queue_full"), Value::Null));
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    drop(first);
    let answer = once_free(&serving, &call);
    assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"], expected);
}

#[test]
fn a_client_that_vanishes_in_a_stream_or_while_it_waits_frees_its_place() {
    let serving = Serving::start(&["--exact", "--queue", "1"]);
    let hi = json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4});
    for _ in 0..3 {
        let streaming = busy(&serving);
        let waiting = serving.send("POST /v1/chat/completions", "", hi.to_string().as_bytes());
        drop(waiting);
        drop(streaming);
        once_free(&serving, &hi);
    }
}

#[test]
fn half_a_body_or_a_byte_at_a_time_is_given_up_and_others_are_answered() {
    let serving = Serving::start(&["--io-timeout", "2"]);
    let line = |bytes: usize| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-length: {bytes}\r\n\r\n",
            serving.address
        )
    };
    let mut half = serving.connect();
    half.write_all(line(1000).as_bytes()).unwrap();
    half.write_all(b"{\"messages\": [").unwrap();
    let mut slow = serving.connect();
    let writer = slow.try_clone().unwrap();
    let head = line(100_000);
    let drip = thread::spawn(move || {
        let mut writer = writer;
        writer.write_all(head.as_bytes()).unwrap();
        // Until the server gives up.
        while writer.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let mut no_header = serving.connect();
    no_header.write_all(b"POST /v1/chat").unwrap();
    assert_eq!(
        serving.chat(&json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3})).status,
        200
    );
    for stalled in [&mut half, &mut slow] {
        let mut line = String::new();
        BufReader::new(stalled).read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 408"), "{line}");
    }
    drop((half, slow));
    drip.join().unwrap();
    let mut rest = Vec::new();
    no_header.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{:?}", String::from_utf8_lossy(&rest));
}

#[test]
fn a_thousand_idle_connections_keep_nobody_from_an_answer() {
    let serving = Serving::start(&[]);
    // This process may be allowed fewer.
    let mut idle: Vec<TcpStream> =
        (0..1000).map_while(|_| TcpStream::connect(&serving.address).ok()).collect();
    if idle.len() < 1000 {
        idle.truncate(idle.len().saturating_sub(100));
    }
    assert!(idle.len() > 200, "{}", idle.len());
    let hi = json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3});
    assert_eq!(serving.chat(&hi).status, 200);
}

#[test]
fn a_server_that_was_killed_can_be_started_on_its_port_again() {
    let serving = Serving::start(&["--exact"]);
    let address = serving.address.clone();
    let open = busy(&serving);
    serving.signal("-KILL");
    assert!(!serving.ended().success());
    let again = Serving::of(&pocket::pocket(FileType::Q8_0), &["--listen", &address]);
    assert_eq!(again.get("/health").status, 200);
    drop(open);
}

#[test]
fn a_signal_lets_running_answers_end_and_refuses_new_ones() {
    let serving = Serving::start(&[]);
    let call = restaurants("Thai food in San Jose");
    let running = serving.send("POST /v1/chat/completions", "", call.to_string().as_bytes());
    let waiting = serving.send("POST /v1/chat/completions", "", call.to_string().as_bytes());
    // Both have been read when a later request on a connection of its own is answered.
    assert_eq!(
        serving.chat(&json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2})).status,
        200
    );
    serving.signal("-TERM");
    for stream in [running, waiting] {
        let reply = reply(stream);
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    assert!(serving.ended().success());
}

#[test]
fn a_second_signal_ends_at_once() {
    let serving = Serving::start(&["--exact"]);
    let mut stream = busy(&serving);
    serving.signal("-TERM");
    // The first is noticed when no connection is accepted any more.
    let started = Instant::now();
    while TcpStream::connect(&serving.address).is_ok() {
        assert!(started.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(10));
    }
    serving.signal("-TERM");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(serving.ended().code().is_some_and(|code| code == 130 || code == 0));
}
