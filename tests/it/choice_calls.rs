//! Number and kind of calls: tool choice, several calls, text, JSON, reasoning, token limits.

use crate::{
    call::{command, folder, run},
    choice::tools,
    pocket::{self, settings},
};
use edgecall::{
    Kind,
    call::{
        self, Answer, Choice, End, Error, PromptTemplate, Request, Settings, StopStrings, Think,
        openai::ChatCompletion,
    },
    chat::Conversation,
    convert::FileType,
    runtime::Sampling,
    schema::KeyOrder,
    tools::{ToolSet, arguments::AnswerSchema, check},
};
use serde_json::{Value, json};
use std::{num::NonZeroUsize, ops::ControlFlow, path::Path};

fn example(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/restaurants");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn restaurants() -> ToolSet {
    ToolSet::parse(example("tools.json").as_bytes()).unwrap()
}

fn search() -> Conversation {
    let text =
        "Hi, I am looking for a Chinese restaurant in Oakland. Nothing expensive, something moderate please.";
    Conversation::from_value(json!([{"role": "user", "content": text}]))
        .unwrap()
        .with_system(edgecall::chat::task_system_text(&example("task.txt")))
}

fn ask(request: &Request<'_>, settings: &Settings) -> Result<Answer, Box<Error>> {
    Ok(call::ask(pocket::loaded(), &PromptTemplate::default(), request, settings, &mut |_| {
        ControlFlow::Continue(())
    })?)
}

#[test]
fn the_named_tool_is_called_whatever_the_model_would_rather_do() {
    let (tools, conversation) = (restaurants(), search());
    for tool in tools.iter() {
        let choice = Choice::Named(tool.name().to_owned());
        let request = Request { choice, ..Request::new(&conversation, Some(&tools)) };
        let answer = ask(&request, &settings()).unwrap();
        assert_eq!(answer.calls.iter().map(|call| call.name()).collect::<Vec<_>>(), [tool.name()]);
    }
}

#[test]
fn left_to_itself_the_model_calls_and_forbidden_to_it_answers_in_text() {
    let (tools, conversation) = (restaurants(), search());
    let with = |choice| Request { choice, ..Request::new(&conversation, Some(&tools)) };
    let auto = ask(&with(Choice::Auto), &settings()).unwrap();
    let required = ask(&with(Choice::Required), &settings()).unwrap();
    assert_eq!(auto.calls, required.calls);
    assert_eq!((auto.content, auto.end), (None, End::Complete));
    let none = ask(&with(Choice::None), &Settings { max_tokens: 40, ..settings() }).unwrap();
    let text = none.content.unwrap();
    assert!(none.calls.is_empty() && !text.is_empty() && !text.contains("<tool_call>"), "{text:?}");
}

#[test]
fn without_tools_the_answer_is_text_or_json_of_a_schema() {
    let conversation = search();
    let request = Request::new(&conversation, None);
    let text = ask(&request, &Settings { max_tokens: 30, ..settings() }).unwrap();
    assert!(text.calls.is_empty() && !text.content.unwrap().is_empty());
    let schema = json!({"type": "object", "properties": {"city": {"enum": ["Oakland", "Leeds"]},
        "price": {"type": "integer", "minimum": 1, "maximum": 4}}, "required": ["city", "price"],
        "additionalProperties": false});
    let schema = AnswerSchema::new(&schema, KeyOrder::Any).unwrap();
    let request = Request { schema: Some(&schema), ..Request::new(&conversation, None) };
    let answer = ask(&request, &settings()).unwrap();
    let value: Value = serde_json::from_str(&answer.content.unwrap()).unwrap();
    assert!(["Oakland", "Leeds"].contains(&value["city"].as_str().unwrap()), "{value}");
    // In JSON Schema 1.0 is an integer.
    assert!([1.0, 2.0, 3.0, 4.0].contains(&value["price"].as_f64().unwrap()), "{value}");
    let cut = ask(&request, &Settings { max_tokens: 2, ..settings() }).unwrap_err();
    assert_eq!(cut.kind(), Kind::Negative);
}

#[test]
fn only_allowed_tools_are_called_and_all_are_shown() {
    let (tools, conversation) = (restaurants(), search());
    let names: Vec<String> = tools.iter().map(|tool| tool.name().to_owned()).collect();
    let ask = |allowed: Option<Vec<String>>, choice| {
        ask(&Request { allowed, choice, ..Request::new(&conversation, Some(&tools)) }, &settings())
    };
    let free = ask(None, Choice::Required).unwrap();
    for without in 0..names.len() {
        let allowed: Vec<String> = names
            .iter()
            .enumerate()
            .filter(|&(nth, _)| nth != without)
            .map(|(_, name)| name.clone())
            .collect();
        for choice in [Choice::Required, Choice::Auto] {
            let answer = ask(Some(allowed.clone()), choice).unwrap();
            assert!(answer.calls.iter().all(|call| allowed.iter().any(|name| name == call.name())));
            assert_eq!(answer.timings.prompt_tokens, free.timings.prompt_tokens);
            if allowed.iter().any(|name| name == free.calls[0].name()) {
                assert_eq!(answer.calls, free.calls);
            }
        }
    }
    let error = ask(Some(vec!["nobody".into()]), Choice::Required).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage, "{error}");
}

#[test]
fn a_text_ends_before_a_stop_string_and_a_call_is_not_cut_by_one() {
    let conversation = search();
    let limits = Settings { max_tokens: 40, ..settings() };
    let stop = |strings: &[&str]| {
        StopStrings::new("stop", strings.iter().map(ToString::to_string).collect()).unwrap()
    };
    let text = ask(&Request::new(&conversation, None), &limits).unwrap().content.unwrap();
    assert!(text.is_ascii() && text.len() > 60, "{text:?}");
    // Any three bytes, which need not be the end of a token or its beginning.
    for at in (0..text.len() - 3).step_by(7) {
        let string = &text[at..at + 3];
        let request = Request { stop: stop(&["not in it", string]), ..Request::new(&conversation, None) };
        let mut shown = String::new();
        let answer =
            call::ask(pocket::loaded(), &PromptTemplate::default(), &request, &limits, &mut |piece| {
                shown += piece;
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(answer.content.as_deref(), text.find(string).map(|first| &text[..first]), "{string:?}");
        assert_eq!((answer.end, shown), (End::Complete, answer.content.unwrap()), "{string:?}");
    }
    let request = Request { stop: stop(&["not in it"]), ..Request::new(&conversation, None) };
    let mut shown = String::new();
    let whole = call::ask(pocket::loaded(), &PromptTemplate::default(), &request, &limits, &mut |piece| {
        shown += piece;
        ControlFlow::Continue(())
    });
    assert_eq!((whole.unwrap().content.unwrap(), shown), (text.clone(), text));

    let tools = restaurants();
    for choice in [Choice::Auto, Choice::Required] {
        let request = Request {
            choice,
            stop: stop(&["\"", "Oakland", "<", "}"]),
            ..Request::new(&conversation, Some(&tools))
        };
        let answer = ask(&request, &settings()).unwrap();
        assert_eq!(answer.calls[0].name(), "FindRestaurants");
    }
}

#[test]
fn several_calls_are_each_valid_and_never_more_than_allowed() {
    let conversation = search();
    let tools = tools(json!([
        {"name": "f", "parameters": {"properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}},
        {"name": "g", "parameters": {"properties": {"b": {"type": "boolean"}}}},
    ]));
    let parallel = NonZeroUsize::new(3).unwrap();
    let request = Request { parallel, ..Request::new(&conversation, Some(&tools)) };
    let mut counts = Vec::new();
    for seed in 0..24 {
        // At this temperature all tokens that the grammar allows are about equally likely.
        let sampling = Sampling { temperature: 100.0, seed, ..Sampling::default() };
        let answer = ask(&request, &Settings { sampling, ..settings() }).unwrap();
        for call in &answer.calls {
            check::check(&tools, call).unwrap();
        }
        counts.push(answer.calls.len());
    }
    assert!(counts.iter().all(|count| (1..=3).contains(count)), "{counts:?}");
    assert!(counts.contains(&1) && counts.iter().any(|&count| count > 1), "{counts:?}");
}

#[test]
fn a_thought_is_no_part_of_the_answer() {
    let (tools, conversation) = (restaurants(), search());
    let thinking = Settings { think: Think::On, ..settings() };
    for choice in [Choice::Required, Choice::Auto] {
        let request = Request { choice, ..Request::new(&conversation, Some(&tools)) };
        let answer = ask(&request, &thinking).unwrap();
        let shown = serde_json::to_value(ChatCompletion::new(&answer, "m", 0)).unwrap();
        let message = &shown["choices"][0]["message"];
        assert_eq!(
            message["reasoning_content"].as_str(),
            answer.reasoning.as_deref().filter(|t| !t.is_empty())
        );
        assert!(!message["content"].to_string().contains("think>"), "{message}");
    }
}

#[test]
fn at_every_budget_there_is_a_valid_call_or_none() {
    let (tools, conversation) = (restaurants(), search());
    let strict = Request::new(&conversation, Some(&tools));
    let whole = ask(&strict, &settings()).unwrap();
    let n = whole.timings.generated_tokens;
    let closing = Request { close_at_budget: true, ..strict.clone() };
    let mut closed = Vec::new();
    for max_tokens in (n / 5..n).step_by(n / 10) {
        let short = Settings { max_tokens, ..settings() };
        assert_eq!(ask(&strict, &short).unwrap_err().kind(), Kind::Negative);
        match ask(&closing, &short) {
            Ok(answer) => {
                assert_eq!(answer.end, End::CutOff);
                let shown = serde_json::to_value(ChatCompletion::new(&answer, "m", 0)).unwrap();
                assert_eq!(shown["choices"][0]["finish_reason"], "length");
                let (call, full) = (&answer.calls[0], &whole.calls[0]);
                assert!(call.arguments().iter().all(|(key, value)| full.arguments().get(key) == Some(value)));
                closed.push(call.arguments().len());
            }
            Err(error) => assert_eq!(error.kind(), Kind::Negative),
        }
    }
    assert!(closed.is_sorted() && closed.first() < closed.last(), "{closed:?}");
    assert_eq!(ask(&closing, &Settings { max_tokens: n, ..settings() }).unwrap().end, End::Complete);
}

#[test]
fn ids_are_the_same_for_the_same_answer_and_others_for_another() {
    let (tools, conversation) = (restaurants(), search());
    let request = Request::new(&conversation, Some(&tools));
    let object = |settings: &Settings| {
        let answer = ask(&request, settings).unwrap();
        serde_json::to_value(ChatCompletion::new(&answer, "pocket", 7)).unwrap()
    };
    let first = object(&settings());
    assert_eq!(first, object(&settings()));
    let other = object(&Settings { sampling: Sampling { seed: 1, ..Sampling::default() }, ..settings() });
    let call = |object: &Value| object["choices"][0]["message"]["tool_calls"][0].clone();
    assert_eq!(call(&first)["function"], call(&other)["function"]);
    assert_ne!(call(&first)["id"], call(&other)["id"]);
    let id = call(&first)["id"].as_str().unwrap().to_owned();
    assert!(id.len() == 9 && id.chars().all(|c| c.is_ascii_alphanumeric()), "{id}");
    assert_eq!(
        first["usage"]["total_tokens"],
        json!(
            first["usage"]["prompt_tokens"].as_u64().unwrap()
                + first["usage"]["completion_tokens"].as_u64().unwrap()
        )
    );
}

#[test]
fn a_reader_sees_text_in_whole_characters_and_can_end_it() {
    let conversation = search();
    let request = Request::new(&conversation, None);
    let sampling = Sampling { temperature: 3.0, ..Sampling::default() };
    let settings = Settings { sampling, max_tokens: 60, ..settings() };
    let mut pieces: Vec<String> = Vec::new();
    let answer = call::ask(pocket::loaded(), &PromptTemplate::default(), &request, &settings, &mut |piece| {
        pieces.push(piece.to_owned());
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(pieces.len() > 3, "{pieces:?}");
    assert_eq!(pieces.concat(), answer.content.unwrap());
    let mut seen = 0;
    let answer = call::ask(pocket::loaded(), &PromptTemplate::default(), &request, &settings, &mut |_| {
        seen += 1;
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert_eq!(answer.content.unwrap(), pieces[..3].concat());
}

fn stdout(output: &std::process::Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_command_prints_the_part_that_is_asked_for() {
    let (model, folder) = (pocket::pocket(FileType::F16), folder());
    let print = |what: &str| {
        let arguments = ["--tools", "tools.json", "--task", "task.txt", "--output", what];
        let question = ["Find me a Chinese restaurant in Oakland"];
        stdout(&run(&model, folder.path(), &[&arguments[..], &question].concat(), b""))
    };
    let arguments = r#"{"city": "Oakland", "cuisine": "Chinese"}"#;
    assert_eq!(print("name"), "FindRestaurants\n");
    assert_eq!(print("arguments"), format!("{arguments}\n"));
    assert_eq!(print("call"), format!("{{\"name\": \"FindRestaurants\", \"arguments\": {arguments}}}\n"));
    let openai: Value = serde_json::from_str(&print("openai")).unwrap();
    let choice = &openai["choices"][0];
    assert_eq!(
        (&openai["object"], &choice["finish_reason"]),
        (&json!("chat.completion"), &json!("tool_calls"))
    );
    assert_eq!(choice["message"]["content"], Value::Null);
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"], json!({"name": "FindRestaurants", "arguments": arguments}));
}

#[test]
fn streamed_text_is_the_text_and_a_reader_that_goes_away_ends_it() {
    let (model, folder) = (pocket::pocket(FileType::F16), folder());
    let arguments = ["--max-tokens", "24", "--tool-choice", "none", "--tools", "tools.json", "hello"];
    let whole = stdout(&run(&model, folder.path(), &arguments, b""));
    let streamed = run(&model, folder.path(), &[&arguments[..], &["--stream"]].concat(), b"");
    assert_eq!(stdout(&streamed), whole);
    assert!(String::from_utf8_lossy(&streamed.stderr).contains("cut off"));
    let mut child = command(&model, folder.path(), &["--stream", "--max-tokens", "3000", "hello"]);
    drop(child.stdout.take());
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_asked_for_is_refused_before_the_model_is_loaded() {
    let folder = folder();
    std::fs::write(folder.path().join("number.json"), "7").unwrap();
    std::fs::write(folder.path().join("schema.json"), r#"{"items": {"$ref": "other.json#/a"}}"#).unwrap();
    for (arguments, code, message) in [
        (
            &["--tools", "tools.json", "--tool-choice", "Find", "hi"][..],
            2,
            "there is no tool `Find`; the tools are respond_to_user, ReserveRestaurant, FindRestaurants",
        ),
        (&["--tool-choice", "auto", "hi"], 2, "give --tools"),
        (&["--tool-choice", "f", "hi"], 2, "give --tools"),
        (&["--tools", "tools.json", "--stream", "hi"], 2, "only text can be streamed"),
        (
            &["--tools", "tools.json", "--tool-choice", "auto", "--stream", "hi"],
            2,
            "only text can be streamed",
        ),
        (&["--json-schema", "number.json", "hi"], 65, "an object or a boolean"),
        (&["--json-schema", "task.txt", "hi"], 65, "not valid JSON"),
        (
            &["--json-schema", "schema.json", "hi"],
            65,
            "#/items: `$ref`: `other.json#/a` is not in this document",
        ),
        (&["--json-schema", "missing.json", "hi"], 66, "missing.json"),
        (&["--json-schema", "schema.json", "--tools", "tools.json", "hi"], 2, "cannot be used with"),
        (&["--output", "name", "hi"], 2, "no call to print a part of"),
        (&["--parallel", "2", "hi"], 2, "are for calls"),
        (&["--close-at-budget", "hi"], 2, "are for calls"),
        (&["--tools", "tools.json", "--parallel", "0", "hi"], 2, "--parallel"),
        (&["--tools", "tools.json", "--output", "yaml", "hi"], 2, "possible values"),
    ] {
        // Without this check the missing model would be refused next.
        let output = run(Path::new("missing.gguf"), folder.path(), arguments, b"");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}
