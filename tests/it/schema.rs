//! Texts that the grammar of a schema and its validator accept together, byte by byte: tables both ways.

use edgecall::{
    runtime::{
        Compiler, Constraint,
        closing::{Closing, Way},
        constraint::Fixed,
    },
    schema::{Compiled, Draft, Error, Follower, KeyOrder, Meaning, Options, Status, compile},
};
use serde_json::{Value, json};

/// The constraint that `call` uses for an answer with this schema.
fn constraint<'c>(compiler: &'c Compiler, compiled: &Compiled) -> Constraint<'c> {
    let tracker = Follower::new(compiled.checks.clone(), None);
    Constraint::new(compiler, Box::new(Fixed(compiled.lark()))).unwrap().with_validator(Box::new(tracker))
}

fn takes(compiler: &Compiler, compiled: &Compiled, text: &str) -> bool {
    let mut constraint = constraint(compiler, compiled);
    let tokens = compiler.tokenize(text.as_bytes());
    // A matcher that gives up accepts nothing.
    tokens.into_iter().all(|token| constraint.accept(token as i32).unwrap_or(false))
        && constraint.may_end().unwrap()
}

fn accepts(compiler: &Compiler, schema: &Value, options: Options, text: &str) -> bool {
    takes(compiler, &compile(schema, options).unwrap(), text)
}

fn table(options: Options, rows: &[(Value, &[&str], &[&str])]) {
    let compiler = Compiler::for_bytes().unwrap();
    for (schema, right, wrong) in rows {
        for text in *right {
            assert!(accepts(&compiler, schema, options, text), "{schema} should accept {text}");
        }
        for text in *wrong {
            assert!(!accepts(&compiler, schema, options, text), "{schema} should refuse {text}");
        }
    }
}

#[test]
fn a_schema_takes_its_values_and_no_others() {
    let three = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "object",
        "properties": {"x": {}, "y": {}}, "required": ["y"]}}, "required": ["a"], "additionalProperties": false});
    table(
        Options::default(),
        &[
            (
                json!(true),
                &["1", "null", "{\"a\": [1, {}]}", "-1.5e3"],
                &["", "{", "[1 ,2]", "01", "1.", "tru"],
            ),
            (json!({"type": "integer"}), &["0", "-7"], &["1.0", "1.5", "\"1\"", "1e1"]),
            (
                json!({"type": "number", "minimum": -1.25, "exclusiveMaximum": 20}),
                &["-1.25", "-1", "0", "19.99", "7.5", "-0.3"],
                &["-1.26", "20", "20.0", "-2", "100"],
            ),
            (
                json!({"type": "integer", "minimum": 7, "maximum": 123}),
                &["7", "99", "100", "123"],
                &["6", "124", "1234"],
            ),
            (json!({"type": "number", "multipleOf": 0.25}), &["0.25", "3.5", "7", "-1.75"], &["0.3", "1.26"]),
            (json!({"type": "integer", "multipleOf": 7}), &["14", "0"], &["15"]),
            (json!({"type": "integer", "minimum": 0, "maximum": 5}), &["-0", "0", "5"], &["-1", "-05", "6"]),
            (
                json!({"oneOf": [{"minLength": 2}, {"maxLength": 3}]}),
                &["\"a\"", "\"abcd\""],
                &["\"ab\"", "\"abc\"", "1"],
            ),
            (
                json!({"oneOf": [{"type": "integer", "minimum": 0}, {"type": "number", "multipleOf": 0.5}]}),
                &["7.5", "-0.50", "-3"],
                &["2", "0", "0.3", "7.50000001"],
            ),
            (
                json!({"oneOf": [
                    {"properties": {"foo": {"type": "string"}}, "required": ["foo"]},
                    {"properties": {"bar": {"type": "integer"}}, "required": ["bar"]}]}),
                &["{\"bar\": 2}", "{\"foo\": \"x\"}", "{\"foo\": \"x\", \"bar\": \"y\"}"],
                &["{\"foo\": \"x\", \"bar\": 2}", "{\"foo\": 2, \"bar\": \"y\"}", "1"],
            ),
            (
                json!({"type": "string", "not": {"pattern": "^a|b$"}}),
                &["\"\"", "\"ba\"", "\"c\\\"\""],
                &["\"ab\"", "\"cb\"", "\"a\""],
            ),
            (
                json!({"type": "string", "pattern": "^[0-9a-f]{2}(-[0-9a-f]{2})$|^[0-9a-f]{4}$"}),
                &["\"a1-b2\"", "\"a1b2\""],
                &["\"a1-b2x\"", "\"xa1b2\"", "\"a1b\""],
            ),
            (
                json!({"type": "string", "minLength": 2, "maxLength": 3}),
                &["\"ab\"", "\"\\n\\\"\\u00e9\"", "\"äöü\""],
                &["\"a\"", "\"abcd\""],
            ),
            (
                json!({"type": "string", "pattern": "^a\\d+\"$"}),
                &["\"a12\\\"\""],
                &["\"a\"", "\"xa1\\\"\"", "\"a١\\\"\""],
            ),
            (json!({"type": "string", "pattern": "b"}), &["\"abc\"", "\"b\""], &["\"a\"", "\"\""]),
            (json!({"type": "string", "pattern": "^(?!x)"}), &["\"a\"", "\"\""], &["\"xa\""]),
            (
                json!({"type": "string", "pattern": "^(?=.*[A-Z])(?=.*[0-9])(?!.*(?:[)]|\\())\\S{3,8}$"}),
                &["\"aA1\"", "\"1-A\\\\\""],
                &["\"aa1\"", "\"AA\"", "\"aA1)\"", "\"aA1(\"", "\"aA1 \"", "\"aA1456789\""],
            ),
            // An alternative next to the lookahead.
            (json!({"type": "string", "pattern": "^(?=a)ab|^c"}), &["\"ab\"", "\"cd\""], &["\"b\""]),
            (json!({"type": "string", "pattern": "^(?!no$)[a-z]+$"}), &["\"nope\"", "\"on\""], &["\"no\""]),
            (
                json!({"format": "date"}),
                &["\"2024-02-29\"", "\"0001-12-31\"", "3"],
                // The year 0 is a date by the standard, and for few programs.
                &["\"2023-02-29\"", "\"2024-13-01\"", "\"0000-01-01\"", "\"0000-02-29\""],
            ),
            (
                json!({"format": "ipv6"}),
                &["\"::\"", "\"1::2\"", "\"::ffff:1.2.3.4\""],
                &["\"1:2\"", "\"1::2::3\"", "\":::\""],
            ),
            (
                json!({"enum": ["a", 1, null, [1], {"k": true, "l": 2}]}),
                &["\"a\"", "1", "null", "[1]", "{\"l\": 2, \"k\": true}"],
                &["\"b\"", "2", "[]", "{\"k\": true}"],
            ),
            (
                three.clone(),
                &[
                    "{\"a\": 1}",
                    "{\"b\": {\"y\": 1, \"x\": 2}, \"a\": 1}",
                    "{\"a\": 1, \"b\": {\"y\": 1, \"z\": 0}}",
                ],
                &[
                    "{}",
                    "{\"a\": 1, \"a\": 2}",
                    "{\"b\": {\"y\": 1}}",
                    "{\"a\": 1, \"b\": {}}",
                    "{\"a\": 1, \"c\": 1}",
                    "{\"a\": 1, \"b\": {\"y\": 1, \"y\": 2}}",
                ],
            ),
            (
                json!({"minProperties": 2, "maxProperties": 3, "type": "object"}),
                &["{\"a\": 1, \"b\": 1}", "{\"a\": 1, \"b\": 1, \"c\": 1}"],
                &["{\"a\": 1}", "{\"a\": 1, \"b\": 1, \"c\": 1, \"d\": 1}"],
            ),
            (
                json!({"patternProperties": {"^n_": {"type": "integer"}}, "additionalProperties": {"type": "string"}}),
                &["{\"n_a\": 1, \"x\": \"y\"}"],
                &["{\"n_a\": \"y\"}", "{\"x\": 1}"],
            ),
            (
                json!({"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3}),
                &["[1, 2]", "[1, 2, 3]"],
                &["[1]", "[1, 2, 3, 4]", "[1, \"a\"]"],
            ),
            (
                json!({"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": false, "type": "array"}),
                &["[]", "[1]", "[1, \"a\"]"],
                &["[\"a\"]", "[1, \"a\", 2]"],
            ),
            (
                json!({"items": [{"type": "integer"}], "additionalItems": {"type": "null"}, "type": "array"}),
                &["[1]", "[1, null]"],
                &["[null]", "[1, 1]"],
            ),
            (
                json!({"type": "array", "uniqueItems": true, "items": {"enum": ["a", "b"]}}),
                &["[]", "[\"b\", \"a\"]"],
                &["[\"a\", \"a\"]"],
            ),
            (json!({"type": "array", "uniqueItems": true}), &["[1, 2]"], &["[1, 1.0]", "[[1], [1]]"]),
            (
                json!({"type": "array", "contains": {"const": 5}, "minContains": 2}),
                &["[5, 1, 5]"],
                &["[5]", "[]"],
            ),
            (
                json!({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 3}]}),
                &["\"a\"", "3"],
                &["2", "null"],
            ),
            (json!({"oneOf": [{"type": "integer"}, {"minimum": 2}]}), &["1", "2.5"], &["3", "1.5"]),
            (
                json!({"allOf": [{"properties": {"a": {"minimum": 3}}}, {"properties": {"a": {"type": "integer"}}, "required": ["a"]}], "type": "object"}),
                &["{\"a\": 3}"],
                &["{\"a\": 2}", "{\"a\": 3.5}", "{}"],
            ),
            (
                json!({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
                &["{\"a\": 1}", "{\"b\": 1, \"c\": 1}"],
                &["{}", "{\"a\": 1, \"b\": 1}"],
            ),
            (json!({"not": {"enum": ["a", 1]}}), &["\"b\"", "2", "null"], &["\"a\"", "1", "1.0"]),
            (
                json!({"type": "object", "not": {"required": ["a", "b"]}}),
                &["{\"a\": 1}", "{}"],
                &["{\"a\": 1, \"b\": 1}"],
            ),
            (
                json!({"type": "object", "if": {"properties": {"k": {"const": 1}}, "required": ["k"]}, "then": {"required": ["x"]}, "else": {"required": ["y"]}}),
                &["{\"k\": 1, \"x\": 0}", "{\"k\": 2, \"y\": 0}", "{\"y\": 1}"],
                &["{\"k\": 1}", "{\"k\": 2, \"x\": 0}", "{}"],
            ),
            (
                json!({"dependentRequired": {"a": ["b"]}, "type": "object"}),
                &["{}", "{\"b\": 1}", "{\"b\": 1, \"a\": 1}"],
                &["{\"a\": 1}"],
            ),
            (
                json!({"propertyNames": {"pattern": "^[ab]+$"}, "type": "object"}),
                &["{\"ab\": 1}"],
                &["{\"c\": 1}"],
            ),
            (
                json!({"properties": {"a": true}, "unevaluatedProperties": false, "type": "object"}),
                &["{\"a\": 1}"],
                &["{\"b\": 1}"],
            ),
            (
                json!({"$defs": {"t": {"type": "object", "properties": {"n": {"$ref": "#/$defs/t"}}, "additionalProperties": false}}, "$ref": "#/$defs/t"}),
                &["{}", "{\"n\": {\"n\": {}}}"],
                &["{\"n\": 1}", "{\"m\": {}}"],
            ),
        ],
    );
}

#[test]
fn any_number_of_keys_comes_in_any_order() {
    let compiler = Compiler::for_bytes().unwrap();
    let names: Vec<String> = (0..90).map(|i| format!("k{i}")).collect();
    let properties: serde_json::Map<String, Value> =
        names.iter().map(|n| (n.clone(), json!({"type": "integer"}))).collect();
    let schema = json!({"type": "object", "properties": properties, "required": ["k3", "k80"], "additionalProperties": false});
    let backwards: Vec<String> = names.iter().rev().map(|n| format!("\"{n}\": 1")).collect();
    let all = Options::default();
    assert!(accepts(&compiler, &schema, all, &format!("{{{}}}", backwards.join(", "))));
    assert!(accepts(&compiler, &schema, all, "{\"k80\": 1, \"k3\": 1}"));
    assert!(!accepts(&compiler, &schema, all, "{\"k80\": 1}"));
    assert!(!accepts(&compiler, &schema, all, "{\"k80\": 1, \"k3\": 1, \"k89\": 1, \"k89\": 2}"));
}

#[test]
fn the_schemas_order_can_be_asked_for() {
    let order = Options { key_order: KeyOrder::Schema, ..Options::default() };
    let schema = json!({"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "required": ["b"], "additionalProperties": false});
    table(
        order,
        &[(
            schema,
            &["{\"b\": 1}", "{\"a\": 1, \"b\": 1, \"c\": 1}", "{\"b\": 1, \"c\": 1}"],
            &["{\"b\": 1, \"a\": 1}", "{\"a\": 1, \"c\": 1}", "{\"c\": 1, \"b\": 1}"],
        )],
    );
}

#[test]
fn a_tools_undeclared_keys_are_not_written_unless_it_says_so() {
    let tool = Options { meaning: Meaning::Tool, ..Options::default() };
    table(
        tool,
        &[
            (
                json!({"properties": {"a": {"type": "object"}}}),
                &["{}", "{\"a\": {\"any\": 1}}"],
                &["{\"b\": 1}", "1"],
            ),
            (json!({"type": "object"}), &["{}"], &["{\"b\": 1}"]),
            (
                json!({"type": "object", "properties": {"a": {}}, "additionalProperties": true}),
                &["{\"b\": 1, \"a\": 1, \"c\": 1}"],
                &["{\"b\": 1, \"b\": 1}"],
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "integer"}}}),
                &["{\"a\": 1}"],
                &["{\"a\": 1.0}"],
            ),
        ],
    );
}

#[test]
fn long_limits_are_enforced_by_a_grammar_no_longer_than_that_of_short_ones() {
    let values: Vec<String> = (0..500).map(|i| format!("value number {i}")).collect();
    let schema = |max_length: usize, min_items: usize| {
        json!({"type": "object", "properties": {
            "s": {"type": "string", "maxLength": max_length},
            "a": {"type": "array", "items": {"type": "integer"}, "minItems": min_items},
            "e": {"enum": &values}}})
    };
    let lark_bytes = |schema: &Value| compile(schema, Options::default()).unwrap().lark().len();
    let (short, schema) = (lark_bytes(&schema(20, 20)), schema(10_000, 2000));
    // Limits are counts in the grammar, with a few more digits here.
    assert!(lark_bytes(&schema) < short + 100, "{short}");
    let compiler = Compiler::for_bytes().unwrap();
    assert!(accepts(&compiler, &schema, Options::default(), "{\"e\": \"value number 499\", \"s\": \"x\"}"));
    assert!(!accepts(&compiler, &schema, Options::default(), "{\"a\": [1, 2]}"));
}

/// Fraction of schemas without an error, fraction that is fully enforced, and number of invalid texts that were
/// accepted.
fn coverage(file: &str) -> Option<(f64, f64, usize)> {
    let path = crate::shared::shared()?.join("data/schemas").join(file);
    let output = std::process::Command::new("xz").arg("-dc").arg(path).output().unwrap();
    assert!(output.status.success());
    let compiler = Compiler::for_bytes().unwrap();
    let (mut all, mut right, mut enforced, mut wrong) = (0, 0, 0, 0);
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let draft = row["name"].as_str().unwrap().starts_with("draft7/").then_some(Draft::Draft7);
        let options = Options { draft, ..Options::default() };
        all += 1;
        let tests = row["tests"].as_array().unwrap();
        let compiled = match compile(&row["schema"], options) {
            Ok(compiled) => Some(compiled),
            Err(Error::AcceptsNothing { .. }) => None,
            Err(_) => continue,
        };
        let accepted =
            |text: &str| compiled.as_ref().is_some_and(|compiled| takes(&compiler, compiled, text));
        let mut fits = true;
        for test in tests {
            let (valid, got) = (test["valid"] == true, accepted(&spaced(&test["data"])));
            fits &= valid == got;
            wrong += usize::from(got && !valid);
        }
        right += usize::from(fits);
        enforced += usize::from(compiled.is_none_or(|c| c.report.status() == Status::Enforced));
    }
    let share = |n: usize| n as f64 / f64::from(all);
    Some((share(right), share(enforced), wrong))
}

fn spaced(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) => {
            let each = map.iter().map(|(k, v)| format!("{}: {}", json!(k), spaced(v)));
            format!("{{{}}}", each.collect::<Vec<_>>().join(", "))
        }
        // Generated integers have no fraction, and 1.0 is the integer 1.
        Value::Number(n) if n.as_f64().is_some_and(|n| n.fract() == 0.0 && n.abs() < 1e15) => {
            n.as_f64().unwrap_or_default().to_string()
        }
        other => other.to_string(),
    }
}

#[test]
fn conformance_schemas_from_the_wild() {
    let Some((right, enforced, wrong)) = coverage("maskbench-sample.jsonl.xz") else { return };
    assert!(right >= 0.98 && enforced >= 0.80 && wrong == 0, "{right} {enforced} {wrong}");
}

#[test]
fn conformance_the_official_schema_suite() {
    let Some((right, enforced, wrong)) = coverage("json-schema-test-suite.jsonl.xz") else { return };
    assert!(right >= 0.90 && enforced >= 0.44 && wrong == 0, "{right} {enforced} {wrong}");
}

#[test]
fn schemas_of_frameworks_take_what_pythons_validator_takes() {
    let compiler = Compiler::for_bytes().unwrap();
    let rows = include_str!("../fixtures/framework_schemas.jsonl");
    for row in rows.lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        for test in row["tests"].as_array().unwrap() {
            let text = spaced(&test["data"]);
            let verdict = accepts(&compiler, &row["schema"], Options::default(), &text);
            assert_eq!(Value::Bool(verdict), test["valid"], "{}: {text}", row["name"]);
        }
    }
}

#[test]
fn a_text_that_is_wound_up_ends_in_a_valid_value() {
    let compiler = Compiler::for_bytes().unwrap();
    for schema in [
        // Required keys in alternatives, between which the validator cannot decide early.
        json!({"oneOf": [
            {"type": "object", "properties": {"kind": {"const": "a"}, "of": {"type": "object", "required": ["x", "y"],
                "properties": {"x": {"type": "string"}, "y": {"type": "integer"}}}}, "required": ["kind", "of"]},
            {"type": "array", "minItems": 3, "items": {"type": "string", "pattern": "^[0-9a-f]{8}$"}}]}),
        // An array is refused when it is closed, and has to be generated again.
        json!({"type": "array", "contains": {"const": 7}, "maxContains": 0, "minContains": 0}),
        // Members without a declared name.
        json!({"type": "object", "minProperties": 9}),
        json!({"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": true, "minItems": 3}),
    ] {
        let compiled = compile(&schema, Options::default()).unwrap();
        let mut constraint = constraint(&compiler, &compiled);
        let mut closing = Closing::default();
        let mut steps = 0;
        while !constraint.is_complete() {
            steps += 1;
            assert!(steps < 1500, "{schema}: {}", String::from_utf8_lossy(constraint.written()));
            let mask = constraint.mask().unwrap();
            match constraint.closing(&mut closing, mask) {
                Way::Back(tokens) => constraint.rollback(tokens).unwrap(),
                Way::Choose(nearest) => {
                    // Any of these tokens will do; the choice varies from step to step.
                    let tokens = nearest.tokens();
                    let token = tokens[steps * 7 % tokens.len()];
                    assert!(constraint.accept(token).unwrap());
                    if constraint.is_end(token) {
                        break;
                    }
                }
            }
        }
        let value: Value = serde_json::from_slice(constraint.written()).unwrap();
        assert_eq!(compiled.checks.violation(&value), None, "{schema}");
    }
}
