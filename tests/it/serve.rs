//! `edgecall serve` answers as `edgecall call` does, and refuses by name what it cannot do.

use crate::{
    pocket, program,
    serving::{Serving, example, reply, request, restaurants},
};
use edgecall::convert::FileType;
use serde_json::{Value, json};
use std::{fs, io::Write, os::unix::net::UnixStream, process::Stdio};

/// The message of `edgecall call` for a request body.
fn called(body: &Value, folder: &tempfile::TempDir) -> Value {
    let path = folder.path().join("body.json");
    fs::write(&path, body.to_string()).unwrap();
    let output = program::edgecall()
        .args(["call", "--threads", "1", "--no-cache", "--output", "openai", "-m"])
        .arg(pocket::pocket(FileType::Q8_0))
        .arg("--messages")
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What must be the same: text, calls without their ids, and why it ended.
fn gist(completion: &Value) -> Value {
    let choice = &completion["choices"][0];
    let calls = choice["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
    let calls: Vec<Value> = calls.into_iter().map(|call| call["function"].clone()).collect();
    json!([
        choice["message"]["content"],
        calls,
        choice["finish_reason"],
        completion["usage"]["completion_tokens"]
    ])
}

#[test]
fn answers_are_those_of_a_call_whatever_was_asked_before() {
    let serving = Serving::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let mut conversation = restaurants("x");
    let messages: Value = serde_json::from_slice(&fs::read(example("conversation.json")).unwrap()).unwrap();
    let system = conversation["messages"][0].clone();
    conversation["messages"] = messages;
    conversation["messages"].as_array_mut().unwrap().insert(0, system);
    let mut auto = restaurants("Somewhere cheap in Berkeley, please");
    auto["tool_choice"] = json!("auto");
    let mut named = restaurants("Thai food in San Jose");
    named["tool_choice"] = json!({"type": "function", "function": {"name": "ReserveRestaurant"}});
    let mut warm = restaurants("Thai food in San Jose");
    warm["temperature"] = json!(0.8);
    warm["seed"] = json!(7);
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum": ["p", "q"]}},
        "required": ["a", "b"], "additionalProperties": false});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}});
    let text = json!({"messages": [{"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hello!"}]}], "max_completion_tokens": 20, "stop": "zzz"});
    let json = json!({"messages": [{"role": "user", "content": "Hello!"}], "response_format": format});
    let requests = [restaurants("Thai food in San Jose"), conversation, auto, named, warm, text, json];
    let expected: Vec<Value> = requests.iter().map(|body| gist(&called(body, &folder))).collect();
    // Twice, so that each stands behind another, and some behind what they have in common with it.
    for nth in (0..requests.len()).chain((0..requests.len()).rev()) {
        let answer = serving.answer(&requests[nth]);
        assert_eq!(gist(&answer), expected[nth], "{}", requests[nth]);
        assert_eq!(answer["object"], "chat.completion");
        assert_eq!(answer["model"], "pocket-Q8_0");
    }
    let usage = serving.answer(&requests[0])["usage"].clone();
    let again = serving.answer(&requests[0])["usage"].clone();
    assert!(again["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap() > 0, "{usage} {again}");
    assert_eq!(usage["prompt_tokens"], again["prompt_tokens"]);
}

#[test]
fn an_answer_that_the_budget_cuts_off_has_no_half_call() {
    let serving = Serving::start(&[]);
    let mut body = restaurants("Thai food in San Jose");
    body["max_tokens"] = json!(8);
    for stream in [false, true] {
        body["stream"] = json!(stream);
        let reply = serving.chat(&body);
        assert_eq!(reply.status, 200);
        match stream {
            false => {
                let answer = reply.json();
                let choice = &answer["choices"][0];
                assert_eq!(choice["finish_reason"], "length", "{answer}");
                assert!(
                    choice["message"]["content"].is_null() && choice["message"].get("tool_calls").is_none()
                );
                assert!(answer["usage"]["completion_tokens"].as_u64().unwrap() >= 8);
            }
            true => {
                let events = reply.events();
                assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "length");
            }
        }
    }
}

#[test]
fn what_cannot_be_answered_is_refused_with_status_code_and_field() {
    let serving = Serving::start(&["--max-body", "64K"]);
    let hi = json!([{"role": "user", "content": "Hi"}]);
    let with = |fields: Value| {
        let mut body = json!({"messages": hi});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    for (fields, status, param) in [
        (json!({"n": 2}), 400, "n"),
        (json!({"messages": []}), 400, "messages"),
        (json!({"messages": "Hi"}), 400, "messages"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}),
            400,
            "messages",
        ),
        (json!({"presence_penalty": 1}), 400, "presence_penalty"),
        (json!({"tool_choice": "required"}), 400, "tool_choice"),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "objekt"}}}]}),
            400,
            "tools",
        ),
        (json!({"messages": [{"role": "user", "content": "word ".repeat(12_000)}]}), 400, "messages"),
    ] {
        let reply = serving.chat(&with(fields.clone()));
        let (found, _, named) = reply.error();
        assert_eq!((found, named), (status, json!(param)), "{fields}: {}", reply.body);
    }
    for bytes in
        [&b""[..], b"{", b"nope", b"\xff\xfe\0", b"[1, 2]", &b"[".repeat(60_000), b"{\"messages\": null}"]
    {
        let refused = reply(serving.send("POST /v1/chat/completions", "", bytes));
        assert_eq!(refused.error().0, 400, "{}", refused.body);
    }
    let long = with(json!({"user": "x".repeat(70_000)}));
    assert_eq!(serving.chat(&long).error(), (413, json!("body_too_long"), Value::Null));
    assert_eq!(serving.get("/v1/nothing").error().0, 404);
    assert_eq!(serving.get("/v1/chat/completions").error().0, 405);
    // It still answers.
    assert_eq!(serving.chat(&with(json!({"max_tokens": 4}))).status, 200);
}

#[test]
fn the_model_is_listed_and_the_server_says_that_it_lives() {
    let serving = Serving::start(&["--alias", "pocket"]);
    let models = serving.get("/v1/models").json();
    assert_eq!((models["object"].as_str(), models["data"][0]["id"].as_str()), (Some("list"), Some("pocket")));
    assert_eq!(serving.get("/health").json(), json!({"status": "ok"}));
    assert_eq!(serving.get("/ready").status, 200);
    let answer = serving.answer(&json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3}));
    assert_eq!(answer["model"], "pocket");
}

#[test]
fn pages_of_other_origins_and_names_of_other_machines_are_refused() {
    let serving = Serving::start(&["--cors", "https://a.example"]);
    let send = |line: &str, more: &str| {
        let mut stream = serving.connect();
        stream.write_all(&request(line, more, b"{}")).unwrap();
        reply(stream)
    };
    let own = format!("host: {}\r\n", serving.address);
    assert_eq!(
        send("GET /v1/models", "host: evil.example\r\n").error(),
        (403, json!("host_not_allowed"), Value::Null)
    );
    let evil = send("POST /v1/chat/completions", &format!("{own}origin: https://evil.example\r\n"));
    assert_eq!(evil.error().1, "origin_not_allowed");
    assert_eq!(evil.header("access-control-allow-origin"), None);
    let allowed = send("GET /v1/models", &format!("{own}origin: https://a.example\r\n"));
    assert_eq!(
        (allowed.status, allowed.header("access-control-allow-origin")),
        (200, Some("https://a.example"))
    );
    let asked = "access-control-request-headers: authorization\r\n";
    let preflight =
        send("OPTIONS /v1/chat/completions", &format!("{own}origin: https://a.example\r\n{asked}"));
    assert_eq!(
        (preflight.status, preflight.header("access-control-allow-headers")),
        (204, Some("authorization"))
    );
}

#[test]
fn with_a_key_only_those_who_have_it_are_answered_and_it_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, "sk-the-secret\n").unwrap();
    let serving = Serving::start(&["--api-key-file", path.to_str().unwrap()]);
    let get = |path: &str, more: &str| reply(serving.send(&format!("GET {path}"), more, b""));
    let none = get("/v1/models", "");
    assert_eq!(none.error(), (401, json!("invalid_api_key"), Value::Null));
    assert_eq!(none.header("www-authenticate"), Some("Bearer"));
    for wrong in
        ["Bearer sk-the-secre", "Bearer sk-the-secret2", "Basic sk-the-secret", "Bearer ", "sk-the-secret"]
    {
        let refused = get("/v1/models", &format!("authorization: {wrong}\r\n"));
        assert_eq!(refused.status, 401, "{wrong}");
        assert!(!refused.body.contains("the-secre"), "{}", refused.body);
    }
    assert_eq!(get("/v1/models", "authorization: bearer sk-the-secret\r\n").status, 200);
    assert_eq!(get("/health", "").status, 200);
}

#[test]
fn the_page_is_for_everyone_and_may_load_nothing_but_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, "sk-the-secret\n").unwrap();
    let serving = Serving::start(&["--api-key-file", path.to_str().unwrap()]);
    let page = serving.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.body.starts_with("<!doctype html>") && !page.body.contains("the-secret"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    // Whatever else is asked for needs the key, and a page of another name gets nothing.
    assert_eq!(serving.get("/v1/models").status, 401);
    let mut stream = serving.connect();
    stream.write_all(&request("GET /", "host: evil.example\r\n", b"")).unwrap();
    assert_eq!(reply(stream).error().1, "host_not_allowed");
}

#[test]
fn details_tell_of_tokens_keywords_and_times_where_they_are_asked_for() {
    let serving = Serving::start(&[]);
    let mut body = restaurants("Thai food in San Jose");
    let plain = serving.answer(&body);
    assert!(plain.get("edgecall").is_none());
    body["edgecall_details"] = json!(true);
    let answer = serving.answer(&body);
    assert_eq!(gist(&answer), gist(&plain));
    let details = &answer["edgecall"];
    let tokens = details["tokens"].as_array().unwrap();
    let text: String = tokens.iter().map(|token| token["text"].as_str().unwrap()).collect();
    let arguments =
        answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"].as_str().unwrap();
    assert!(text.contains(arguments), "{text}");
    for source in ["model", "forced"] {
        assert!(tokens.iter().any(|token| token["source"] == source), "{details}");
    }
    let statuses =
        |tool: &Value| tool["keywords"].as_array().unwrap().iter().all(|line| line["status"].is_string());
    assert!(details["tools"].as_array().unwrap().iter().all(statuses), "{details}");
    assert_eq!(details["tools"].as_array().unwrap().len(), body["tools"].as_array().unwrap().len());
    assert_eq!(details["timings"]["generated_tokens"], answer["usage"]["completion_tokens"]);
    assert!(details["timings"]["decode_ms"].as_f64().unwrap() > 0.0);
    body["max_tokens"] = json!(6);
    let cut = serving.answer(&body);
    assert!(cut["edgecall"]["error"].is_string() && cut["edgecall"]["tools"].is_array(), "{cut}");
    let mut json = json!({"messages": [{"role": "user", "content": "Hi"}], "edgecall_details": true});
    assert!(serving.answer(&json)["edgecall"]["tools"].is_null());
    json["response_format"] =
        json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": [1, 2]}}});
    assert_eq!(serving.answer(&json)["edgecall"]["tools"][0]["keywords"][0]["keyword"], "enum");
    json["stream"] = json!(true);
    assert_eq!(serving.chat(&json).error().2, "edgecall_details");
}

#[test]
fn other_machines_are_served_only_with_a_key_or_by_leave() {
    let model = pocket::pocket(FileType::Q8_0);
    let output = Serving::command(&model, &["--listen", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("--api-key-file") && stderr.contains("--no-auth"), "{stderr}");
    let serving = Serving::of(&model, &["--listen", "0.0.0.0:0", "--no-auth"]);
    assert!(serving.address.starts_with("0.0.0.0:"), "{}", serving.address);
    let taken = Serving::start(&[]);
    let output = Serving::command(&model, &["--listen", &taken.address]).output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_unix_socket_is_served_and_taken_away_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let serving = Serving::of(&pocket::pocket(FileType::Q8_0), &["--unix", path.to_str().unwrap()]);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(&request("GET /v1/models", "host: whatever\r\n", b"")).unwrap();
    assert_eq!(reply(stream).status, 200);
    serving.signal("-TERM");
    assert!(serving.ended().success());
    assert!(!path.exists());
}

#[test]
fn a_profile_serves_requests_that_bring_nothing_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pocket.gguf");
    fs::copy(pocket::pocket(FileType::Q8_0), &path).unwrap();
    let written = program::edgecall()
        .arg("profile")
        .arg(&path)
        .args(
            [
                ["--task".as_ref(), example("task.txt").as_os_str()],
                ["--tools".as_ref(), example("tools.json").as_os_str()],
            ]
            .concat(),
        )
        .output()
        .unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let serving = Serving::of(&path, &["--listen", "127.0.0.1:0"]);
    let text = "I would like to eat Thai food in San Jose tonight";
    let answer = serving.answer(&json!({"messages": [{"role": "user", "content": text}]}));
    let whole = serving.answer(&restaurants(text));
    assert_eq!(gist(&answer), gist(&whole));
    assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "FindRestaurants");
    let own = json!({"messages": [{"role": "user", "content": text}], "tools": [], "max_tokens": 5});
    assert!(serving.answer(&own)["choices"][0]["message"].get("tool_calls").is_none());
}

/// What the deltas of a stream add up to, in the form of a message.
fn joined(events: &[Value]) -> (Value, Value) {
    let (mut content, mut calls, mut finish) = (String::new(), Vec::<Value>::new(), Value::Null);
    for event in events {
        assert_eq!(event["object"], "chat.completion.chunk");
        assert_eq!(event["id"], events[0]["id"]);
        let Some(choice) = event["choices"].get(0) else { continue };
        content += choice["delta"]["content"].as_str().unwrap_or_default();
        for delta in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = delta["index"].as_u64().unwrap() as usize;
            if index == calls.len() {
                assert!(delta["id"].is_string() && delta["type"] == "function", "{delta}");
                calls.push(json!({"name": delta["function"]["name"], "arguments": ""}));
            }
            let so_far = calls[index]["arguments"].as_str().unwrap().to_owned();
            calls[index]["arguments"] = (so_far + delta["function"]["arguments"].as_str().unwrap()).into();
        }
        if !choice["finish_reason"].is_null() {
            finish = choice["finish_reason"].clone();
        }
    }
    let content = if content.is_empty() { Value::Null } else { content.into() };
    (json!([content, calls]), finish)
}

#[test]
fn the_pieces_of_a_stream_are_the_answer_and_arguments_come_member_by_member() {
    let serving = Serving::start(&[]);
    let call = restaurants("A table for two at Paper Lantern in Oakland on March 8th, 2019 at 7:30 pm");
    let mut checked = call.clone();
    // Checked after the value is written, so that it may be taken back: nothing of it is sent before.
    let tool = &mut checked["tools"][0]["function"]["parameters"];
    tool["not"] = json!({"required": ["nothing", "of", "the", "kind"]});
    let mut auto = call.clone();
    auto["tool_choice"] = json!("auto");
    let text = json!({"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 40});
    let stopped =
        json!({"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 40, "stop": ["e"]});
    for (body, is_call) in [(call, true), (checked, false), (auto, false), (text, false), (stopped, false)] {
        let whole = serving.answer(&body);
        let mut body = body;
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
        let reply = serving.chat(&body);
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        let events = reply.events();
        let (message, finish) = joined(&events);
        let expected = gist(&whole);
        assert_eq!(message[1], expected[1], "{body}");
        assert_eq!(message[0].as_str().unwrap_or_default(), expected[0].as_str().unwrap_or_default());
        assert_eq!(finish, expected[2]);
        let usage = &events.last().unwrap()["usage"];
        assert_eq!(usage["completion_tokens"], whole["usage"]["completion_tokens"]);
        assert!(events[..events.len() - 1].iter().all(|event| event["usage"].is_null()));
        if is_call {
            let pieces = events.iter().filter(|event| {
                let delta = &event["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"];
                delta.as_str().is_some_and(|text| !text.is_empty())
            });
            assert!(pieces.count() >= 3, "{}", reply.body);
        }
    }
}

#[test]
fn metrics_count_what_was_answered() {
    let serving = Serving::start(&[]);
    let hi = json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3});
    serving.answer(&hi);
    serving.chat(&json!({"messages": []}));
    let text = serving.get("/metrics").body;
    assert!(text.contains("edgecall_answers_total{status=\"200\",code=\"\"} 1"), "{text}");
    assert!(
        text.contains("edgecall_answers_total{status=\"400\",code=\"invalid_request_error\"} 1"),
        "{text}"
    );
    assert!(text.contains("edgecall_tokens_total{kind=\"generated\"} 3"), "{text}");
    assert!(text.contains("edgecall_slots 1\n") && text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn a_prompt_is_gone_on_with_as_the_benchmark_asks_for_it() {
    let serving = Serving::start(&[]);
    let post = |path: &str, body: Value| {
        reply(serving.send(&format!("POST {path}"), "", body.to_string().as_bytes()))
    };
    let prompt = "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n";
    let tokens =
        post("/tokenize", json!({"content": prompt, "add_special": true, "parse_special": true})).json();
    let ids = tokens["tokens"].as_array().unwrap();
    assert!(ids.len() > 4 && ids.len() < prompt.len() / 2, "{tokens}");
    let ask = |prompt: Value| {
        let reply =
            post("/v1/completions", json!({"prompt": prompt, "max_tokens": 12, "stop": ["<|im_end|>"]}));
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    };
    let (by_text, by_tokens) = (ask(json!(prompt)), ask(tokens["tokens"].clone()));
    assert_eq!(by_text["object"], "text_completion");
    assert!(!by_text["choices"][0]["text"].as_str().unwrap().is_empty(), "{by_text}");
    assert_eq!(by_text["choices"], by_tokens["choices"]);
    assert_eq!(by_text["usage"]["prompt_tokens"], ids.len());
    assert_eq!(
        post("/v1/completions", json!({"prompt": [1_000_000]})).error(),
        (400, Value::Null, json!("prompt"))
    );
    assert_eq!(post("/v1/completions", json!({"prompt": "x", "stream": "yes"})).error().2, "stream");
}

/// The output of `edgecall call` in a folder with the example's files, without its own model if it asks a server.
fn call(folder: &std::path::Path, arguments: &[&str]) -> std::process::Output {
    program::edgecall()
        .args(["call", "--tools", "tools.json", "--task", "task.txt"])
        .args(arguments)
        .current_dir(folder)
        .env_remove("EDGECALL_MODEL")
        .env_remove("EDGECALL_SERVER")
        .env_remove("EDGECALL_API_KEY")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn a_call_through_a_server_prints_and_ends_as_one_with_the_model() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["tools.json", "task.txt"] {
        fs::copy(example(name), folder.path().join(name)).unwrap();
    }
    let path = pocket::pocket(FileType::Q8_0);
    let local = ["-m", path.to_str().unwrap(), "--threads", "1", "--no-cache"];
    let socket = folder.path().join("socket");
    let by_path = format!("unix:{}", socket.display());
    let tcp = Serving::start(&[]);
    let unix = Serving::of(&path, &["--unix", socket.to_str().unwrap()]);
    let by_url = format!("http://{}/v1", tcp.address);
    for arguments in [
        &["Thai food in San Jose"][..],
        &["--output", "name", "Thai food in San Jose"],
        &["--tool-choice", "auto", "Hello!"],
        &["--tool-choice", "none", "--max-tokens", "9", "Hello!"],
        &["--tool-choice", "ReserveRestaurant", "--temperature", "0.7", "--seed", "3", "Thai"],
        &["--max-tokens", "6", "Thai food in San Jose"],
        &["--tool-choice", "Nothing", "Thai food in San Jose"],
    ] {
        let expected = call(folder.path(), &[&local[..], arguments].concat());
        for server in [&by_url, &by_path] {
            let found = call(folder.path(), &[&["--server", server][..], arguments].concat());
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(text(&found.stdout), text(&expected.stdout), "{arguments:?}: {}", text(&found.stderr));
            assert_eq!(found.status.code(), expected.status.code(), "{arguments:?}");
            assert_eq!(text(&found.stderr), text(&expected.stderr), "{arguments:?}");
        }
    }
    drop(unix);
    let gone = call(folder.path(), &["--server", &by_path, "Hi"]);
    assert_eq!(gone.status.code(), Some(69), "{}", String::from_utf8_lossy(&gone.stderr));
    for option in [
        "--exact",
        "--threads=1",
        "--kv-type=f16",
        "--flash-attn=auto",
        "--repack=auto",
        "--draft=auto",
        "--no-cache",
        "--no-history",
        "--cache-dir=folder",
        "--cache-read-rate=40",
        "--kernels=auto",
    ] {
        let useless = call(folder.path(), &["--server", &by_url, option, "Hi"]);
        let stderr = String::from_utf8_lossy(&useless.stderr);
        assert_eq!(useless.status.code(), Some(2), "{option}: {stderr}");
        assert!(stderr.contains("has no effect on a server's model"), "{option}: {stderr}");
    }
}
