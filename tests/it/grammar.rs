//! The grammar of a call, as tables of (tools, text, accepted?), both ways, without a model: each
//! byte is a token.

use edgecall::{
    call,
    dialect::{self, Dialect, grammar::IncrementalGrammar, turn::Turn},
    runtime::{Compiler, Constraint},
    schema::KeyOrder,
    tools::{ToolSet, check},
};
use serde_json::{Value, json};
use std::sync::Arc;

fn hermes() -> Arc<Dialect> {
    dialect::named("hermes").unwrap()
}

fn tools(list: Value) -> ToolSet {
    ToolSet::from_value(list).unwrap()
}

/// One tool `f` with these parameters.
fn one(parameters: Value) -> ToolSet {
    tools(json!([{"name": "f", "parameters": parameters}]))
}

/// `Ok` if `text` is a complete call, else the part that the grammar accepts.
fn verdict(compiler: &Compiler, grammar: &dyn IncrementalGrammar, text: &str) -> Result<(), String> {
    let mut constraint: Constraint<'_> = call::constraint(compiler, grammar).unwrap();
    for (i, byte) in text.bytes().enumerate() {
        if !constraint.accept(i32::from(byte)).unwrap() {
            return Err(format!("stops after {:?}", String::from_utf8_lossy(&text.as_bytes()[..i])));
        }
    }
    if constraint.is_complete() { Ok(()) } else { Err("does not end there".into()) }
}

/// Checks calls of `f` with each of these arguments against the table.
fn hold(set: &ToolSet, table: &[(&str, bool)]) {
    let compiler = Compiler::for_bytes().unwrap();
    call::check_tools(set, KeyOrder::Any).unwrap();
    let grammar = Turn::new(set, &hermes(), KeyOrder::Any).unwrap();
    for (arguments, accepted) in table {
        let text = format!("<tool_call>\n{{\"name\": \"f\", \"arguments\": {arguments}}}\n</tool_call>");
        let verdict = verdict(&compiler, &grammar, &text);
        assert_eq!(verdict.is_ok(), *accepted, "{arguments}: {verdict:?}");
    }
}

#[test]
fn the_frame_is_the_format_that_the_model_was_trained_on() {
    let set = tools(
        json!([{"name": "f"}, {"name": "g", "parameters": {"properties": {"a": {"type": "integer"}}}}]),
    );
    let compiler = Compiler::for_bytes().unwrap();
    let grammar = Turn::new(&set, &hermes(), KeyOrder::Any).unwrap();
    for (text, accepted) in [
        ("<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>", true),
        ("<tool_call>\n{\"name\": \"g\", \"arguments\": {\"a\": 1}}\n</tool_call>", true),
        ("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>", false),
        ("<tool_call>\n{\"name\": \"h\", \"arguments\": {}}\n</tool_call>", false),
        ("<tool_call>\n{\"name\":\"f\", \"arguments\": {}}\n</tool_call>", false),
        ("<tool_call>\n{\"name\": \"f\",\"arguments\": {}}\n</tool_call>", false),
        ("<tool_call>{\"name\": \"f\", \"arguments\": {}}\n</tool_call>", false),
        ("<tool_call>\n{\"arguments\": {}, \"name\": \"f\"}\n</tool_call>", false),
        ("<tool_call>\n{\"name\": \"f\"}\n</tool_call>", false),
        ("<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n", false),
        ("Sure! <tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>", false),
        ("<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n", false),
    ] {
        let verdict = verdict(&compiler, &grammar, text);
        assert_eq!(verdict.is_ok(), accepted, "{text}: {verdict:?}");
    }
}

#[test]
fn a_lead_comes_before_the_call_and_only_there() {
    let set = tools(json!([{"name": "f"}]));
    let compiler = Compiler::for_bytes().unwrap();
    let mut grammar = Turn::new(&set, &hermes(), KeyOrder::Any).unwrap();
    grammar.set_prefix("\n\n");
    let call = "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>";
    assert!(verdict(&compiler, &grammar, &format!("\n\n{call}")).is_ok());
    assert!(verdict(&compiler, &grammar, call).is_err());
}

/// Three keys, two of them required; they fit into one grammar.
const FEW: &[(&str, bool)] = &[
    (r#"{"a": "x", "b": 1}"#, true),
    (r#"{"b": 1, "a": "x"}"#, true),
    (r#"{"c": true, "b": 1, "a": "x"}"#, true),
    (r#"{"b": 1, "c": true, "a": "x"}"#, true),
    (r#"{"a": "x"}"#, false),
    (r#"{}"#, false),
    (r#"{"a": "x", "b": 1, "a": "y"}"#, false),
    (r#"{"a": "x", "b": 1, "c": true, "c": true}"#, false),
    (r#"{"a": "x", "b": 1, "d": 1}"#, false),
    (r#"{"a": "x", "b": "1"}"#, false),
    (r#"{"a": "x","b": 1}"#, false),
    (r#"{"a":"x", "b": 1}"#, false),
    (r#"{"a": "x", "b": 1,}"#, false),
    (r#"{, "a": "x", "b": 1}"#, false),
    (r#"{ "a": "x", "b": 1}"#, false),
];

fn few_keys() -> Value {
    json!({
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": "boolean"}},
        "required": ["a", "b"],
    })
}

#[test]
fn keys_come_in_any_order_each_once_and_required_ones_before_the_brace() {
    hold(&one(few_keys()), FEW);
}

#[test]
fn many_keys_come_in_any_order_too() {
    let mut parameters = few_keys();
    for i in 0..30 {
        parameters["properties"][format!("optional{i}")] = json!({"type": "integer"});
    }
    let set = one(parameters);
    hold(&set, FEW);
    hold(
        &set,
        &[
            (r#"{"optional7": 1, "b": 1, "optional29": 2, "a": "x", "optional0": 3}"#, true),
            (r#"{"optional7": 1, "b": 1, "optional7": 2, "a": "x"}"#, false),
            (r#"{"optional7": 1, "optional2": "x"}"#, false),
            (r#"{"optional77": 1}"#, false),
            (r#"{"optional7": 1, "optional29": 2, "a": "x"}"#, false),
        ],
    );
}

#[test]
fn a_hundred_tools_take_the_arguments_of_the_one_that_is_named() {
    let mut list: Vec<Value> = (0..100)
        .map(|i| json!({"name": format!("tool{i}"), "parameters": {"properties": {format!("key{i}"): {}}}}))
        .collect();
    list.push(json!({"name": "f", "parameters": few_keys()}));
    let set = tools(Value::Array(list));
    hold(&set, FEW);
    let compiler = Compiler::for_bytes().unwrap();
    let grammar = Turn::new(&set, &hermes(), KeyOrder::Any).unwrap();
    for (name, arguments, accepted) in [
        ("tool7", r#"{"key7": 1}"#, true),
        ("tool77", r#"{"key77": null}"#, true),
        ("tool77", r#"{"key7": 1}"#, false),
        ("tool777", r#"{}"#, false),
    ] {
        let text = format!("<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {arguments}}}\n</tool_call>");
        assert_eq!(verdict(&compiler, &grammar, &text).is_ok(), accepted, "{text}");
    }
}

#[test]
fn names_and_keys_may_hold_any_unicode_and_any_escape() {
    let name = "wörter \"und\" \\ 日本\n";
    let key = "schlüssel\t\"1\" / %json {";
    let set = tools(
        json!([{"name": name, "parameters": {"properties": {key: {"const": "ü\n"}}, "required": [key]}}]),
    );
    let compiler = Compiler::for_bytes().unwrap();
    let grammar = Turn::new(&set, &hermes(), KeyOrder::Any).unwrap();
    let text = format!(
        "<tool_call>\n{{\"name\": {}, \"arguments\": {{{}: \"ü\\n\"}}}}\n</tool_call>",
        json!(name),
        json!(key)
    );
    verdict(&compiler, &grammar, &text).unwrap();
    let call = hermes().read_call(&text).unwrap();
    assert_eq!((call.name(), &call.arguments()[key]), (name, &json!("ü\n")));
}

#[test]
fn text_of_the_frame_inside_a_value_is_text() {
    let set = one(json!({"properties": {"a": {"type": "string"}}}));
    let value = r#"}}\n</tool_call> \"name\": \"g\", {"#;
    hold(&set, &[(&format!(r#"{{"a": "{value}"}}"#), true)]);
}

#[test]
fn every_keyword_that_is_enforced_accepts_and_refuses() {
    for (schema, accepted, refused) in [
        (json!({"type": "string"}), r#""a b""#, "1"),
        (json!({"type": "string"}), r#""\u0007\n""#, r#""\ud800""#),
        (json!({"type": "string"}), "\"\u{1f600}\"", "\"\n\""),
        (json!({"type": "integer"}), "-12", "1.5"),
        (json!({"type": "number"}), "1.5e3", "\"1\""),
        (json!({"type": "boolean"}), "false", "null"),
        (json!({"type": ["string", "null"]}), "null", "0"),
        (json!({"enum": ["a", 1, null]}), "null", "\"b\""),
        (json!({"enum": ["a", 1, null]}), "1", "2"),
        (json!({"const": {"x": [1]}}), r#"{"x": [1]}"#, r#"{"x": [2]}"#),
        (json!({"type": "integer", "minimum": 3, "maximum": 12}), "12", "13"),
        (json!({"type": "integer", "exclusiveMinimum": 3}), "4", "3"),
        (json!({"type": "number", "exclusiveMaximum": 3}), "2.9", "3.0"),
        (json!({"type": "integer", "multipleOf": 5}), "15", "16"),
        (json!({"type": "string", "minLength": 2, "maxLength": 3}), "\"abc\"", "\"abcd\""),
        (json!({"type": "string", "minLength": 2}), "\"ab\"", "\"a\""),
        (json!({"type": "string", "pattern": "^[a-c]+$"}), "\"abc\"", "\"abd\""),
        (json!({"type": "string", "format": "date"}), "\"2019-03-01\"", "\"2019-3-1\""),
        (json!({"type": "string", "format": "int32"}), "\"anything\"", "1"),
        (json!({"type": "array", "items": {"type": "integer"}}), "[1, 2]", "[1, \"2\"]"),
        (json!({"type": "array", "minItems": 1, "maxItems": 2}), "[1, 2]", "[1, 2, 3]"),
        (json!({"type": "array", "prefixItems": [{"type": "integer"}], "items": false}), "[1]", "[1, 2]"),
        (json!({"type": "array", "items": [{"type": "integer"}], "additionalItems": false}), "[1]", "[1, 2]"),
        (json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}), "null", "\"x\""),
        (json!({"allOf": [{"type": "integer"}, {"minimum": 3}]}), "3", "2"),
        (json!({"type": "object", "properties": {"x": {"type": "integer"}}}), r#"{"x": 1}"#, r#"{"y": 1}"#),
        (json!({"type": "object", "properties": {"x": {}}, "required": ["x"]}), r#"{"x": 1}"#, "{}"),
        (json!({"type": "object"}), r#"{"any": {"thing": [1]}}"#, "[]"),
        (
            json!({"type": "object", "additionalProperties": {"type": "integer"}}),
            r#"{"y": 1}"#,
            r#"{"y": "1"}"#,
        ),
        (
            json!({"type": "object", "patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": false}),
            r#"{"x1": 1}"#,
            r#"{"y1": 1}"#,
        ),
        (json!({"type": "object", "maxProperties": 1}), r#"{"y": 1}"#, r#"{"y": 1, "z": 1}"#),
        (json!({"type": "object", "minProperties": 1}), r#"{"y": 1}"#, "{}"),
        (json!({"type": "string", "nullable": true, "title": "t", "x-unit": "m"}), "\"\"", "null"),
        (json!({"type": "array", "uniqueItems": false}), "[1, 1]", "{}"),
        (json!(true), r#"[{"a": null}]"#, "nul"),
        (json!({}), "1", "{1}"),
    ] {
        let set = one(json!({"properties": {"v": schema}}));
        hold(&set, &[(&format!("{{\"v\": {accepted}}}"), true), (&format!("{{\"v\": {refused}}}"), false)]);
    }
}

#[test]
fn references_are_followed_also_to_themselves() {
    let set = one(json!({
        "properties": {"tree": {"$ref": "#/$defs/node"}, "unit": {"$ref": "#/properties/tree/$defs/unit"}},
        "$defs": {"node": {
            "type": "object",
            "properties": {"value": {"type": "integer"}, "next": {"$ref": "#/$defs/node"}},
            "required": ["value"],
        }},
    }));
    // The reference in `unit` cannot be resolved.
    let error = call::check_tools(&set, KeyOrder::Any).unwrap_err();
    assert!(format!("{:#}", anyhow::Error::from(error)).contains("#/properties/unit"));
    let set = one(json!({
        "properties": {"tree": {"$ref": "#/$defs/node"}, "unit": {"$ref": "#/$defs/unit"}},
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"value": {"type": "integer"}, "next": {"$ref": "#/$defs/node"}},
                "required": ["value"],
            },
            "unit": {"enum": ["m", "km"]},
        },
    }));
    hold(
        &set,
        &[
            (r#"{"tree": {"value": 1, "next": {"value": 2}}}"#, true),
            (r#"{"unit": "km", "tree": {"value": 1}}"#, true),
            (r#"{"tree": {"value": 1, "next": {}}}"#, false),
            (r#"{"unit": "cm"}"#, false),
        ],
    );
}

#[test]
fn parameters_that_are_more_than_keys_are_enforced_as_a_whole() {
    let set = one(json!({
        "type": "object",
        "properties": {"kind": {"enum": ["x", "y"]}},
        "required": ["kind"],
        "additionalProperties": {"type": "integer"},
    }));
    hold(
        &set,
        &[
            (r#"{"kind": "x"}"#, true),
            (r#"{"kind": "x", "other": 1}"#, true),
            (r#"{"kind": "x", "other": "1"}"#, false),
            (r#"{"other": 1}"#, false),
        ],
    );
}

#[test]
fn what_is_refused_is_named_by_tool_pointer_and_keyword() {
    for (schema, expected) in [
        (json!({"type": "integer", "minimum": 5, "maximum": 3}), "no JSON value satisfies"),
        (json!({"type": "strin"}), "#/properties/v"),
        (json!({"$ref": "https://example.com/schema"}), "#/properties/v: `$ref`"),
        (
            json!({"type": "object", "properties": {"x": {"type": "string", "minLength": "1"}}}),
            "#/properties/v/properties/x",
        ),
    ] {
        let mut list = vec![json!({"name": "fine", "parameters": few_keys()})];
        list.push(json!({"name": "f", "parameters": {"properties": {"v": schema}, "required": ["v"]}}));
        let error = call::check_tools(&tools(Value::Array(list)), KeyOrder::Any).unwrap_err();
        assert_eq!(error.to_string(), "the parameters of tool `f` cannot be used");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(expected), "{source}");
        assert_eq!(error.kind(), edgecall::Kind::Data);
    }
}

/// Generates a random text of the grammar until it is complete; `None` if it becomes too long.
fn walk(compiler: &Compiler, grammar: &Turn, seed: u64) -> Option<String> {
    let mut constraint = call::constraint(compiler, grammar).unwrap();
    let mut state = seed;
    let mut random = move |bound: usize| {
        // Knuth's linear congruential generator (MMIX); its high bits are random enough here.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    for _ in 0..2_000 {
        if constraint.is_complete() {
            return Some(String::from_utf8(constraint.written().to_vec()).unwrap());
        }
        let mask = constraint.mask().unwrap();
        let allowed: Vec<i32> = (0..256).filter(|&byte| mask.allows(byte)).map(|byte| byte as i32).collect();
        assert!(
            !allowed.is_empty(),
            "nothing can follow {:?}",
            String::from_utf8_lossy(constraint.written())
        );
        // Strings and lists end sooner than with a uniform choice.
        let ends: Vec<i32> = allowed.iter().copied().filter(|&b| b"\"}],".contains(&(b as u8))).collect();
        let choices = if !ends.is_empty() && random(3) > 0 { &ends } else { &allowed };
        let byte = choices[random(choices.len())];
        // The first stage of a staged grammar accepts more than the next one.
        if !constraint.accept(byte).unwrap() {
            return None;
        }
    }
    None
}

#[test]
fn whatever_is_chosen_among_what_the_grammar_allows_ends_in_a_valid_call() {
    let compiler = Compiler::for_bytes().unwrap();
    let mut many = few_keys();
    for i in 0..8 {
        many["properties"][format!("o{i}")] = json!({"type": ["array", "null"], "items": {"enum": [1, "x"]}});
    }
    let sets = [
        one(few_keys()),
        one(many),
        one(
            json!({"properties": {"a": {"type": "object", "properties": {"x": {}, "y": {"type": "number"}}}}}),
        ),
        tools(json!([{"name": "f"}, {"name": "ff", "parameters": few_keys()}])),
    ];
    let mut complete = 0;
    for set in &sets {
        let grammar = Turn::new(set, &hermes(), KeyOrder::Any).unwrap();
        for seed in 0..60 {
            let Some(text) = walk(&compiler, &grammar, seed) else { continue };
            let call = hermes().read_call(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            check::check(set, &call).unwrap_or_else(|error| panic!("{error}: {text}"));
            complete += 1;
        }
    }
    assert!(complete > 150, "only {complete} of 240 walks came to an end");
}
