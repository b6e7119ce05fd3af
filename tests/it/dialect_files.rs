//! `inspect --dialect` shows a model's call format, and what it prints as JSON is a file of that format.

use edgecall::{
    chat::Template,
    dialect::{Dialect, derive::derive},
    gguf::{Array, Header, Value},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

const TEMPLATE: &str = "\
    {%- if tools %}<|sys|>{{ tools | tojson }}<|end|>\n{% endif %}\
    {%- for m in messages %}<|{{ m.role }}|>\n{{ m.content }}\
    {%- for c in m.tool_calls %}<f={{ c.function.name }}>\
    {%- for k, v in c.function.arguments | items %}<p={{ k }}>{{ v if v is string else v | tojson }}</p>{% endfor %}</f>{% endfor %}<|end|>\n{% endfor %}\
    {%- if add_generation_prompt %}<|assistant|>\n{% endif %}";

fn write(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn inspect(arguments: &[&str], path: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
    command.env("HF_HUB_CACHE", "/dev/null/hub");
    command.args(["inspect", "--dialect"]).args(arguments).arg(path).stdin(Stdio::null()).output().unwrap()
}

fn model(folder: &TempDir, template: &str, tokens: &[&str]) -> PathBuf {
    let text = |name: &str, text: &str| (name.to_owned(), Value::String(text.to_owned()));
    let tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
    let mut metadata = vec![
        text("general.architecture", "qwen3"),
        ("tokenizer.ggml.tokens".into(), Value::Array(Array::String(tokens))),
    ];
    if !template.is_empty() {
        metadata.push(text("tokenizer.chat_template", template));
    }
    write(folder, "model.gguf", Header::new(metadata).encode())
}

#[test]
fn the_json_of_a_dialect_is_a_file_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let derived = derive(&Template::new(TEMPLATE).unwrap()).unwrap().dialect;
    for path in [write(&folder, "chat.jinja", TEMPLATE), model(&folder, TEMPLATE, &["a"])] {
        let output = inspect(&["--json"], &path);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(Dialect::parse(&output.stdout).unwrap(), derived);
        let shown = String::from_utf8(inspect(&[], &path).stdout).unwrap();
        for part in [
            "derived from the chat template",
            "    <f=forecast><p=city>Leeds</p><p=days>3</p><p=hourly>true</p>",
            "</f><f=get_time></f>",
            "a text cannot hold \"</p\"",
        ] {
            assert!(shown.contains(part), "{part} in:\n{shown}");
        }
    }
}

#[test]
fn an_entry_is_found_by_template_and_vocabulary() {
    let folder = tempfile::tempdir().unwrap();
    let template = "{% if tools %}List of tools: [{{ tools | tojson }}]{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}";
    let path = model(&folder, template, &["<|tool_call_start|>", "<|tool_call_end|>"]);
    let shown = String::from_utf8(inspect(&[], &path).stdout).unwrap();
    assert!(shown.starts_with("lfm: known for models like this one"), "{shown}");
    assert!(
        shown.contains("[forecast(city='Leeds', days=3, hourly=True, fields=['rain', 'wind'])]"),
        "{shown}"
    );
    let shown = String::from_utf8(inspect(&[], &model(&folder, template, &["a"])).stdout).unwrap();
    assert!(shown.starts_with("generic: "), "{shown}");
}

#[test]
fn what_is_no_template_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    for (path, code, reason) in [
        (folder.path().join("none.jinja"), 66, "cannot read"),
        (write(&folder, "bytes.jinja", [0xff, 0xfe]), 65, "is no chat template"),
        (write(&folder, "open.jinja", "{% for m in messages %}"), 65, "line 1"),
        (model(&folder, "", &["a"]), 65, "has no chat template"),
    ] {
        let output = inspect(&[], &path);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{message}");
        assert!(message.contains(reason), "{message}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn the_example_in_the_documentation_is_a_dialect() {
    let text = include_str!("../../docs/dialects.md");
    let example = text.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let dialect = Dialect::parse(example.as_bytes()).unwrap();
    assert!(dialect.example().one.starts_with("<tool_call>\n<function=forecast>\n<parameter=city>\nLeeds\n"));
}
