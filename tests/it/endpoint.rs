//! Served models, compared with local ones.

use crate::{
    pocket::pocket,
    server::{Answer, Request, Server},
};
use edgecall::{bench::row::RowFile, convert::FileType};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

const CALL: &str =
    "<tool_call>\n{\"name\": \"respond_to_user\", \"arguments\": {\"message\": \"Hi\"}}\n</tool_call>";

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// `edgecall bench tft` on the first 9 calls, which belong to two conversations.
fn tft(out: &Path, args: &[&str]) -> Command {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/restaurants/benchmark");
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
    command.args(["bench", "tft", "--limit", "9", "--threads", "1", "--max-tokens", "64", "--no-drift"]);
    command.arg("--data").arg(data).arg("--out").arg(out).args(args);
    for key in ["EDGECALL_API_KEY", "OPENAI_API_KEY"] {
        command.env_remove(key);
    }
    command
}

fn succeeded(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn failed(output: Output, code: i32, expected: &str) {
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(expected), "{stderr}");
}

fn report(rows: &[&Path]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
    let output = command.args(["bench", "report", "--json"]).args(rows).output().unwrap();
    serde_json::from_str(&succeeded(output)).unwrap()
}

/// Answer of a server with the model `big` to requests about itself.
fn about(request: &Request) -> Option<Answer> {
    match &*request.path {
        "/v1/models" => {
            let list = json!([{"id": "other"}, {"id": "big", "owned_by": "vllm", "meta": {"n_params": 7}}]);
            Some(Answer::json(&json!({"object": "list", "data": list})))
        }
        "/version" => Some(Answer::json(&json!({"version": "0.99"}))),
        "/props" => Some(Answer::status(404, "", "no such page")),
        _ => None,
    }
}

fn completion(text: &str) -> Answer {
    let choice = json!({"index": 0, "text": text, "finish_reason": "stop"});
    let usage = json!({"prompt_tokens": 1000, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 900}});
    Answer::json(&json!({"choices": [choice], "usage": usage}))
}

/// A server that always answers [`CALL`].
fn server() -> Server {
    Server::start(|request, _| about(request).unwrap_or_else(|| completion(CALL)))
}

#[test]
fn rows_of_a_server_meet_local_rows_of_the_same_prompts_in_one_report() {
    let (folder, model) = (folder(), pocket(FileType::Q4KM));
    let rows = folder.path().join("rows.jsonl");
    // The first answer fails, and the second has the end-of-turn token as text.
    let server = Server::start(|request, n| match (about(request), n) {
        (Some(answer), _) => answer,
        (None, 3) => Answer::status(503, "retry-after: 0\r\n", "loading"),
        (None, 4) => completion(&format!("{CALL}<|im_end|>")),
        (None, _) => completion(CALL),
    });
    let model = model.to_str().unwrap();
    let html = folder.path().join("page.html");
    let output = tft(&rows, &["--endpoint", &server.url(), "--endpoint-model", "big", "-m", model, "--html"])
        .arg(&html)
        .env("EDGECALL_API_KEY", "sk-never-shown")
        .env("RUST_LOG", "trace")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let stdout = succeeded(output);
    assert!(stdout.contains("No verdict: there is no other file to compare with pocket-Q4_K_M."), "{stdout}");
    assert!(stdout.contains("big, over HTTP"), "{stdout}");
    assert!(stdout.contains("a server answered (vllm, 7 parameters, version 0.99)"), "{stdout}");

    let file = RowFile::read(&rows).unwrap();
    let (served, local): (Vec<_>, Vec<_>) =
        file.rows.iter().partition(|row| row.key.variant.endpoint.is_some());
    assert_eq!((served.len(), local.len()), (9, 9));
    for (served, local) in served.iter().zip(&local) {
        assert_eq!(served.key.prompt_sha256, local.key.prompt_sha256);
        assert_eq!((&*served.raw_output, &*served.finish, served.file_bytes), (CALL, "stop", 0));
        let cost = served.cost.as_ref().unwrap();
        assert_eq!((cost.prompt_tokens, cost.computed_tokens, cost.generated_tokens), (1000, 100, 20));
        assert!(cost.wall_s > 0.0 && cost.cpu_s.is_none() && served.divergence.is_none());
    }
    let report = report(&[&rows]);
    assert_eq!(report["arms"].as_array().unwrap().len(), 2);
    assert_eq!(report["arms"][1]["endpoint"]["server"], "vllm, 7 parameters, version 0.99");
    assert_eq!(report["verdicts"][0]["findings"], json!([]));
    assert_eq!(report["distances"][0]["rows"], 9);
    assert_eq!(report["comparisons"][0]["candidate"], "big, over HTTP");

    let asked = server.seen_at("/v1/completions");
    assert_eq!(asked.len(), 10);
    for request in &asked {
        assert!(request.header.contains(&"authorization: Bearer sk-never-shown".to_owned()));
        let body = &request.body;
        assert!(body["prompt"].as_str().unwrap().ends_with("<|im_start|>assistant\n<think>\n\n</think>\n\n"));
        assert_eq!((&body["model"], &body["temperature"]), (&json!("big"), &json!(0)));
        assert_eq!((&body["max_tokens"], &body["skip_special_tokens"]), (&json!(64), &json!(false)));
        assert!(body["stop"].as_array().unwrap().contains(&json!("<|im_end|>")), "{}", body["stop"]);
    }
    let written = [fs::read_to_string(&rows).unwrap(), fs::read_to_string(&html).unwrap(), stdout, stderr];
    assert!(written.iter().all(|text| !text.contains("sk-never-shown")));
    // A dump of the request would contain parts of the key.
    assert!(
        written[3].contains("trying again") && !written[3].to_lowercase().contains("authori"),
        "{}",
        written[3]
    );
}

/// Spellings of the key `sk/never-"shown"` in a server's text.
const SPELLINGS: [&str; 5] = [
    "sk/never-\"shown\"",
    "sk%2Fnever-%22shown%22",
    "sk\\/never-\\\"shown\\\"",
    "sk\\u002fnever-\\u0022shown\\u0022",
    "sk/never-&quot;shown&quot;",
];

#[test]
fn a_server_that_repeats_the_key_gets_it_neither_printed_nor_written() {
    let (folder, model) = (folder(), pocket(FileType::Q4KM));
    let all = SPELLINGS.join(" ");
    let server = Server::start(move |request, _| {
        let key = &all;
        match &*request.path {
            "/v1/models" => {
                Answer::json(&json!({"data": [{"id": "big", "owned_by": key, "meta": {key: key}}]}))
            }
            "/version" => Answer::json(&json!({"version": key})),
            "/props" => Answer::json(&json!({"build_info": key, "model_path": key})),
            _ => completion(&format!("{CALL}{key}")),
        }
    });
    let (rows, page) = (folder.path().join("rows.jsonl"), folder.path().join("page.html"));
    let model = model.to_str().unwrap();
    let output = tft(&rows, &["--endpoint", &server.url(), "--endpoint-model", "big", "-m", model, "--html"])
        .arg(&page)
        .env("EDGECALL_API_KEY", SPELLINGS[0])
        .env("RUST_LOG", "trace")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let written =
        [fs::read_to_string(&rows).unwrap(), fs::read_to_string(&page).unwrap(), succeeded(output), stderr];
    for text in &written {
        assert!(!text.contains("shown"), "{}", text.lines().find(|line| line.contains("shown")).unwrap());
    }
    assert!(written[0].contains("---"));
    for answer in [
        Answer::of(307, &format!("location: http://x/?key={}\r\n", SPELLINGS[1]), "text/plain", ""),
        Answer::of(200, "", &format!("text/{}", SPELLINGS[0]), SPELLINGS[2]),
        Answer::status(400, "", SPELLINGS[3]),
        Answer::json(&json!({"object": SPELLINGS[0]})),
    ] {
        let answer = std::sync::Mutex::new(Some(answer));
        let server = Server::start(move |request, _| match about(request) {
            Some(answer) => answer,
            None => answer.lock().unwrap().take().unwrap_or_else(|| Answer::status(400, "", "again")),
        });
        let rows = folder.path().join(format!("{}.jsonl", server.url().len()));
        let _ = fs::remove_file(&rows);
        let mut arguments =
            vec!["--endpoint-model", "big", "--retries", "0", "--chat-template", model, "--endpoint"];
        let url = server.url();
        arguments.push(&url);
        let output = tft(&rows, &arguments).env("EDGECALL_API_KEY", SPELLINGS[0]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(69), "{stderr}");
        assert!(stderr.contains("---") && !stderr.contains("shown"), "{stderr}");
    }
}

#[test]
fn a_run_that_a_server_ended_goes_on_where_it_was_and_only_with_the_same_server() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let template = pocket(FileType::Q4KM);
    let run = |server: &Server, out: &Path, more: &[&str]| {
        let url = server.url();
        let args =
            ["--endpoint", &url, "--endpoint-model", "big", "--chat-template", template.to_str().unwrap()];
        tft(out, &[&args[..], more].concat()).output().unwrap()
    };
    let broken = Server::start(|request, n| match about(request) {
        Some(answer) => answer,
        None if n < 3 + 4 => completion(CALL),
        None => Answer::status(500, "", "out of memory, sk-never-shown"),
    });
    failed(
        run(&broken, &at("rows.jsonl"), &["--retries", "0"]),
        69,
        "the server ended the run; go on with --resume: http",
    );
    let has = |name: &str| RowFile::read(&at(name)).unwrap().rows.len();
    assert_eq!(has("rows.jsonl"), 4);
    let whole = server();
    succeeded(run(&whole, &at("rows.jsonl"), &["--resume"]));
    assert_eq!((has("rows.jsonl"), whole.seen_at("/completions").len()), (9, 5));

    let other = Server::start(|request, _| match &*request.path {
        "/version" => Answer::json(&json!({"version": "1.0"})),
        _ => about(request).unwrap_or_else(|| completion(CALL)),
    });
    failed(
        run(&other, &at("rows.jsonl"), &["--resume"]),
        65,
        "the server was `vllm, 7 parameters, version 0.99` and is `vllm, 7 parameters, version 1.0`",
    );

    // A template with other text gives another prompt.
    let jinja = at("template.jinja");
    fs::write(&jinja, "{{ tools | tojson }}{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.tool_calls or [] %}\
                       <tool_call>\n{{ c.function | tojson }}\n</tool_call>{% endfor %}{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n").unwrap();
    let url = whole.url();
    let args = ["--endpoint", &url, "--endpoint-model", "big", "--resume", "--chat-template"];
    failed(
        tft(&at("rows.jsonl"), &args).arg(&jinja).output().unwrap(),
        65,
        "the prompt is written otherwise",
    );

    // Shards, and rows of files that were made elsewhere.
    for shard in ["1/2", "2/2"] {
        succeeded(run(&whole, &at(&shard[..1]), &["--shard", shard, "--endpoint-reference"]));
    }
    let model = pocket(FileType::F16);
    succeeded(
        tft(
            &at("local"),
            &["--mode", "free", "-m", model.to_str().unwrap(), "-m", template.to_str().unwrap()],
        )
        .output()
        .unwrap(),
    );
    let joined = report(&[&at("1"), &at("2"), &at("local")]);
    let verdict = &joined["verdicts"][0];
    assert_eq!(verdict["reference"], "big, over HTTP");
    let candidates: Vec<&Value> =
        verdict["findings"].as_array().unwrap().iter().map(|finding| &finding["name"]).collect();
    assert_eq!(candidates, ["pocket-F16", "pocket-Q4_K_M"]);
    assert_eq!(joined["cases"], 9);
}

#[test]
fn a_server_that_writes_the_prompts_is_compared_and_decides_nothing() {
    let folder = folder();
    let rows = folder.path().join("rows.jsonl");
    let server = Server::start(|request, n| {
        about(request).unwrap_or_else(|| {
            let arguments = if n.is_multiple_of(2) { json!("{\"message\": \"Hi\"}") } else { json!({"message": "Hi"}) };
            let call = json!({"id": "1", "type": "function", "function": {"name": "respond_to_user", "arguments": arguments}});
            let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
            Answer::json(&json!({"choices": [{"message": message, "finish_reason": "tool_calls"}]}))
        })
    });
    let model = pocket(FileType::Q4KM);
    let args = ["--endpoint-chat", &server.url(), "--endpoint-model", "big", "-m", model.to_str().unwrap()];
    let stdout = succeeded(tft(&rows, &args).output().unwrap());
    // Sentences are wrapped.
    let stdout = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(stdout.contains("neither the prompt nor what constrained the answer was ours"), "{stdout}");
    assert!(stdout.contains("big, over HTTP, the server's prompt"), "{stdout}");
    let report = report(&[&rows]);
    assert_eq!(report["verdicts"][0]["reference"], "pocket-Q4_K_M");
    assert_eq!(report["verdicts"][0]["findings"], json!([]));
    assert_eq!(report["arms"][1]["rejected"], json!({}));
    let asked = server.seen_at("/v1/chat/completions");
    assert_eq!(asked.len(), 9);
    let body = &asked[1].body;
    assert_eq!(body["messages"][0]["role"], "system");
    let call = &body["messages"][2]["tool_calls"][0];
    assert!(call["function"]["arguments"].is_string() && call["id"].is_string(), "{call}");
    assert_eq!(body["tools"][0]["type"], "function");
    assert_eq!(body["chat_template_kwargs"], json!({"enable_thinking": false}));
}

#[test]
fn a_server_that_knows_openais_fields_alone_gets_no_others() {
    let folder = folder();
    let server = Server::start(|request, _| {
        about(request).unwrap_or_else(|| match request.body.get("repeat_penalty") {
            Some(_) => Answer::status(400, "", "Unrecognized request argument supplied: repeat_penalty"),
            None => completion(CALL),
        })
    });
    let args = ["--endpoint", &server.url(), "--endpoint-model", "big", "--chat-template"];
    succeeded(tft(&folder.path().join("rows"), &args).arg(pocket(FileType::Q4KM)).output().unwrap());
    let asked = server.seen_at("/completions");
    assert_eq!(asked.len(), 10, "one refusal, and it is remembered");
    assert!(asked[1..].iter().all(|request| request.body.get("skip_special_tokens").is_none()));
    assert!(asked[1..].iter().all(|request| request.body["temperature"] == 0));
}

#[test]
fn answers_that_are_none_end_the_run_with_what_was_said() {
    let folder = folder();
    let template = pocket(FileType::Q4KM);
    type Way = (fn() -> Answer, &'static str);
    let cases: [Way; 4] = [
        (
            || Answer::json(&json!({"choices": []})),
            "gave an answer without `choices[0].text`: `{\"choices\":[]}`",
        ),
        (
            || Answer::of(200, "", "text/html", "<h1>Hello</h1>"),
            "something else than JSON (text/html), tried once",
        ),
        (|| Answer::of(200, "", "application/json", "{\"cho"), "(application/json), tried 2 times: `{\"cho`"),
        (|| completion(CALL).cut(30), "cannot reach"),
    ];
    for (i, (answer, expected)) in cases.into_iter().enumerate() {
        let server = Server::start(move |request, _| about(request).unwrap_or_else(answer));
        let out = folder.path().join(i.to_string());
        let args =
            ["--endpoint", &server.url(), "--endpoint-model", "big", "--retries", "1", "--chat-template"];
        failed(tft(&out, &args).arg(&template).output().unwrap(), 69, expected);
    }
}

#[test]
fn what_cannot_be_asked_is_said_before_anything_is_run() {
    let folder = folder();
    let out: PathBuf = folder.path().join("rows.jsonl");
    let model = pocket(FileType::Q4KM);
    let url = server().url();
    let big = ["--endpoint-model", "big"];
    let html = Server::start(|_, _| Answer::of(200, "", "text/html", "<title>Router</title>")).url();
    for (args, code, expected) in [
        (vec!["--endpoint", &url], 2, "--endpoint-model <NAME>"),
        (vec!["--endpoint", &url, big[0], big[1]], 2, "name the model's with --chat-template FILE"),
        (
            vec!["--endpoint", &url, big[0], big[1], "-m", model.to_str().unwrap(), "--mode", "any"],
            2,
            "add free, as in --mode free,any",
        ),
        (vec!["--endpoint", "http://me:hunter2@host", big[0], big[1], "--chat-template", "x"], 66, "x"),
        (vec!["--endpoint-chat", "http://me:hunter2@host", big[0], big[1]], 2, "holds a name or a password"),
        (
            vec!["--endpoint-chat", &html, big[0], big[1]],
            69,
            "is that the address of an OpenAI-compatible server?",
        ),
        (vec!["--endpoint-chat", &url, big[0], big[1], "--endpoint-reference"], 2, "cannot be used with"),
    ] {
        let output = tft(&out, &args).output().unwrap();
        assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
        failed(output, code, expected);
        assert!(!out.exists());
    }
}

/// A data set of one call, before which the user spells a special token.
fn spelling(folder: &Path) -> PathBuf {
    let line = json!({
        "messages": [{"role": "user", "content": "stop <|im_end|> here"}, {"role": "assistant", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": {}}}]}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    });
    let path = folder.join("spelling.jsonl");
    fs::write(&path, line.to_string()).unwrap();
    path
}

/// Runs the data set of [`spelling`] on the server with prompts by `more`; returns stderr.
fn spelt(server: &Server, folder: &Path, more: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
    command.args(["bench", "tft", "--endpoint-model", "big", "--max-tokens", "8", "--no-drift", "--test"]);
    command.arg(spelling(folder)).arg("--out").arg(folder.join("rows.jsonl")).args(more);
    command.env_remove("EDGECALL_API_KEY").env_remove("OPENAI_API_KEY");
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    succeeded(output);
    fs::remove_file(folder.join("rows.jsonl")).unwrap();
    assert!(!server.seen().is_empty());
    stderr
}

#[test]
fn a_prompt_in_which_a_message_spells_a_special_token_is_sent_as_tokens_or_warned_of() {
    let (folder, model) = (folder(), pocket(FileType::Q8_0));
    let template = model.to_str().unwrap();
    // A tokenizer of which each text is a single token, the number of its bytes.
    let server = Server::start(|request, _| match &*request.path {
        "/tokenize" => {
            let bytes = request.body["content"].as_str().unwrap().len();
            Answer::json(&json!({"tokens": [bytes]}))
        }
        _ => about(request).unwrap_or_else(|| completion(CALL)),
    });
    let stderr = spelt(&server, folder.path(), &["--endpoint", &server.url(), "--chat-template", template]);
    assert!(!stderr.contains("warning"), "{stderr}");
    let asked = server.seen_at("/tokenize");
    // The first asks whether there is a tokenizer.
    let parts: Vec<&str> =
        asked[1..].iter().map(|request| request.body["content"].as_str().unwrap()).collect();
    assert_eq!(parts.len(), 2, "{parts:?}");
    assert!(parts[0].ends_with("stop <") && parts[1].starts_with("|im_end|> here<|im_end|>"), "{parts:?}");
    let of_first = |name: &str| {
        asked[1..].iter().map(|request| request.body[name].as_bool().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((of_first("add_special"), of_first("parse_special")), (vec![true, false], vec![true, true]));
    let completions = server.seen_at("/completions");
    assert_eq!(completions.len(), 1);
    assert_eq!(completions[0].body["prompt"], json!([parts[0].len(), parts[1].len()]));

    // Servers without one, and those that write the prompt themselves, are warned of once.
    let silent = Server::start(|request, _| match &*request.path {
        "/tokenize" => Answer::status(404, "", "no such page"),
        "/v1/chat/completions" => {
            let message = json!({"role": "assistant", "content": CALL});
            Answer::json(&json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}))
        }
        _ => about(request).unwrap_or_else(|| completion(CALL)),
    });
    let url = silent.url();
    for more in [&["--endpoint", &url, "--chat-template", template][..], &["--endpoint-chat", &url]] {
        let stderr = spelt(&silent, folder.path(), more);
        let warning =
            "messages before 1 call spell special tokens such as <|im_end|> (the first: line 1, messages[1])";
        assert_eq!(stderr.matches(warning).count(), 1, "{stderr}");
    }
    let prompt = &silent.seen_at("/v1/completions")[0].body["prompt"];
    assert!(prompt.as_str().unwrap().contains("stop <|im_end|> here"), "{prompt}");
}
