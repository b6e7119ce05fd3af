//! Models make calls in each format, with templates that use another format or none; one of the models is a published
//! one.

use crate::{
    dialect::{CHATML, find, history, tools},
    pocket::{self, settings},
};
use edgecall::{
    call::{self, PromptTemplate, Request, Settings, Think},
    chat::Conversation,
    convert::FileType,
    dialect::{self, Dialect, Wanted, entries, turn::Turn},
    gguf::{Gguf, Header, Value as Metadata},
    runtime::{Compiler, Model, Sampling, Vocabulary},
    schema::KeyOrder,
    tools::{ToolSet, check},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

fn question(text: &str) -> Conversation {
    Conversation::from_value(json!([{"role": "user", "content": text}])).unwrap()
}

/// The pocket model in Q8_0 with some of its metadata changed.
fn pocket_with(folder: &Path, keys: &[(&str, Metadata)]) -> PathBuf {
    let file = fs::read(pocket::pocket(FileType::Q8_0)).unwrap();
    let gguf = Gguf::parse(&file).unwrap();
    let mut metadata = gguf.metadata.clone();
    for (key, value) in keys {
        match metadata.iter_mut().find(|(name, _)| name == key) {
            Some((_, slot)) => *slot = value.clone(),
            None => metadata.push(((*key).to_owned(), value.clone())),
        }
    }
    let mut header = Header::new(metadata);
    for tensor in &gguf.tensors {
        header.push_tensor(tensor.name.clone(), tensor.dims.clone(), tensor.ggml_type);
    }
    let mut changed = header.encode();
    for tensor in &gguf.tensors {
        changed.extend(gguf.tensor_bytes(&file, &tensor.name).unwrap());
        changed.resize(changed.len().next_multiple_of(32), 0);
    }
    let path = folder.join("changed.gguf");
    fs::write(&path, changed).unwrap();
    path
}

fn template(text: &str) -> (&'static str, Metadata) {
    ("tokenizer.chat_template", Metadata::String(text.into()))
}

#[test]
fn bos_is_undefined_where_the_model_adds_none_and_stands_once_where_it_does() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let shows = template(
        "{{ bos_token is defined }}|{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}",
    );
    let render = |path: &Path| {
        let model = Model::load(path).unwrap();
        let (tools, question) = (find(), question("x"));
        let request = Request::new(&question, Some(&tools));
        let format = PromptTemplate::default();
        let tool_format =
            format.tool_format(model.vocabulary(), &request, &edgecall::dialect::Wanted::Auto).unwrap();
        let prompt = format.render(model.vocabulary(), &request, tool_format.as_ref(), Think::Off).unwrap();
        (model, prompt)
    };
    let adds = |on: bool| ("tokenizer.ggml.add_bos_token", Metadata::Bool(on));
    let (model, prompt) = render(&pocket_with(folder.path(), &[shows.clone(), adds(false)]));
    assert!(prompt.starts_with("False|You can call"), "{prompt}");
    let bos = model.vocabulary().bos().unwrap();
    let text = String::from_utf8(model.vocabulary().piece(bos)).unwrap();
    assert_ne!(call::tokenize_prompt(&model, &prompt).unwrap()[0], bos);

    let (model, prompt) = render(&pocket_with(folder.path(), &[shows, adds(true)]));
    assert!(prompt.starts_with(&format!("True|{text}You can call")), "{prompt}");
    for prompt in [format!("{text}Hi"), "Hi".into()] {
        let tokens = call::tokenize_prompt(&model, &prompt).unwrap();
        assert_eq!((tokens[0], tokens.iter().filter(|&&token| token == bos).count()), (bos, 1), "{prompt}");
    }
}

fn edgecall(model: &Path, folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    fs::write(folder.join("tools.json"), serde_json::to_vec(&find().sources()).unwrap()).unwrap();
    let output = crate::program::edgecall()
        .args(["call", "--threads", "1", "--tools", "tools.json", "-m"])
        .arg(model)
        .args(arguments)
        .current_dir(folder)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn every_dialect_gives_the_same_json_on_stdout() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let model = pocket::pocket(FileType::F16);
    for dialect in entries::all() {
        let name = dialect.name.as_str();
        let (code, stdout, stderr) =
            edgecall(&model, folder.path(), &["--dialect", name, "Find one in Oakland"]);
        assert_eq!(code, Some(0), "{name}: {stderr}");
        let call: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(call["name"], "find", "{name}: {stdout}");
        assert!(call["arguments"]["city"].is_string(), "{name}: {stdout}");
    }
}

#[test]
fn a_refused_format_has_a_way_on() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let xml = CHATML.replace("CALL", "<tool_call>\n<function={{ call.name }}>\n<parameter=a>");
    let model = pocket_with(folder.path(), &[template(&xml)]);
    let (code, stdout, stderr) = edgecall(&model, folder.path(), &["--dialect", "strict", "hi"]);
    assert_eq!((code, stdout.as_str()), (Some(65), ""));
    assert!(stderr.contains("cannot be told") && stderr.contains("--dialect generic"), "{stderr}");
    let (code, stdout, stderr) = edgecall(&model, folder.path(), &["hi"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stdout.starts_with("{\"name\": \"find\"") && stderr.contains("told in text"),
        "{stdout} {stderr}"
    );
    let (code, stdout, stderr) = edgecall(&model, folder.path(), &["--dialect", "generic", "hi"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("{\"name\": \"find\", \"arguments\": {\"city\": "), "{stdout}");
    let (code, _, stderr) = edgecall(&model, folder.path(), &["--dialect", "klingon", "hi"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("hermes, llama3"), "{stderr}");
}

/// SmolLM2-135M-Instruct (`scripts/fetch_smollm2`): a model without tool training.
#[test]
fn smollm2_makes_valid_calls() {
    let Some(path) = std::env::var_os("EDGECALL_SMOLLM2") else {
        println!("skipped: EDGECALL_SMOLLM2 does not point to the file that scripts/fetch_smollm2 fetches");
        return;
    };
    let model = Model::load(Path::new(&path)).unwrap();
    let set = tools(json!([
        {"name": "get_weather", "description": "The weather in a city.", "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "maxLength": 40},
                "unit": {"enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 7},
            },
            "required": ["city"]}},
        {"name": "send_message", "description": "Sends a message to a person.", "parameters": {
            "type": "object",
            "properties": {
                "to": {"type": "string", "maxLength": 40},
                "text": {"type": "string", "maxLength": 200},
                "labels": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 3},
            },
            "required": ["to", "text"]}},
    ]));
    call::check_tools(&set, KeyOrder::Any).unwrap();
    let hermes = dialect::named("hermes");
    for text in ["What is the weather in Paris?", "Tell Anna that I will be late.", "東京の天気は？"] {
        for (seed, temperature, dialect) in [
            (0, 0.0, None),
            (0, 0.0, hermes.clone()),
            (1, 1.0, None),
            (2, 1.5, None),
            (2, 1.5, hermes.clone()),
        ] {
            let settings = Settings {
                sampling: Sampling { temperature, seed, ..Sampling::default() },
                dialect: dialect.clone().map_or(Wanted::Auto, Wanted::Given),
                ..settings()
            };
            let answer = call::call(&model, &set, &question(text), &settings).unwrap();
            println!("{text} {dialect:?} at {temperature}: {}", answer.calls[0]);
            check::check(&set, &answer.calls[0]).unwrap();
        }
    }
    let answer = call::call(&model, &find(), &history(), &settings()).unwrap();
    assert_eq!(answer.calls[0].name(), "find");
    let none = call::call(&model, &set, &question("hi"), &Settings { max_tokens: 3, ..settings() });
    assert!(matches!(none.unwrap_err(), call::Error::Budget { .. }));
}

#[test]
fn a_token_from_the_name_into_the_end_of_the_call_is_no_failed_value() {
    let value = json!({"before": ["\">"], "encoding": "raw"});
    let dialect = json!({
        "name": "tags", "first": ["<f name=\"", {"name": "plain"}, "\">"], "last": ["</f>"],
        "arguments": {"members": {"open": "<p name=\"", "separator": "</p><p name=\"", "close": "</p>", "values": {
            "string": value, "number": value, "boolean": value, "null": value, "array": value, "object": value}}},
    });
    let dialect = Arc::new(Dialect::parse(dialect.to_string().as_bytes()).unwrap());
    let one = |name: &str| json!({"name": name, "parameters": {"properties": {"a": {"enum": ["x"]}}, "required": ["a"]}});
    let tools = ToolSet::from_value(json!([one("f"), one("g")])).unwrap();
    let turn = Turn::new(&tools, &dialect, KeyOrder::Any).unwrap();
    let vocabulary = Vocabulary::load(&pocket::pocket(FileType::Q8_0)).unwrap();
    let ids: Vec<i32> = (0..vocabulary.n_vocab()).map(|id| i32::try_from(id).unwrap()).collect();
    let token = |text: &str| *ids.iter().find(|&&id| vocabulary.piece(id) == text.as_bytes()).unwrap();
    let (begun, end, open) = (["<", "f", " name", "=", "\"", "f", "\""].map(token), token("></"), token(">"));
    let compiler = Compiler::for_vocabulary(vocabulary.clone()).unwrap();
    let mut constraint = call::constraint(&compiler, &turn).unwrap();
    begun.iter().for_each(|token| assert!(constraint.accept(*token).unwrap()));
    assert!(!constraint.accept(end).unwrap());
    // The grammar of the tool refuses it. A check's refusal would have the text taken back.
    assert_eq!(constraint.violation(), None);
    assert!(constraint.accept(open).unwrap());
}

#[test]
fn a_file_of_a_dialect_that_cannot_be_used_ends_as_other_inputs_do() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let model = pocket::pocket(FileType::Q8_0);
    let mistral = serde_json::to_string(&*dialect::named("mistral").unwrap()).unwrap();
    fs::write(folder.path().join("mine.json"), mistral.replace("\"first\"", "\"frist\"")).unwrap();
    fs::write(folder.path().join("mistral.json"), mistral).unwrap();
    for (file, expected, message) in [
        ("nowhere.json", 66, "cannot read nowhere.json"),
        ("mine.json", 65, "mine.json cannot be used: the dialect's `frist` cannot be read: unknown field"),
    ] {
        let (code, stdout, stderr) = edgecall(&model, folder.path(), &["--dialect", file, "hi"]);
        assert_eq!((code, stdout.as_str()), (Some(expected), ""), "{stderr}");
        assert!(stderr.contains(message), "{stderr}");
    }
    let (code, stdout, stderr) =
        edgecall(&model, folder.path(), &["--dialect", "mistral.json", "Find one in Oakland"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("{\"name\": \"find\""), "{stdout}");
}
