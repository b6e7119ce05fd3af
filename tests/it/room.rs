//! Prompts, contexts and texts that are too large are refused early, with the numbers; and `--print-prompt` needs no
//! weights.

use crate::{edited::Edited, pocket};
use edgecall::{convert::FileType, gguf::Value, runtime::Vocabulary};
use serde_json::json;
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

fn folder() -> TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let tools = json!([
        {"name": "look", "description": "Look something up", "parameters": {
            "type": "object", "properties": {"what": {"type": "string"}}}},
        {"name": "wait", "description": "Do nothing", "parameters": {"type": "object"}}]);
    fs::write(folder.path().join("tools.json"), tools.to_string()).unwrap();
    folder
}

/// `edgecall call` with the `tools.json` of `folder`.
pub fn call(model: &Path, folder: &TempDir, arguments: &[&str]) -> Output {
    crate::program::edgecall()
        .args(["call", "--threads", "1", "--tools", "tools.json", "-m"])
        .arg(model)
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("EDGECALL_MODEL")
        .env_remove("SOURCE_DATE_EPOCH")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The exit code and stderr of a command that printed nothing.
fn refused(output: &Output) -> (Option<i32>, String) {
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn messages(folder: &TempDir, messages: serde_json::Value) {
    fs::write(folder.path().join("m.json"), messages.to_string()).unwrap();
}

#[test]
fn a_prompt_that_does_not_fit_is_refused_with_the_tokens_of_each_part_and_what_would_fit() {
    let (model, folder) = (pocket::pocket(FileType::Q8_0), folder());
    let long = "The guest talks and talks. ".repeat(200);
    messages(
        &folder,
        json!([
            {"role": "system", "content": "You look things up."},
            {"role": "user", "content": long},
            {"role": "assistant", "content": long},
            {"role": "user", "content": "Look up the weather."},
            {"role": "assistant", "content": "In which city?"},
            {"role": "user", "content": "In Oakland."},
        ]),
    );
    let arguments = ["--messages", "m.json", "--ctx", "1024"];
    let (code, said) = refused(&call(&model, &folder, &arguments));
    assert_eq!(code, Some(65), "{said}");
    for part in [
        "tokens and the context 1024 (the model takes up to 4096)",
        "messages[0] (system)",
        "tool `look`",
        "tool `wait`",
        "messages[1] (user)",
        "messages[5] (user)",
        "the chat template's own words",
        "the last 3 messages would fit",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    // The parts add up to the total.
    let number = |line: &str| line.split_whitespace().last().unwrap().parse::<usize>().unwrap();
    let sum: usize = said.lines().filter(|line| line.starts_with("  ")).map(number).sum();
    assert!(said.contains(&format!("the prompt has {sum} tokens")), "{sum}: {said}");
    // The last messages that are said to fit do fit.
    let all: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("m.json")).unwrap()).unwrap();
    let all = all.as_array().unwrap();
    messages(&folder, json!([all[0], all[3], all[4], all[5]]));
    let output = call(&model, &folder, &arguments);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn many_messages_are_added_up_and_a_last_one_that_is_too_long_is_said_to_be() {
    let (model, folder) = (pocket::pocket(FileType::Q8_0), folder());
    let many: Vec<_> =
        (0..300).map(|_| json!({"role": "user", "content": "a short message of some words"})).collect();
    messages(&folder, json!(many));
    let (code, said) = refused(&call(&model, &folder, &["--messages", "m.json", "--ctx", "512"]));
    assert_eq!(code, Some(65));
    assert!(said.lines().count() < 40 && said.contains("278 others"), "{said}");
    messages(&folder, json!([{"role": "user", "content": "word ".repeat(1000)}]));
    let (_, said) = refused(&call(&model, &folder, &["--messages", "m.json", "--ctx", "512"]));
    assert!(said.contains("not even the last message fits"), "{said}");
}

#[test]
fn a_hundred_megabytes_of_messages_are_refused_by_their_length_and_not_tokenized() {
    let (model, folder) = (pocket::pocket(FileType::Q8_0), folder());
    for content in ["long words ".repeat(9_500_000), "x".repeat(104_000_000)] {
        messages(&folder, json!([{"role": "user", "content": content}]));
        let (code, said) = refused(&call(&model, &folder, &["--messages", "m.json"]));
        assert_eq!(code, Some(65), "{said}");
        // A lower bound from the length; after tokenizing, the message would have the exact count.
        assert!(said.contains("bytes of messages, which are") && said.contains("tokens or more"), "{said}");
    }
}

#[test]
fn a_context_that_no_memory_holds_is_refused_before_it_is_made() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    Edited::pocket().set("qwen3.context_length", Value::U32(1 << 30)).write(&path);
    let (code, said) = refused(&call(&path, &folder, &["--ctx", "1000000000", "hi"]));
    assert_eq!(code, Some(69), "{said}");
    for part in ["a context of 1000000000 tokens takes", "MiB of weights", "--ctx ", "would fit", "--force"] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    // The suggested context size can be created.
    let fitting: usize = said.split("--ctx ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(fitting > 4096 && fitting.is_multiple_of(256), "{fitting}");
}

#[test]
fn a_model_without_a_template_says_what_to_do_and_takes_one() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let bare = Edited::pocket();
    let Value::String(template) = bare.clone().value_mut("tokenizer.chat_template").clone() else { panic!() };
    bare.without("tokenizer.chat_template").write(&path);
    let (code, said) = refused(&call(&path, &folder, &["hi"]));
    assert_eq!(code, Some(65));
    assert!(said.contains("`tokenizer.chat_template`") && said.contains("--chat-template FILE"), "{said}");
    fs::write(folder.path().join("t.jinja"), template).unwrap();
    let given = call(&path, &folder, &["hi", "--chat-template", "t.jinja"]);
    let own = call(&pocket::pocket(FileType::Q8_0), &folder, &["hi"]);
    assert_eq!((given.status.code(), given.stdout), (own.status.code(), own.stdout));
}

#[test]
fn the_template_for_tools_is_preferred() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let named = |name: &str| Value::String(format!("{{# <tool_call> #}}{name}"));
    Edited::pocket()
        .set("tokenizer.chat_template", named("the default one"))
        .set("tokenizer.chat_template.tool_use", named("the one for tools"))
        .write(&path);
    assert_eq!(call(&path, &folder, &["hi", "--print-prompt"]).stdout, b"the one for tools");
}

#[test]
fn the_prompt_is_printed_as_it_is_and_no_weights_are_needed() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let mut model = Edited::pocket();
    model.tensors.clear();
    model.write(&path);
    let output = call(&path, &folder, &["Is it late?", "--system", "Be brief.", "--print-prompt"]);
    let prompt = String::from_utf8(output.stdout).unwrap();
    assert!(prompt.starts_with("<|im_start|>system\nBe brief."), "{prompt}");
    assert!(prompt.contains("\"name\": \"look\"") && prompt.contains("Is it late?"), "{prompt}");
    assert!(prompt.ends_with("<|im_start|>assistant\n<think>\n\n</think>\n\n"), "{prompt:?}");
    // Without the option the same file is not accepted.
    let (code, said) = refused(&call(&path, &folder, &["hi"]));
    assert_eq!(code, Some(65));
    assert!(said.contains("tensor `token_embd.weight` is missing"), "{said}");
}

#[test]
fn template_arguments_are_json_and_win_over_ours() {
    let (model, folder) = (pocket::pocket(FileType::Q8_0), folder());
    let template = "{{ who }} {{ list | length }} {{ enable_thinking }} {{ messages[0].content }}\n";
    fs::write(folder.path().join("t.jinja"), format!("\u{feff}{template}")).unwrap();
    let print = ["hi", "--print-prompt", "--chat-template", "t.jinja"];
    let print = |more: &[&str]| call(&model, &folder, &[&print[..], more].concat());
    let given = ["--template-arg", "who=\"a=b\"", "--template-arg", "list=[1, 2]"];
    assert!(print(&given).stdout.starts_with(b"a=b 2 False "));
    let given = [&given[..], &["--template-arg", "enable_thinking=null"]].concat();
    assert!(print(&given).stdout.starts_with(b"a=b 2 None "));
    for wrong in ["who", "=1", "who=a b", "who="] {
        let (code, said) = refused(&print(&["--template-arg", wrong]));
        assert_eq!(code, Some(2), "{wrong}");
        assert!(said.contains("KEY=JSON"), "{wrong}: {said}");
    }
}

#[test]
fn a_template_file_that_cannot_be_one_is_refused() {
    let (model, folder) = (pocket::pocket(FileType::Q8_0), folder());
    for (name, bytes, code, message) in [
        ("latin.jinja", &b"caf\xe9"[..], 65, "is not UTF-8"),
        ("empty.jinja", b"\xef\xbb\xbf \n", 65, "the chat template is empty"),
        ("open.jinja", b"<tool_call>\n{% if %}", 65, "line 2"),
        (
            "loop.jinja",
            b"{% for i in range(99999) %}{% for j in range(99999) %}<tool_call>{% endfor %}{% endfor %}",
            65,
            "line 1",
        ),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
        let (found, said) = refused(&call(&model, &folder, &["hi", "--chat-template", name]));
        assert_eq!(found, Some(code), "{name}: {said}");
        assert!(said.contains(message), "{name}: {said}");
    }
    let (code, said) = refused(&call(&model, &folder, &["hi", "--chat-template", "missing.jinja"]));
    assert_eq!(code, Some(66), "{said}");
}

#[test]
fn input_that_is_no_text_or_nothing_is_refused_and_a_byte_order_mark_is_not() {
    let (model, folder) = (pocket::pocket(FileType::Q8_0), folder());
    let file = |bytes: &[u8]| fs::write(folder.path().join("m.json"), bytes).unwrap();
    for (bytes, message) in [
        (&b""[..], "there are no messages"),
        (b" \n", "there are no messages"),
        (b"\xef\xbb\xbf", "there are no messages"),
        (b"[]", "there are no messages"),
        (b"{}", "without `messages`"),
        (b"\"hi\"", "expected an array of messages"),
        (b"[\"hi\"]", "messages[0]"),
        (b"[{\"role\": \"user\", \"content\": \"caf\xe9\"}]", "not UTF-8"),
        (b"\xff\xfe[\0]\0", "not UTF-8"),
    ] {
        file(bytes);
        let (code, said) = refused(&call(&model, &folder, &["--messages", "m.json"]));
        assert_eq!(code, Some(65), "{said}");
        assert!(said.contains(message), "{said}");
    }
    file(b"\xef\xbb\xbf[{\"role\": \"user\", \"content\": \"hi\"}]");
    let marked = call(&model, &folder, &["--messages", "m.json", "--print-prompt"]);
    file(b"[{\"role\": \"user\", \"content\": \"hi\"}]");
    assert_eq!(marked.stdout, call(&model, &folder, &["--messages", "m.json", "--print-prompt"]).stdout);
    assert!(!marked.stdout.is_empty());
    for (bytes, message) in
        [(&b""[..], ""), (b"\xef\xbb\xbf", ""), (b"[]", ""), (b"{}", ""), (b"[\xff]", "the byte at offset 1")]
    {
        fs::write(folder.path().join("tools.json"), bytes).unwrap();
        let (code, said) = refused(&call(&model, &folder, &["hi"]));
        assert_eq!(code, Some(65), "{bytes:?}: {said}");
        assert!(said.contains(message), "{said}");
    }
}

/// Pre-tokenizers by llama.cpp's way to split text: code of its own, or `std::regex`, which recurses once per
/// character.
const PRE_TOKENIZERS: &[&str] = &[
    "qwen2",
    "llama-bpe",
    "gpt-2",
    "default",
    "deepseek-llm",
    "deepseek-v3",
    "falcon",
    "smollm",
    "tekken",
    "gpt-4o",
    "bloom",
];

#[test]
fn a_long_run_of_one_kind_of_character_never_ends_the_process() {
    const MODEL: &str = "EDGECALL_TEST_TOKENIZE";
    if let Ok(path) = std::env::var(MODEL) {
        let vocabulary = Vocabulary::load(Path::new(&path)).unwrap();
        for text in ["a", " ", "7", "!", "\n", "漢", "'", "e\u{301}", "a1 ,"] {
            assert!(!vocabulary.tokenize(&text.repeat(200_000 / text.len()), true).unwrap().is_empty());
        }
        return;
    }
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let mut ended = Vec::new();
    for pre in PRE_TOKENIZERS {
        Edited::pocket().set("tokenizer.ggml.pre", Value::String((*pre).to_owned())).write(&path);
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "room::a_long_run_of_one_kind_of_character_never_ends_the_process"])
            .env(MODEL, &path)
            .output()
            .unwrap();
        if !child.status.success() {
            ended.push(format!("{pre}: {}", child.status));
        }
    }
    assert!(ended.is_empty(), "{ended:#?}");
}
