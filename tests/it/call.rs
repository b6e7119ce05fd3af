//! Calls from end to end, with the pocket model converted by the library, and the command.

use crate::{
    pocket::{self, settings},
    shared::shared,
};
use edgecall::{
    Kind,
    call::{self, Error, PromptTemplate, Request, Settings, Think},
    chat::Conversation,
    convert::FileType,
    runtime::{KvType, LoadOptions, Model, Options, Sampler, Sampling, Session, generate},
    schema::KeyOrder,
    tools::{ToolCall, ToolSet, check},
};
use serde_json::{Value, json};
use std::{
    io::Write,
    num::NonZeroUsize,
    path::Path,
    process::{Child, Output, Stdio},
};

fn example(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/restaurants");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// Tools that the model was trained with, with other descriptions.
fn tools() -> ToolSet {
    ToolSet::parse(example("tools.json").as_bytes()).unwrap()
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn said(text: &str) -> Value {
    json!({"role": "assistant", "tool_calls": [
        {"type": "function", "function": {"name": "respond_to_user", "arguments": {"message": text}}}]})
}

fn conversation(messages: Value) -> Conversation {
    Conversation::from_value(messages)
        .unwrap()
        .with_system(edgecall::chat::task_system_text(&example("task.txt")))
}

fn search() -> Value {
    json!([user(
        "Hi, I am looking for a Chinese restaurant in Oakland. Nothing expensive, something moderate please."
    )])
}

fn booking() -> Value {
    json!([
        user("I want to book a table at Zachary's in Oakland."),
        said("What time would you like to arrive, and for how many people?"),
        user("At 7 pm on March 8th, for 2 people."),
        said("Please confirm: a table for 2 at Zachary's in Oakland on March 8th at 7 pm."),
        user("Yes, that is right."),
    ])
}

fn ask(model: &Model, messages: Value, settings: &Settings) -> Result<ToolCall, Box<Error>> {
    let mut answer = call::call(model, &tools(), &conversation(messages), settings)?;
    Ok(answer.calls.remove(0))
}

#[test]
fn each_of_the_three_tools_is_called_rightly_in_f16_q8_0_and_q4_k_m() {
    for file_type in [FileType::F16, FileType::Q8_0, FileType::Q4KM] {
        let model = Model::load(&pocket::pocket(file_type)).unwrap();
        let ask = |messages| ask(&model, messages, &settings()).unwrap();
        let found = ask(search());
        assert_eq!(found.name(), "FindRestaurants", "{file_type:?}");
        assert_eq!(
            Value::Object(found.arguments().clone()),
            json!({"city": "Oakland", "cuisine": "Chinese", "price_range": "moderate"})
        );
        let booked = ask(booking());
        assert_eq!(booked.name(), "ReserveRestaurant", "{file_type:?}");
        assert_eq!(
            Value::Object(booked.arguments().clone()),
            json!({"city": "Oakland", "date": "2019-03-08", "party_size": "2", "restaurant_name": "Zachary's",
                   "time": "19:00"})
        );
        let answered = ask(json!([user("I want to book a table at a restaurant.")]));
        assert_eq!(answered.name(), "respond_to_user", "{file_type:?}");
        let message = answered.arguments()["message"].as_str().unwrap();
        assert!(message.ends_with('?'), "{message}");
    }
}

#[test]
fn the_example_conversation_ends_in_a_booking() {
    let conversation = Conversation::parse(example("conversation.json").as_bytes())
        .unwrap()
        .with_system(edgecall::chat::task_system_text(&example("task.txt")));
    let call = call::call(pocket::loaded(), &tools(), &conversation, &settings()).unwrap().calls.remove(0);
    assert_eq!(
        (call.name(), &call.arguments()["restaurant_name"]),
        ("ReserveRestaurant", &json!("Paper Lantern"))
    );
}

#[test]
fn a_budget_that_ends_first_leaves_no_call_and_shows_what_was_written() {
    let error = ask(pocket::loaded(), search(), &Settings { max_tokens: 10, ..settings() }).unwrap_err();
    assert_eq!(error.kind(), Kind::Negative);
    assert!(error.partial().unwrap().starts_with("<tool_call>\n{\"name\": \""), "{error:?}");
}

#[test]
fn a_context_that_fills_up_leaves_no_call() {
    let model = pocket::loaded();
    let (tools, conversation, format) = (tools(), conversation(search()), PromptTemplate::default());
    let request = Request::new(&conversation, Some(&tools));
    let tool_format =
        format.tool_format(model.vocabulary(), &request, &edgecall::dialect::Wanted::Auto).unwrap();
    let prompt = format.render(model.vocabulary(), &request, tool_format.as_ref(), Think::Off).unwrap();
    let n_prompt = call::tokenize_prompt(model, &prompt).unwrap().len();
    let session = |n_ctx| Options { n_ctx: NonZeroUsize::new(n_ctx), ..settings().session };
    let full = Settings { session: session(n_prompt + 5), ..settings() };
    let error = ask(model, search(), &full).unwrap_err();
    assert!(matches!(*error, Error::ContextFull { .. }), "{error:?}");
    let too_long = Settings { session: session(n_prompt), ..settings() };
    let error = ask(model, search(), &too_long).unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    assert!(error.to_string().contains(&format!("the prompt has {n_prompt} tokens")), "{error}");
}

#[test]
fn prompts_are_normalized_as_the_models_tokenizer_was_trained_to_see_them() {
    let ids = |text| call::tokenize_prompt(pocket::loaded(), text).unwrap();
    assert_eq!(ids("<|im_start|>user\nCafe\u{301}"), ids("<|im_start|>user\nCaf\u{e9}"));
    assert_ne!(ids("Caf\u{e9}"), ids("Cafe"));
}

#[test]
fn drawn_calls_are_valid_and_the_same_for_the_same_seed() {
    let mut calls = Vec::new();
    for seed in [0, 1, 2, 2] {
        let sampling = Sampling { temperature: 1.5, top_p: 0.95, seed, ..Sampling::default() };
        let call = ask(pocket::loaded(), search(), &Settings { sampling, ..settings() }).unwrap();
        check::check(&tools(), &call).unwrap();
        calls.push(call.to_string());
    }
    assert_eq!(calls[2], calls[3]);
    assert!(calls[0] != calls[1] || calls[1] != calls[2], "three seeds, one call: {calls:?}");
}

#[test]
fn a_tool_with_many_keys_is_called_validly_with_a_real_vocabulary() {
    let mut properties =
        json!({"cuisine": {"type": "string", "maxLength": 12}, "city": {"type": "string", "maxLength": 12}});
    for i in 0..10 {
        properties[format!("option_{i}")] = json!({"type": ["integer", "null"], "maximum": 99, "minimum": 0});
    }
    let tools = ToolSet::from_value(json!([{
        "name": "FindRestaurants",
        "parameters": {"type": "object", "properties": properties, "required": ["city", "option_3"]},
    }]))
    .unwrap();
    call::check_tools(&tools, KeyOrder::Any).unwrap();
    for seed in 0..4 {
        let sampling = Sampling { temperature: 3.0 * (seed % 2) as f32, seed, ..Sampling::default() };
        let settings = Settings { sampling, ..settings() };
        let answer = call::call(pocket::loaded(), &tools, &conversation(search()), &settings).unwrap();
        check::check(&tools, &answer.calls[0]).unwrap();
    }
}

#[test]
fn a_model_that_may_think_first_still_ends_in_a_call() {
    let settings = Settings { think: Think::On, ..settings() };
    let answer = call::call(pocket::loaded(), &tools(), &conversation(search()), &settings).unwrap();
    assert!(answer.reasoning.is_some());
    check::check(&tools(), &answer.calls[0]).unwrap();
}

#[test]
fn a_quantized_cache_and_any_number_of_threads_give_a_call() {
    for (name, threads) in [("q8_0", 1), ("q4_0", 2), ("f32", 1)] {
        let session = Options {
            kv_type: KvType::named(name).unwrap(),
            threads: NonZeroUsize::new(threads),
            ..Options::default()
        };
        let call = ask(pocket::loaded(), search(), &Settings { session, ..settings() }).unwrap();
        assert_eq!(call.name(), "FindRestaurants", "{name}");
    }
}

#[test]
fn a_session_refuses_more_tokens_than_it_holds_and_takes_more_than_a_batch() {
    let model = pocket::loaded();
    let mut session = Session::new(model, 1_000, 20, &settings().session).unwrap();
    assert!(session.logits().is_empty());
    session.append(&[100; 1_000]).unwrap();
    assert_eq!(session.logits().len(), model.vocabulary().n_vocab());
    assert!(session.append(&[100; 100]).is_err());
    assert_eq!(session.n_past(), 1_000);
    session.append(&[100; 24]).unwrap();
    assert!(session.append(&[100]).is_err());
}

/// Logits after 300 tokens, computed in one decode.
fn logits(model: &Model, options: &Options) -> Vec<f32> {
    let mut session = Session::new(model, 300, 4, options).unwrap();
    session.append(&(0..300).map(|i| 100 + i % 50).collect::<Vec<_>>()).unwrap();
    session.logits().to_vec()
}

#[test]
fn weights_that_are_not_repacked_and_smaller_batches_give_other_bits_and_the_same_logits_but_for_rounding() {
    let close = |a: &[f32], b: &[f32]| {
        let most = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(a.len() == b.len() && most < 0.2, "{most}");
    };
    let load = |file_type, repack| {
        Model::load_with(&pocket::pocket(file_type), LoadOptions { repack, ..LoadOptions::default() })
            .unwrap()
    };
    let options = settings().session;
    // No kernel repacks F16; those of x86-64 with AVX2 repack Q4_K.
    let stored = logits(&load(FileType::F16, false), &options);
    assert_eq!(stored, logits(pocket::loaded(), &options));
    let (packed, stored_q4) = (load(FileType::Q4KM, true), load(FileType::Q4KM, false));
    let (packed, stored_q4) = (logits(&packed, &options), logits(&stored_q4, &options));
    close(&packed, &stored_q4);
    if cfg!(target_arch = "x86_64") {
        assert_ne!(packed, stored_q4);
    }
    let n_ubatch = |n| Options { n_ubatch: NonZeroUsize::new(n), ..options };
    assert_eq!(logits(pocket::loaded(), &n_ubatch(100_000)), stored);
    assert_eq!(logits(pocket::loaded(), &n_ubatch(1)).len(), stored.len());
    close(&logits(pocket::loaded(), &n_ubatch(64)), &stored);
}

/// Largest gap at which the two most likely tokens may swap between two implementations.
const NEAR_TIE: f64 = 0.01;

#[test]
fn conformance_the_pocket_models_greedy_answers_are_those_of_transformers() {
    let Some(shared) = shared() else { return };
    let rows = std::fs::read_to_string(shared.join("golden/pocket-greedy.jsonl")).unwrap();
    let model = Model::load(&pocket::pocket(FileType::F32)).unwrap();
    let options = Options { kv_type: KvType::named("f32").unwrap(), ..settings().session };
    let mut compared = 0;
    for row in rows.lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        let ids = |key: &str| -> Vec<i32> {
            row[key].as_array().unwrap().iter().map(|id| id.as_i64().unwrap() as i32).collect()
        };
        let prompt = call::tokenize_prompt(&model, row["prompt"].as_str().unwrap()).unwrap();
        assert_eq!(prompt, ids("prompt_ids"));
        let mut session = Session::new(&model, prompt.len(), 512, &options).unwrap();
        session.append(&prompt).unwrap();
        let mut sampler = Sampler::new(Sampling::default());
        let ours = generate::free(&mut session, model.vocabulary(), &mut sampler, 512, None, |_| false)
            .unwrap()
            .tokens;
        let mut theirs = ids("greedy_ids");
        assert!(model.vocabulary().is_eog(theirs.pop().unwrap()));
        if ours != theirs {
            let at = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
            let top = |rank: usize| row["greedy_top5"][at][rank][1].as_f64().unwrap();
            let gap = top(0) - top(1);
            println!("{} turn {}: differs at token {at}, gap {gap}", row["conversation"], row["turn"]);
            assert!(
                gap < NEAR_TIE,
                "token {at}: ours {:?}, theirs {:?}, gap {gap}",
                ours.get(at),
                theirs.get(at)
            );
        }
        compared += 1;
    }
    assert_eq!(compared, 20);
}

pub fn command(model: &Path, folder: &Path, arguments: &[&str]) -> Child {
    crate::program::edgecall()
        .args(["call", "--threads", "1", "-m"])
        .arg(model)
        .args(arguments)
        .current_dir(folder)
        .env_remove("EDGECALL_MODEL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

pub fn run(model: &Path, folder: &Path, arguments: &[&str], stdin: &[u8]) -> Output {
    let mut child = command(model, folder, arguments);
    // A command that does not read its stdin may have ended before this write.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

/// A folder with `tools.json`, `task.txt`, `messages.json` and some invalid files.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("tools.json", &example("tools.json"));
    write("task.txt", &example("task.txt"));
    write("messages.json", &search().to_string());
    write("request.json", &json!({"messages": search(), "tools": tools().sources()}).to_string());
    write("broken.json", "[{\"name\": \"f\",]");
    write("refused.json", r#"[{"name": "f", "parameters": {"properties": {"a": {"$ref": "http://x/y"}}}}]"#);
    folder
}

#[test]
fn the_command_writes_one_json_object_and_nothing_else_to_stdout() {
    let (model, folder) = (pocket::pocket(FileType::F16), folder());
    let expected =
        "{\"name\": \"FindRestaurants\", \"arguments\": {\"city\": \"Oakland\", \"cuisine\": \"Chinese\"}}\n";
    let question = "Find me a Chinese restaurant in Oakland";
    let tools = ["--tools", "tools.json", "--task", "task.txt"];
    for (arguments, stdin) in [(&[question][..], ""), (&[], question)] {
        let output = run(&model, folder.path(), &[&tools[..], arguments].concat(), stdin.as_bytes());
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{arguments:?} {stdin:?}");
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    }
    let messages = std::fs::read(folder.path().join("messages.json")).unwrap();
    let from_file = run(&model, folder.path(), &[&tools[..], &["--messages", "messages.json"]].concat(), b"");
    let from_stdin = run(&model, folder.path(), &[&tools[..], &["--messages", "-"]].concat(), &messages);
    assert!(from_file.status.success());
    assert_eq!(from_file.stdout, from_stdin.stdout);
    let request = run(&model, folder.path(), &["--task", "task.txt", "--messages", "request.json"], b"");
    assert_eq!(request.stdout, from_file.stdout);
}

#[test]
fn a_request_body_decides_on_the_answer_and_options_override_it() {
    let (model, folder) = (pocket::pocket(FileType::Q8_0), folder());
    let format = json!({"type": "json_schema", "json_schema": {"name": "a", "strict": true, "schema": {
        "type": "object", "properties": {"city": {"enum": ["Oakland"]}}, "required": ["city"],
        "additionalProperties": false}}});
    let named = json!({"type": "function", "function": {"name": "respond_to_user"}});
    let body = |more: Value| {
        let mut body =
            json!({"model": "m", "stream": true, "messages": search(), "tools": tools().sources()});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string().into_bytes()
    };
    let answer = |arguments: &[&str], body: &[u8]| {
        let output = run(&model, folder.path(), &[&["--messages", "-"][..], arguments].concat(), body);
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, none, _) = answer(&[], &body(json!({"tool_choice": "none", "max_tokens": 8})));
    assert!(code == 0 && serde_json::from_str::<Value>(&none).is_err(), "{none}");
    assert_eq!(answer(&["--output", "name"], &body(json!({"tool_choice": named}))).1, "respond_to_user\n");
    let (code, call, _) = answer(&["--tool-choice", "required"], &body(json!({"tool_choice": "none"})));
    assert!(code == 0 && call.starts_with("{\"name\": "), "{call}");
    let json = "{\"city\": \"Oakland\"}\n";
    let without_tools = json!({"messages": search(), "response_format": format}).to_string();
    assert_eq!(answer(&[], without_tools.as_bytes()).1, json);
    assert_eq!(answer(&[], &body(json!({"tool_choice": "none", "response_format": format}))).1, json);
    let (code, _, stderr) = answer(&[], &body(json!({"max_tokens": 5})));
    assert!(code == 1 && stderr.contains("the budget of 5 tokens"), "{stderr}");
    assert_eq!(answer(&["--max-tokens", "200"], &body(json!({"max_tokens": 5}))).0, 0);
    let (code, call, stderr) = answer(&[], &body(json!({"stop": "Oakland"})));
    assert!(
        code == 0 && call.contains("Oakland") && stderr.contains("`stop` has no effect"),
        "{call} {stderr}"
    );
    let allowed = |names: &[&str]| {
        let tools: Vec<Value> =
            names.iter().map(|name| json!({"type": "function", "function": {"name": name}})).collect();
        json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": tools}})
    };
    for name in ["respond_to_user", "ReserveRestaurant"] {
        let choice = json!({"tool_choice": allowed(&[name])});
        assert_eq!(answer(&["--output", "name"], &body(choice)).1, format!("{name}\n"));
    }
    let overridden = body(json!({"tool_choice": allowed(&["respond_to_user"])}));
    let (_, name, _) = answer(&["--tool-choice", "required", "--output", "name"], &overridden);
    assert_eq!(name, "FindRestaurants\n");
    for (more, message) in [
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "the request's `stop` has 5 strings; up to 4"),
        (json!({"tool_choice": allowed(&["nobody"])}), "there is no tool `nobody`"),
        (json!({"response_format": format}), "the request has `tools` and a `response_format`"),
        (
            json!({"tool_choice": "required", "tools": null}),
            "`tool_choice` asks for a call, and there are no tools",
        ),
        (json!({"n": 3}), "the request's `n` is 3"),
    ] {
        let (code, stdout, stderr) = answer(&[], &body(more));
        assert!(code == 65 && stdout.is_empty() && stderr.contains(message), "{stderr}");
    }
}

#[test]
fn tools_of_other_interfaces_are_shown_in_openais_form_and_their_schema_holds() {
    let (model, folder) = (pocket::pocket(FileType::Q8_0), folder());
    let schema = json!({"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"], "additionalProperties": false});
    let openai = json!([{"type": "function", "function": {"name": "forecast", "description": "It.", "parameters": schema}}]);
    let with = |key: &str| json!({"name": "forecast", "description": "It.", key: schema});
    let prompt = |document: &Value| {
        let output = run(
            &model,
            folder.path(),
            &["--tools", "-", "--print-prompt", "hi"],
            document.to_string().as_bytes(),
        );
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    for document in [
        json!({"jsonrpc": "2.0", "id": 2, "result": {"tools": [with("inputSchema")]}}),
        json!([with("input_schema")]),
        json!({"function_declarations": [with("parameters")]}),
        with("inputSchema"),
    ] {
        assert_eq!(prompt(&document), prompt(&openai), "{document}");
        let call = run(
            &model,
            folder.path(),
            &["--tools", "-", "--output", "arguments", "Oakland"],
            document.to_string().as_bytes(),
        );
        let arguments: Value = serde_json::from_slice(&call.stdout).unwrap();
        assert!(arguments["city"].is_string(), "{arguments}");
    }
}

#[test]
fn timings_go_to_stderr() {
    let (model, folder) = (pocket::pocket(FileType::F16), folder());
    let output = run(&model, folder.path(), &["--tools", "tools.json", "--timings", "hi"], b"");
    assert!(output.status.success());
    let stderr = String::from_utf8(output.stderr).unwrap();
    for word in ["load", "prefill", "decode", "tokens/s", "context of"] {
        assert!(stderr.contains(word), "{stderr}");
    }
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1);
}

#[test]
fn what_goes_wrong_has_its_exit_code_and_says_why() {
    let (model, folder) = (pocket::pocket(FileType::F16), folder());
    let cut = folder.path().join("cut.gguf");
    std::fs::write(&cut, &std::fs::read(&model).unwrap()[..1_000_000]).unwrap();
    for (arguments, stdin, code, message) in [
        (&["--tools", "tools.json", "--max-tokens", "5", "hi"][..], "", 1, "the budget of 5 tokens ended"),
        (&["--tool-choice", "required", "hi"], "", 2, "give --tools"),
        (&["--tools", "tools.json", ""], "", 2, "the prompt is empty"),
        (&["--tools", "tools.json", "--messages", "messages.json", "hi"], "", 2, "cannot be used with"),
        (
            &["--tools", "tools.json", "--messages", "messages.json", "--messages", "-"],
            "",
            65,
            "stdin: there are no messages",
        ),
        (&["--json-schema", "tools.json", "--messages", "request.json"], "", 65, "an object or a boolean"),
        (
            &["--tools", "-", "--messages", "-"],
            "[]",
            2,
            "only one of --messages and --tools can be read from stdin",
        ),
        (
            &["--tools", "-", "hi"],
            "[{'name': 'f'}]",
            65,
            "stdin: the tools are not valid JSON: single quotes are no JSON",
        ),
        (
            &["--tools", "[{\"name\": \"f\"}]", "hi"],
            "",
            2,
            "`[{\"name\": \"f\"}]...` is no file's name but the text itself",
        ),
        (&["--tools", "tools.json", "--top-k", "3", "hi"], "", 2, "--temperature"),
        (&["--tools", "tools.json", "--temperature", "nan", "hi"], "", 2, "from 0 to 100"),
        (&["--tools", "tools.json", "--max-tokens", "0", "hi"], "", 2, "--max-tokens"),
        (&["--tools", "tools.json", "--kv-type", "q9", "hi"], "", 2, "possible values"),
        (&["--tools", "tools.json", "--ctx", "99999", "hi"], "", 2, "trained for 4096"),
        (&["--tools", "tools.json", "--ctx", "64", "hi"], "", 65, "tokens and the context 64"),
        (&["--tools", "tools.json"], "", 65, "stdin is empty"),
        (&["--tools", "tools.json", "--messages", "-"], "", 65, "stdin: there are no messages"),
        (&["--tools", "tools.json", "--messages", "-"], "[]", 65, "there are no messages"),
        (&["--tools", "tools.json", "--messages", "-"], "[{}]", 65, "messages[0].role"),
        (&["--tools", "broken.json", "hi"], "", 65, "line 1 column 15"),
        (
            &["--tools", "refused.json", "hi"],
            "",
            65,
            "the parameters of tool `f` cannot be used: #/properties/a: `$ref`",
        ),
        (&["--tools", "missing.json", "hi"], "", 66, "missing.json"),
        (&["--tools", "tools.json", "--messages", "missing.json"], "", 66, "missing.json"),
        (&["--tools", "tools.json", "--task", "missing.txt", "hi"], "", 66, "missing.txt"),
    ] {
        let output = run(&model, folder.path(), arguments, stdin.as_bytes());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    for (model, code, message) in [
        (Path::new("missing.gguf"), 66, "cannot read the model missing.gguf"),
        (Path::new("tools.json"), 65, "not a GGUF file"),
        (Path::new("."), 65, "is a folder"),
        (&cut, 65, "cut short"),
    ] {
        let output = run(model, folder.path(), &["--tools", "tools.json", "hi"], b"");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(message), "{stderr}");
    }
}

#[test]
fn the_partial_text_of_a_call_that_was_cut_off_is_on_stderr() {
    let (model, folder) = (pocket::pocket(FileType::F16), folder());
    let output = run(&model, folder.path(), &["--tools", "tools.json", "--max-tokens", "5", "hi"], b"");
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("<tool_call>\n{\"name\""));
    assert!(output.stdout.is_empty());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let (model, folder) = (pocket::pocket(FileType::F16), folder());
    let mut child = command(&model, folder.path(), &["--tools", "tools.json", "hi"]);
    drop(child.stdout.take());
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_silent_stdin_does_not_keep_a_prompt_waiting() {
    let (model, folder) = (pocket::pocket(FileType::F16), folder());
    let question = "Find me a Chinese place in Oakland";
    let asked = |arguments: &[&str]| {
        command(&model, folder.path(), &[&["--tools", "tools.json", "--print-prompt"], arguments].concat())
    };
    let mut silent = asked(&[question]);
    let open = silent.stdin.take();
    let output = silent.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("stdin is open and sent nothing within 0.2 s"), "{stderr}");
    drop(open);
    // What comes at once is read to its end, however long that takes.
    let mut slow = asked(&[question]);
    let mut stdin = slow.stdin.take().unwrap();
    stdin.write_all(b"first").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    stdin.write_all(b" and second").unwrap();
    drop(stdin);
    let output = slow.wait_with_output().unwrap();
    let prompt = String::from_utf8(output.stdout).unwrap();
    assert!(prompt.contains(&format!("{question}\n\nfirst and second")), "{prompt}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "note: waiting for the end of stdin\n");
    // With `-` there is no prompt without stdin.
    let mut late = asked(&["-"]);
    let mut stdin = late.stdin.take().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(400));
    stdin.write_all(question.as_bytes()).unwrap();
    drop(stdin);
    let output = late.wait_with_output().unwrap();
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains(&format!("<|im_start|>user\n{question}<|im_end|>"))
    );
}

#[test]
fn few_tasks_mean_fewer_threads_or_a_sentence_and_no_panic() {
    let can_change_user =
        std::fs::read_to_string("/proc/self/status").is_ok_and(|s| s.contains("\nUid:\t0\t0"));
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let path = |name: &str| folder.path().join(name);
    let program = std::process::Command::new("setpriv").arg("--version").output();
    if !can_change_user || !program.is_ok_and(|output| output.status.success()) {
        return;
    }
    // A user whose tasks are counted: root's are not.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_edgecall"), path("edgecall")).unwrap();
    std::fs::copy(pocket::pocket(FileType::F16), path("model.gguf")).unwrap();
    std::fs::write(path("tools.json"), example("tools.json")).unwrap();
    for file in ["model.gguf", "tools.json"] {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(path(file), open).unwrap();
    }
    for most in [1, 2, 3, 4, 5, 8] {
        let output = std::process::Command::new("setpriv")
            .args(["--reuid=54321", "--regid=54321", "--clear-groups", "prlimit"])
            .arg(format!("--nproc={most}"))
            .args(["./edgecall", "call", "-m", "model.gguf", "--no-cache", "--threads", "2"])
            .args(["--tools", "tools.json", "--max-tokens", "200", "A Thai place in Oakland"])
            .current_dir(folder.path())
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        match output.status.code() {
            Some(0) => assert!(output.stdout.starts_with(b"{\"name\""), "{stderr}"),
            code => {
                assert_eq!(code, Some(69), "{most}: {stderr}");
                assert!(stderr.contains("ulimit -u") && stderr.lines().count() == 1, "{most}: {stderr}");
            }
        }
        assert!(most < 8 || output.status.success(), "{most}: {stderr}");
    }
}

#[test]
fn ctrl_c_ends_with_130() {
    let (model, folder) = (pocket::pocket(FileType::F16), folder());
    let mut child = command(&model, folder.path(), &["--tools", "tools.json"]);
    // The command waits for stdin, which stays open until it has ended (`wait` would close it first).
    let mut stdin = child.stdin.take().unwrap();
    // More than a pipe holds: the write returns when the command is reading and listens for signals.
    stdin.write_all(&[b'a'; 1 << 20]).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(stdin);
}
