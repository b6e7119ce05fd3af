//! Tool lists in every form, and those that are refused.

use crate::tools::ToolSet;
use serde_json::{Value, json};

fn refusal(document: &Value) -> String {
    let error = ToolSet::from_value(document.clone()).unwrap_err();
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string", "minLength": 1}}, "required": ["city"]})
}

#[test]
fn a_schema_is_found_wherever_an_interface_puts_it() {
    let openai = json!({"type": "function",
        "function": {"name": "f", "description": "It.", "parameters": schema()}});
    let expected = ToolSet::from_value(json!([openai])).unwrap();
    assert_eq!(expected.sources(), std::slice::from_ref(&openai));
    let with = |key: &str| json!({"name": "f", "description": "It.", key: schema()});
    let gemini = json!({"name": "f", "description": "It.", "parameters": {"type": "OBJECT",
        "properties": {"city": {"type": "STRING", "minLength": "1"}}, "required": ["city"]}});
    let mcp = json!({"name": "f", "title": "F", "description": "It.", "inputSchema": schema(),
        "annotations": {"readOnlyHint": true}, "outputSchema": {"type": "object"}, "_meta": {}});
    let bedrock = json!({"toolSpec": {"name": "f", "description": "It.", "inputSchema": {"json": schema()}}});
    for document in [
        openai.clone(),
        json!({"tools": [openai]}),
        json!({"tools": openai}),
        json!({"functions": [with("parameters")]}),
        with("parameters"),
        json!([{"type": "function", "name": "f", "description": "It.", "parameters": schema()}]),
        json!([with("inputSchema")]),
        json!({"tools": [mcp]}),
        json!({"jsonrpc": "2.0", "id": 2, "result": {"tools": [mcp]}}),
        json!([with("input_schema")]),
        json!([{"type": "custom", "name": "f", "description": "It.", "input_schema": schema(),
            "cache_control": {"type": "ephemeral"}}]),
        json!({"function_declarations": [gemini]}),
        json!({"tools": [{"functionDeclarations": [gemini]}]}),
        json!([{"name": "f", "description": "It.", "parametersJsonSchema": schema()}]),
        json!({"toolConfig": {"tools": [bedrock]}}),
        json!([{"type": "function", "function": with("inputSchema")}]),
        json!([{"name": "f", "description": "It.", "parameters": null, "inputSchema": schema()}]),
    ] {
        let read = ToolSet::from_value(document.clone()).unwrap();
        assert_eq!(read.sources(), expected.sources(), "{document}");
        assert_eq!(read, expected, "{document}");
    }
}

#[test]
fn a_schema_under_a_key_that_is_not_read_is_refused_and_not_taken_for_no_arguments() {
    for key in [
        "paramaters",
        "parameter",
        "Parameters",
        "params",
        "args",
        "input",
        "inputschema",
        "inputShema",
        "schema",
        "properties",
        "whatever",
    ] {
        let expected = format!("tool 1 `f`: `{key}` is not read");
        for document in [
            json!([{"name": "f", key: schema()}]),
            json!([{"type": "function", "function": {"name": "f", key: schema()}}]),
            json!([{"type": "function", "function": {"name": "f"}, key: schema()}]),
        ] {
            let message = refusal(&document);
            assert!(message.starts_with(&expected), "{document}: {message}");
        }
    }
    for document in [
        json!([{"type": "function", "function": {"name": "f"}, "parameters": schema()}]),
        json!([{"name": "f", "parameters": {"type": "object", "properties": {}}, "paramaters": schema()}]),
    ] {
        assert!(refusal(&document).contains("is not read"), "{document}");
    }
    let two = json!([{"name": "f", "parameters": {}, "inputSchema": schema()}]);
    assert!(refusal(&two).starts_with("tool 1 `f`: `inputSchema` differs from `parameters`"));
}

#[test]
fn properties_without_a_place_are_refused_with_the_tools_name() {
    for (parameters, expected) in [
        (json!({"city": {"type": "string"}}), "no keyword of JSON Schema stands here, only `city`"),
        (json!({"type": "object", "city": {"type": "string"}}), "`city` is not a keyword and looks like"),
        (json!({"type": "object", "property": {"city": {"type": "string"}}}), "did you mean `properties`?"),
        (json!({"properties": {"city": {}}, "require": ["city"]}), "did you mean `required`?"),
    ] {
        for key in ["parameters", "inputSchema", "input_schema"] {
            let message = refusal(&json!([{"name": "f", key: parameters}]));
            let start = "the parameters of tool `f` cannot be used: #: ";
            assert!(message.starts_with(start) && message.contains(expected), "{message}");
        }
    }
}

#[test]
fn tools_without_arguments_may_have_other_fields() {
    let document = json!([
        {"name": "f", "description": "It.", "version": "1", "strict": true},
        {"name": "g", "inputSchema": {"type": "object"}, "annotations": {"title": "G"}},
        {"type": "function", "function": {"name": "h", "parameters": {}, "args": {}}, "tags": ["a"]},
    ]);
    let read = ToolSet::from_value(document).unwrap();
    assert!(read.warnings().is_empty());
    assert_eq!(read.sources()[2]["tags"], json!(["a"]));
}

#[test]
fn doubts_are_warnings_with_the_tools_name() {
    let document = json!({"tools": [{"name": "f", "inputSchema": {"type": "object",
        "properties": {"n": {"type": "integer", "minimun": 1}}}}], "nextCursor": "x"});
    let warnings = ToolSet::from_value(document).unwrap().warnings().join("\n");
    assert!(warnings.contains("`nextCursor`"), "{warnings}");
    assert!(warnings.contains("tool `f`: #/properties/n: `minimun` is not a keyword"), "{warnings}");
}
