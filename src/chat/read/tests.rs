//! Messages that are read, and those that are refused.

use super::*;

fn refused(json: &str) -> String {
    let error = Conversation::parse(json.as_bytes()).unwrap_err();
    match std::error::Error::source(&error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[test]
fn a_broken_message_is_named_by_its_place_and_field() {
    for (json, message) in [
        (
            "",
            "there are no messages; give at least one, for example {\"role\": \"user\", \"content\": \"...\"}",
        ),
        (
            "[]",
            "there are no messages; give at least one, for example {\"role\": \"user\", \"content\": \"...\"}",
        ),
        (
            "5",
            "the messages are a number; expected an array of messages, or an object with the key `messages`",
        ),
        (
            "{\"model\": 1}",
            "the messages are an object without `messages`; expected an array of messages, or an object with the key `messages`",
        ),
        ("[1]", "messages[0]: expected an object, found a number"),
        ("[{}]", "messages[0].role: missing"),
        (
            r#"[{"role": "robot"}]"#,
            "messages[0].role: unknown role `robot`; known roles: system, developer, user, assistant, tool",
        ),
        (r#"[{"role": "user", "content": "x"}, {"role": "user"}]"#, "messages[1].content: missing"),
        (
            r#"[{"role": "user", "content": 5}]"#,
            "messages[0].content: expected a string or a list of text parts, found a number",
        ),
        (
            r#"[{"role": "user", "content": [{"type": "image_url"}]}]"#,
            "messages[0].content[0].type: a content part of type `image_url` is not supported; only `text` is",
        ),
        (r#"[{"role": "assistant"}]"#, "messages[0].content: missing"),
        (
            r#"[{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{\"a\": }"}}]}]"#,
            "messages[0].tool_calls[0].function.arguments: not valid JSON: expected value at line 1 column 7",
        ),
        (
            r#"[{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}]"#,
            "messages[0].tool_calls[0].function.arguments: expected an object, or text that holds one, found a list",
        ),
        (
            r#"[{"role": "assistant", "tool_calls": [{"function": {"arguments": {}}}]}]"#,
            "messages[0].tool_calls[0].function.name: missing",
        ),
        (
            r#"[{"role": "assistant", "tool_calls": [{"type": "custom"}]}]"#,
            "messages[0].tool_calls[0].type: a tool call of type `custom` is not supported; only `function` is",
        ),
        (
            r#"[{"role": "user", "content": "x"}, {"role": "tool", "content": "y"}]"#,
            "messages[1].role: a `tool` message holds the result of a call, and no assistant message stands before it; put the assistant's message with the call in front",
        ),
        (
            r#"[{"role": "assistant", "content": "", "function_call": {"name": "f"}}]"#,
            "messages[0].function_call: this older form of a call is not read by chat templates; write it as `tool_calls`",
        ),
        (
            r#"[{"role": "user", "content": "x", "role": "tool"}]"#,
            "the messages are not valid JSON: the key \"role\" stands twice in one object at line 1 column 49",
        ),
        (
            r#"{"messages": [{"role": "user", "content": "x"}], "messages": []}"#,
            "the messages are not valid JSON: the key \"messages\" stands twice in one object at line 1 column 59",
        ),
        (
            r#"[{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{\"a\": 1, \"a\": 2}"}}]}]"#,
            "messages[0].tool_calls[0].function.arguments: not valid JSON: the key \"a\" stands twice in one object at line 1 column 16",
        ),
        (
            "{\"messages\": null}",
            "the messages are null; expected an array of messages, or an object with the key `messages`",
        ),
        (
            "[{\"role\": \"user\", \"content\": \"x\"}] x",
            "the messages are not valid JSON: trailing characters at line 1 column 36",
        ),
        (
            "[\n {\"role\": \"user\", \"content\": \"1e99999999999999999999\", \"n\": 12345678901234567890123}]",
            "line 2, column 61: the integer 12345678901234567890123 does not fit in 64 bits and would be rounded; write it as a string",
        ),
    ] {
        assert_eq!(refused(json), message, "{json}");
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_with_the_offset() {
    let error = Conversation::parse(b"[\xff]").unwrap_err();
    assert!(matches!(error, Error::Utf8(json::NotUtf8 { offset: 1, is_utf16: false })), "{error}");
    let error = Conversation::parse(b"\xff\xfe[\0]\0").unwrap_err();
    assert!(error.to_string().contains("UTF-16"), "{error}");
}

#[test]
fn a_byte_order_mark_and_the_habits_of_the_tft_data_are_accepted() {
    let json = "\u{feff}".to_owned()
        + r#"{"messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{\"b\": 1.0, \"a\": 2}"}}]},
            {"role": "user", "content": "[{\"city\": \"Bern\"}]"},
            {"role": "assistant", "content": null, "tool_calls": [{"name": "g"}], "refusal": null}
        ], "tools": []}"#;
    let read = Conversation::parse(json.as_bytes()).unwrap();
    assert_eq!(read.tools, Some(serde_json::json!([])));
    assert_eq!(read.messages[1].content(), Some(""));
    let arguments = &read.messages[1].tool_calls()[0]["function"]["arguments"];
    assert_eq!(arguments.to_string(), r#"{"b":1.0,"a":2}"#);
    let bare = &read.messages[3].tool_calls()[0];
    assert_eq!(bare.to_string(), r#"{"type":"function","function":{"name":"g","arguments":{}}}"#);
    assert_eq!(read.messages[3].content(), Some(""));
    assert_eq!(read.messages[3].fields()["refusal"], Value::Null);
}

#[test]
fn what_clients_leave_out_or_write_otherwise_is_read_where_its_meaning_is_clear() {
    let json = r#"[{"role": "user", "content": "half \ud83d a pair"},
        {"role": "assistant", "content": null, "refusal": "No."},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}, "b"]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "Never."}], "refusal": null},
        {"role": "user", "content": ""},
        {"role": "assistant", "content": null},
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": 7, "type": null, "function": {"name": "f", "arguments": null}},
            {"id": "8", "type": "", "function": {"name": "g", "arguments": "null"}},
            {"type": "function", "function": {"name": "h", "arguments": "{\"a\": \"\\ud83d\"}"}}]},
        {"role": "tool", "tool_call_id": 7},
        {"role": "tool", "tool_call_id": "8", "content": null}]"#;
    let read = Conversation::parse(json.as_bytes()).unwrap();
    let texts: Vec<&str> = read.messages.iter().map(|message| message.content().unwrap()).collect();
    assert_eq!(texts, ["half \u{fffd} a pair", "No.", "a\nb", "Never.", "", "", "x", "", "", ""]);
    let calls = Value::from(read.messages[7].tool_calls().to_vec());
    let call = |name: &str, arguments: Value| serde_json::json!({"name": name, "arguments": arguments});
    assert_eq!(calls[0]["function"], call("f", serde_json::json!({})));
    assert_eq!(calls[1]["function"], call("g", serde_json::json!({})));
    assert_eq!(calls[2]["function"], call("h", serde_json::json!({"a": "\u{fffd}"})));
    assert_eq!(
        (&calls[0]["type"], &calls[1]["type"], &calls[0]["id"]),
        (&"function".into(), &"function".into(), &"7".into())
    );
    for (json, message) in [
        (r#"[{"role": "user", "content": null}]"#, "messages[0].content: expected a string or a list"),
        (
            r#"[{"role": "assistant", "tool_calls": [{"id": [], "function": {"name": "f"}}]}]"#,
            "messages[0].tool_calls[0].id: expected a string, found a list",
        ),
        (
            r#"[{"role": "assistant", "refusal": 1}]"#,
            "messages[0].refusal: expected a string, found a number",
        ),
        (
            r#"[{"role": "user", "content": [{"type": "text", "text": null}]}]"#,
            "messages[0].content[0].text: expected a string, found null",
        ),
        ("[{'role': 'user'}]", "the messages are not valid JSON: single quotes are no JSON"),
    ] {
        assert!(refused(json).starts_with(message), "{json}: {}", refused(json));
    }
}

#[test]
fn the_fields_of_a_request_are_kept_if_their_reader_knows_them() {
    let json = r#"{"seed": 1, "model": {"a": [1]}, "stop": null, "user": null,
        "messages": [{"role": "user", "content": "x"}], "tool_choice": {"type": "auto"}}"#;
    let read = RequestBody::parse(json.as_bytes(), &["tool_choice", "seed", "stop"]).unwrap();
    assert_eq!(Value::from(read.fields).to_string(), r#"{"seed":1,"tool_choice":{"type":"auto"}}"#);
    assert_eq!(read.unknown, ["model"]);
}

#[test]
fn text_parts_become_one_text_and_absent_calls_leave_no_key() {
    let json = r#"[{"role": "user", "content": [{"type": "text", "text": "a"}, {"text": "b"}]},
        {"role": "assistant", "content": "c", "tool_calls": null}]"#;
    let read = Conversation::parse(json.as_bytes()).unwrap();
    assert_eq!(read.messages[0].content(), Some("a\nb"));
    assert!(!read.messages[1].fields().contains_key("tool_calls"));
}

#[test]
fn numbers_of_tools_and_schemas_are_kept_as_they_are_written_and_those_of_messages_are_not() {
    const WIDE: &str = "18446744073709551616";
    let schema = format!(r#"{{"type": "integer", "maximum": {WIDE}, "x": 0.1000000000000000055}}"#);
    let user = r#"{"role": "user", "content": "a \" 99999999999999999999"}"#;
    let body = |further: &str| format!(r#"{{"messages": [{user}], {further}}}"#);
    let read = |text: &str| RequestBody::parse(text.as_bytes(), &["functions", "response_format", "seed"]);

    let text = body(&format!(r#""tools": [{schema}], "response_format": {schema}"#));
    let read_body = read(&text).unwrap();
    for value in [&read_body.conversation.tools.unwrap()[0], &read_body.fields["response_format"]] {
        assert_eq!(json::wide_number(&value["maximum"]), Some(WIDE));
        assert_eq!(json::wide_number(&value["x"]), Some("0.1000000000000000055"));
    }
    // Before, between and behind them an integer is still refused, at its place in the whole text.
    for text in [
        format!(r#"{{"seed": {WIDE}, "tools": [{schema}], "messages": [{user}]}}"#),
        format!(r#"{{"tools": [{schema}], "seed": {WIDE}, "functions": [{schema}], "messages": [{user}]}}"#),
        format!(r#"{{"tools": [{schema}], "messages": [{{"role": "user", "content": "", "n": {WIDE}}}]}}"#),
        format!(r#"{{"messages": [{user}], "tools": null, "seed": {WIDE}}}"#),
    ] {
        let at = text.find(WIDE).unwrap();
        let at =
            if text[..at].contains("maximum") { text.rfind(&format!(": {WIDE}")).unwrap() + 2 } else { at };
        let at = if text.contains("seed") { text.find("\"seed\": ").unwrap() + 8 } else { at };
        let error = read(&text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("line 1, column {}: the integer {WIDE}", at + 1)), "{error}");
    }
    // An escaped name is the same name.
    let tools = read(&body(&format!(r#""t\u006fols": [{schema}]"#))).unwrap().conversation.tools.unwrap();
    assert_eq!(json::wide_number(&tools[0]["maximum"]), Some(WIDE));
}
