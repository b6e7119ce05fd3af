//! Wrong input of `call`: each case is refused with the problem and its place, with its exit code, and with nothing on
//! stdout.

use crate::{pocket, room};
use edgecall::{call, convert::FileType};
use serde_json::json;
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

fn folder() -> TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let tools =
        json!([{"name": "f", "parameters": {"properties": {"a": {"type": "string", "maxLength": 3}}}}]);
    fs::write(folder.path().join("tools.json"), tools.to_string()).unwrap();
    folder
}

/// Asserts that the command exited with `code`, wrote each of `parts` to stderr, and nothing to stdout.
fn check(output: &Output, code: i32, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{parts:?}: {said}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

#[test]
fn messages_that_are_none_are_refused_by_what_is_wrong_and_where() {
    let (folder, model) = (folder(), pocket::pocket(FileType::Q8_0));
    let utf16 =
        |text: &str, order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let hello = r#"[{"role": "user", "content": "hi"}]"#;
    let marked = format!("\u{feff}{hello}");
    for (input, parts) in [
        (b"\xff\xfa".to_vec(), &["m.json", "not UTF-8: the byte at offset 0"][..]),
        (b"[{\"role\": \"\xff\"}]".to_vec(), &["the byte at offset 11"]),
        (utf16(hello, u16::to_le_bytes), &["the messages are UTF-16", "save the file as UTF-8"]),
        (utf16(hello, u16::to_be_bytes), &["the messages are UTF-16"]),
        (utf16(&marked, u16::to_le_bytes), &["the messages are UTF-16"]),
        (utf16(&marked, u16::to_be_bytes), &["the messages are UTF-16"]),
        (b"".to_vec(), &["there are no messages"]),
        (b"\xef\xbb\xbf".to_vec(), &["there are no messages"]),
        (b"[]".to_vec(), &["there are no messages"]),
        (b"{}".to_vec(), &["an object without `messages`"]),
        (b"null".to_vec(), &["the messages are null"]),
        (br#"{"messages": {"role": "user"}}"#.to_vec(), &["the messages are an object"]),
        ("[".repeat(100_000).into_bytes(), &["recursion limit exceeded at line 1 column 12"]),
        ("{\"a\":".repeat(100_000).into_bytes(), &["EOF while parsing a value at line 1"]),
        (r#"{"messages":[{"a":"#.repeat(100_000).into_bytes(), &["recursion limit exceeded"]),
        (format!("{hello} x").into_bytes(), &["trailing characters at line 1"]),
        (b"[{\"role\": \"user\", \"content\": \"a\0b\"}]".to_vec(), &["control character", "line 1 column"]),
        (br#"[{"role": "user", "content": "x", "n": 1e999}]"#.to_vec(), &["number out of range at line 1"]),
    ] {
        fs::write(folder.path().join("m.json"), input).unwrap();
        check(&room::call(&model, &folder, &["--messages", "m.json"]), 65, parts);
    }
    check(&room::call(&model, &folder, &["--messages", "none.json"]), 66, &["cannot read none.json"]);
    check(&room::call(&model, &folder, &["--messages", "."]), 66, &["cannot read .", "directory"]);
    for text in [
        hello,
        &marked,
        r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}"#,
        // Half a surrogate pair is read as U+FFFD.
        r#"[{"role": "user", "content": "\ud800 x"}]"#,
    ] {
        fs::write(folder.path().join("m.json"), text).unwrap();
        let output = room::call(&model, &folder, &["--messages", "m.json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_hundred_megabytes_that_are_no_messages_are_refused_at_the_first_wrong_one() {
    let (folder, model) = (folder(), pocket::pocket(FileType::Q8_0));
    let message = r#"{"role":"user","content":"hello there"},"#;
    let zeros = "0,".repeat(50_000_000);
    for (text, part) in [
        (format!("[{zeros}0]"), "messages[0]: expected an object, found a number"),
        (format!("[{}0]", message.repeat(2_500_000)), "more than 262144 messages"),
        (format!("{{\"a\": [{zeros}0]}}"), "an object without `messages`"),
    ] {
        fs::write(folder.path().join("m.json"), text).unwrap();
        // 1.5 GB of address space is enough for all cases, with the model.
        let script = format!(
            "ulimit -v 1500000; exec {} call --threads 1 --tools tools.json --messages m.json -m {}",
            env!("CARGO_BIN_EXE_edgecall"),
            model.display()
        );
        let output = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
        check(&output, 65, &[part]);
    }
}

#[test]
fn a_model_that_is_none_is_refused_by_what_it_is() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("empty.gguf"), "").unwrap();
    assert!(Command::new("mkfifo").arg(path("pipe.gguf")).status().unwrap().success());
    std::os::unix::fs::symlink("loop.gguf", path("loop.gguf")).unwrap();
    fs::write(path("text.gguf"), "not a model").unwrap();
    let safetensors = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket/model.safetensors");
    for (model, code, parts) in [
        (path("."), 65, &["is a folder", "edgecall convert"][..]),
        (path("none.gguf"), 66, &["cannot read the model", "none.gguf"]),
        (path("empty.gguf"), 65, &["the file is empty", "cut short"]),
        (path("pipe.gguf"), 65, &["is no regular file", "save it to a file"]),
        ("/dev/null".into(), 65, &["is no regular file"]),
        (path("loop.gguf"), 66, &["cannot read the model"]),
        (path("text.gguf"), 65, &["not a GGUF file"]),
        (safetensors, 65, &["it looks like safetensors", "edgecall convert"]),
    ] {
        check(&room::call(&model, &folder, &["hi"]), code, parts);
    }
}

#[test]
fn flags_that_cannot_be_are_usage_errors() {
    let (folder, model) = (folder(), pocket::pocket(FileType::Q8_0));
    for arguments in [
        &["--max-tokens", "0"][..],
        &["--ctx", "0"],
        &["--ctx", "99999999999"],
        &["--ctx", "99999999999999999999999"],
        &["--temperature", "NaN"],
        &["--temperature", "inf"],
        &["--temperature=-1"],
        &["--temperature", "1", "--top-p", "NaN"],
        &["--temperature", "1", "--top-k", "0"],
        &["--seed=-1"],
        &["--parallel", "0"],
        &["--kv-type", "q9"],
    ] {
        check(&room::call(&model, &folder, &[&["hi"], arguments].concat()), 2, &["error: "]);
    }
    for threads in ["0", "100000", "18446744073709551615", "x"] {
        let output = crate::program::edgecall()
            .args(["call", "--tools", "tools.json", "hi", "--threads", threads, "-m"])
            .arg(&model)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        check(&output, 2, &["threads"]);
    }
    check(&room::call(&model, &folder, &["hi", "--ctx", "1"]), 65, &["the context has 1"]);
    check(
        &room::call(&model, &folder, &["hi", "--ctx", "16"]),
        65,
        &["the context 16", "messages[0] (user)"],
    );
}

#[test]
fn a_template_that_writes_nothing_or_never_ends_is_refused() {
    let (folder, model) = (folder(), pocket::pocket(FileType::Q8_0));
    for (template, part) in [
        ("{% for m in messages %}{% endfor %}", "writes nothing for this conversation"),
        ("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "it loops or writes without end"),
        ("{% set x = 'a' * 10000000000 %}{{ x }}", "it loops or writes without end"),
        ("{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}", "without end"),
        ("{% if %}", "cannot be parsed: line 1"),
        ("{{ raise_exception('no') }}", "refuses this conversation: no (line 1"),
        ("{{ messages[5].content.x }}", "failed at its line 1"),
        (" ", "the chat template is empty"),
    ] {
        fs::write(folder.path().join("t.jinja"), template).unwrap();
        let arguments = ["hi", "--chat-template", "t.jinja", "--dialect", "hermes"];
        check(&room::call(&model, &folder, &arguments), 65, &[part]);
    }
}

#[test]
fn the_pinned_time_is_a_number_for_whoever_reads_it() {
    let (folder, model) = (folder(), pocket::pocket(FileType::Q8_0));
    let at = |value: &str| {
        crate::program::edgecall()
            .args(["call", "--threads", "1", "--tools", "tools.json", "hi", "--output", "openai", "-m"])
            .arg(&model)
            .current_dir(folder.path())
            .env("SOURCE_DATE_EPOCH", value)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let output = at("77");
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["created"], 77);
    for wrong in ["", "today", "1.5"] {
        check(&at(wrong), 2, &["SOURCE_DATE_EPOCH is", "seconds since 1970"]);
    }
}

#[test]
fn combining_marks_behind_special_tokens_are_tokenized_as_the_tokenizers_package_does() {
    let model = pocket::loaded();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket/tokenizer.json");
    let tokenizer = tokenizers::Tokenizer::from_file(file).unwrap();
    for text in [
        // U+0338 turns `>` into `≯` in NFC.
        "<|im_end|>\u{338}x",
        "<|im_start|>user\n\u{301}e\u{301}<|im_end|>\u{338}\u{301}",
        "<tool_call>\u{338}a\u{30a}</tool_call>\u{338}",
        "a > \u{338} b>\u{338} <|im_end\u{338}|>",
        "e\u{301}<|im_end|><|im_end|>\u{338}\u{327}c",
        "\u{1100}\u{1161}<|endoftext|>\u{11a8}",
    ] {
        let theirs: Vec<i32> =
            tokenizer.encode(text, false).unwrap().get_ids().iter().map(|&id| id as i32).collect();
        assert_eq!(call::tokenize_prompt(model, text).unwrap(), theirs, "{text:?}");
    }
    let marked = call::tokenize_prompt(model, "<|im_end|>\u{338}").unwrap();
    assert_eq!(model.vocabulary().piece(marked[0]), b"<|im_end|>");
}
