//! Several requests at the same time: each is answered as if it were alone, and none harms the others.

use crate::serving::{PATIENCE, Reply, Serving, reply, restaurants};
use serde_json::{Value, json};
use std::{
    io::Read,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

const TEXTS: [&str; 4] = [
    "Thai food in San Jose",
    "Something cheap in Berkeley",
    "A table for two at Paper Lantern in Oakland on March 8th, 2019 at 7:30 pm",
    "Pizza in Fremont",
];

fn call(answer: &Value) -> Value {
    answer["choices"][0]["message"]["tool_calls"][0]["function"].clone()
}

/// A request whose answer takes long, since the model chooses each of many numbers, and that a stream shows piece by piece.
fn slow(text: &str) -> Value {
    let numbers = json!({"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 30, "maxItems": 30});
    let properties: serde_json::Map<String, Value> =
        (0..20).map(|nth| (format!("part{nth}"), numbers.clone())).collect();
    let required: Vec<&String> = properties.keys().collect();
    let parameters = json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    });
    json!({
        "messages": [{"role": "system", "content": "You count."}, {"role": "user", "content": text}],
        "stream": true, "max_tokens": 2800,
        "tools": [{"type": "function", "function": {"name": "count", "parameters": parameters}}],
        "tool_choice": "required",
    })
}

/// Asks for a slow answer and returns once it is being made.
fn busy(serving: &Serving) -> TcpStream {
    let mut stream = serving.send("POST /v1/chat/completions", "", slow("Count.").to_string().as_bytes());
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();
    stream
}

fn busy_slots(serving: &Serving) -> String {
    let text = serving.get("/metrics").body;
    text.lines().find(|line| line.starts_with("edgecall_slots_busy ")).unwrap().to_owned()
}

fn together(serving: &Serving, bodies: &[Value]) -> Vec<Reply> {
    thread::scope(|scope| {
        let threads: Vec<_> = bodies.iter().map(|body| scope.spawn(|| serving.chat(body))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn four_at_the_same_time_get_the_calls_that_each_would_get_alone() {
    let alone = Serving::start(&["--parallel", "1"]);
    let several = Serving::start(&["--parallel", "4"]);
    let bodies: Vec<Value> = TEXTS.map(restaurants).to_vec();
    let expected: Vec<Value> = bodies.iter().map(|body| call(&alone.answer(body))).collect();
    for _ in 0..3 {
        for (reply, expected) in together(&several, &bodies).iter().zip(&expected) {
            assert_eq!(reply.status, 200, "{}", reply.body);
            assert_eq!(call(&reply.json()), *expected);
        }
    }
    let text = several.get("/metrics").body;
    assert!(text.contains("edgecall_slots 4\n") && text.contains("edgecall_slots_busy 0\n"), "{text}");
    assert!(text.contains("edgecall_answers_total{status=\"200\",code=\"\"} 12"), "{text}");
}

#[test]
fn a_client_that_vanishes_frees_its_slot_and_the_other_is_answered() {
    let serving = Serving::start(&["--parallel", "2", "--queue", "0"]);
    let hi = restaurants(TEXTS[0]);
    let expected = call(&serving.answer(&hi));
    let (first, second) = (busy(&serving), busy(&serving));
    assert_eq!(busy_slots(&serving), "edgecall_slots_busy 2");
    assert_eq!(serving.chat(&hi).status, 429);
    drop(first);
    let started = Instant::now();
    let answer = loop {
        let reply = serving.chat(&hi);
        if reply.status == 200 {
            break reply.json();
        }
        assert_eq!(reply.error().0, 429);
        assert!(started.elapsed() < PATIENCE, "the slot never became free");
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(call(&answer), expected);
    // The first byte of the status line was read already.
    let mut rest = Vec::new();
    (&second).read_to_end(&mut rest).unwrap();
    let reply = reply([b"H".as_slice(), rest.as_slice()].concat().as_slice());
    let arguments: String = reply
        .events()
        .iter()
        .filter_map(|event| {
            let function = &event["choices"][0]["delta"]["tool_calls"][0]["function"];
            Some(function["arguments"].as_str()?.to_owned())
        })
        .collect();
    let arguments: Value = serde_json::from_str(&arguments).unwrap_or_else(|e| panic!("{e}: {arguments}"));
    assert_eq!(arguments["part19"].as_array().unwrap().len(), 30);
}

#[test]
fn a_second_slot_takes_over_what_the_first_has_evaluated() {
    let serving = Serving::start(&["--parallel", "2"]);
    let first = busy(&serving);
    let mut body = slow("Count again.");
    body["stream"] = json!(false);
    body["max_tokens"] = json!(3);
    let usage = serving.answer(&body)["usage"].clone();
    let (all, cached) = (&usage["prompt_tokens"], &usage["prompt_tokens_details"]["cached_tokens"]);
    assert!(cached.as_u64().unwrap() * 2 > all.as_u64().unwrap(), "{usage}");
    assert_eq!(busy_slots(&serving), "edgecall_slots_busy 1");
    drop(first);
}

#[test]
fn a_request_that_needs_more_than_the_slots_hold_waits_for_them_and_is_answered() {
    let serving = Serving::start(&["--parallel", "2", "--queue", "4"]);
    let hi = restaurants(TEXTS[0]);
    let expected = call(&serving.answer(&hi));
    // Longer than the slots are now.
    let long = json!({"messages": [{"role": "user", "content": "word ".repeat(1500)}], "max_tokens": 4});
    let bodies = [hi.clone(), long, hi.clone(), hi];
    let replies = together(&serving, &bodies);
    assert_eq!(replies[1].status, 200, "{}", replies[1].body);
    assert!(replies[1].json()["usage"]["prompt_tokens"].as_u64().unwrap() >= 3000);
    for reply in [&replies[0], &replies[2], &replies[3]] {
        assert_eq!(call(&reply.json()), expected);
    }
}

#[test]
fn a_full_context_is_an_error_of_its_request_alone() {
    let serving = Serving::start(&["--parallel", "3", "--ctx", "1536"]);
    let long = json!({"messages": [{"role": "user", "content": "word ".repeat(3000)}]});
    let mut cut = slow("Count.");
    cut["stream"] = json!(false);
    let hi = restaurants(TEXTS[0]);
    let expected = call(&serving.answer(&hi));
    let replies = together(&serving, &[long, cut, hi]);
    assert_eq!(replies[0].status, 400, "{}", replies[0].body);
    assert_eq!(replies[1].json()["choices"][0]["finish_reason"], "length", "{}", replies[1].body);
    assert_eq!(call(&replies[2].json()), expected);
}

#[test]
fn one_token_at_a_time_and_several_requests_at_a_time_exclude_each_other() {
    let model = crate::pocket::pocket(edgecall::convert::FileType::Q8_0);
    let output = Serving::command(&model, &["--exact", "--parallel", "2"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--exact") && stderr.contains("--parallel"), "{stderr}");
}
