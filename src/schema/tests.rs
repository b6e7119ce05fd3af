//! Tests of the status of keywords, and of the tracker's vetoes. Grammars are tested where they run.

use serde_json::{Value, json};

use super::{Compiled, Error, KeyOrder, Meaning, Options, Status, Tracker, compile};

fn standard(schema: &Value) -> Compiled {
    compile(schema, Options::default()).unwrap()
}

/// The weakest status of a keyword, anywhere in the schema.
fn status(schema: Value, keyword: &str) -> Status {
    let report = standard(&schema).report;
    report.lines.iter().filter(|l| l.keyword == keyword).map(|l| l.status).max().unwrap()
}

#[test]
fn what_a_grammar_can_say_is_enforced() {
    for (schema, keyword) in [
        (json!({"type": "object", "properties": {"a": {}}, "required": ["a"]}), "required"),
        (json!({"type": "object", "minProperties": 2, "maxProperties": 3}), "minProperties"),
        (json!({"type": "array", "uniqueItems": true, "items": {"enum": [1, "a", null]}}), "uniqueItems"),
        (json!({"type": "array", "contains": {"const": 1}}), "contains"),
        (json!({"type": "integer", "multipleOf": 5}), "multipleOf"),
        (json!({"oneOf": [{"type": "string"}, {"type": "null"}]}), "oneOf"),
        (json!({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}), "oneOf"),
        (json!({"not": {"type": "string"}}), "not"),
        (json!({"not": {"required": ["a", "b"]}}), "not"),
        (json!({"dependentRequired": {"a": ["b"]}}), "dependentRequired"),
        (
            json!({"if": {"properties": {"k": {"const": 1}}, "required": ["k"]}, "then": {"required": ["x"]}}),
            "if",
        ),
        (json!({"properties": {"a": {}}, "unevaluatedProperties": false}), "unevaluatedProperties"),
        (json!({"patternProperties": {"^x": {"type": "integer"}}}), "patternProperties"),
        (json!({"propertyNames": {"maxLength": 3}}), "propertyNames"),
        (json!({"format": "date"}), "format"),
        (json!({"pattern": "^(?=.*[0-9])(?!.*(?:[()|]|\\))).{4,}$"}), "pattern"),
        (json!({"oneOf": [{"minLength": 2}, {"maxLength": 3}]}), "oneOf"),
        (json!({"not": {"type": "string", "pattern": "^a"}}), "not"),
        (json!({"type": "string", "pattern": "^a{2}$|^ab$"}), "pattern"),
    ] {
        assert_eq!(status(schema.clone(), keyword), Status::Enforced, "{schema}");
    }
}

#[test]
fn a_dynamic_reference_to_the_only_anchor_of_its_name_is_a_reference() {
    let tree = json!({"$dynamicAnchor": "node", "type": "object", "required": ["value"], "properties": {
        "value": {"type": "string"}, "children": {"type": "array", "items": {"$dynamicRef": "#node"}}}});
    assert_eq!(status(tree.clone(), "$dynamicRef"), Status::Enforced);
    let mut two = tree;
    two["$defs"] = json!({"other": {"$dynamicAnchor": "node"}});
    assert_eq!(status(two, "$dynamicRef"), Status::CheckedAfter);
}

#[test]
fn the_report_says_where_the_order_of_keys_is_fixed() {
    let schema = json!({"properties": {"a": {"properties": {"x": {}, "y": {}}}, "b": {}}});
    let fixed = Options { key_order: KeyOrder::Schema, ..Options::default() };
    assert_eq!(compile(&schema, fixed).unwrap().report.in_order, ["#", "#/properties/a"]);
    assert!(standard(&schema).report.in_order.is_empty());
}

#[test]
fn what_it_cannot_say_is_checked_after() {
    for (schema, keyword) in [
        (json!({"type": "array", "uniqueItems": true}), "uniqueItems"),
        (json!({"oneOf": [{"items": {"minimum": 2}}, {"items": {"maximum": 3}}]}), "oneOf"),
        (json!({"type": "string", "pattern": "^(a|b)\\1$"}), "pattern"),
        (json!({"type": "string", "format": "regex"}), "format"),
        (json!({"type": "integer", "multipleOf": 7}), "multipleOf"),
        (json!({"not": {"items": {"minimum": 2}}}), "not"),
        (json!({"type": "string", "pattern": "a\\b"}), "pattern"),
    ] {
        assert_eq!(status(schema.clone(), keyword), Status::CheckedAfter, "{schema}");
    }
}

#[test]
fn what_says_nothing_is_an_annotation() {
    let schema = json!({"type": "string", "title": "t", "x-order": 1, "format": "slug", "nonsense": 3});
    for keyword in ["title", "x-order", "format", "nonsense"] {
        assert_eq!(status(schema.clone(), keyword), Status::Annotation, "{keyword}");
    }
}

#[test]
fn a_reference_out_of_the_document_is_refused_with_its_place() {
    let schema = json!({"properties": {"a": {"$ref": "#/$defs/missing"}}});
    let error = compile(&schema, Options::default()).unwrap_err();
    assert!(matches!(&error, Error::Refused { pointer, .. } if pointer == "#/properties/a"), "{error}");
    let schema = json!({"$ref": "https://example.com/other.json"});
    assert!(compile(&schema, Options::default()).is_err());
}

#[test]
fn a_schema_without_values_is_an_error() {
    for schema in [
        json!(false),
        json!({"type": "string", "enum": [1]}),
        json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a", "b"],
               "additionalProperties": false}),
    ] {
        let error = compile(&schema, Options::default()).unwrap_err();
        assert!(matches!(error, Error::AcceptsNothing { .. }), "{schema}: {error}");
    }
}

/// The error for `schema`, with its pointer and reason.
fn refusal(schema: Value) -> String {
    compile(&schema, Options::default()).unwrap_err().to_string()
}

#[test]
fn a_schema_without_a_finite_value_is_refused_when_it_is_compiled() {
    let node = json!({"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]});
    for schema in [
        json!({"$ref": "#/$defs/n", "$defs": {"n": node}}),
        json!({"properties": {"v": {"$ref": "#"}}, "required": ["v"], "type": "object"}),
        json!({"type": "array", "items": {"$ref": "#"}, "minItems": 1}),
        json!({"type": "array", "prefixItems": [{"$ref": "#"}], "minItems": 1}),
        json!({"type": "array", "contains": {"$ref": "#"}}),
        json!({"anyOf": [{"type": "array", "items": {"$ref": "#"}, "minItems": 2}, {"$ref": "#/$defs/n"}],
            "$defs": {"n": node}}),
    ] {
        let error = compile(&schema, Options::default()).unwrap_err();
        assert!(matches!(error, Error::AcceptsNothing { .. }), "{schema}: {error}");
    }
    let ends = json!({"type": "object", "properties": {"n": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}, "required": ["n"]});
    assert!(compile(&ends, Options::default()).is_ok());
}

#[test]
fn an_optional_member_without_a_finite_value_is_not_written() {
    let node = json!({"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]});
    let schema = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"type": "null"}},
        "additionalProperties": false, "$defs": {"n": node}});
    let rules = standard(&schema).rules;
    let written = |key: &str| rules.contains(&format!(r#""\"{key}\"" ": ""#));
    assert!(!written("a") && written("b"), "{rules}");
}

#[test]
fn a_value_that_is_longer_than_any_answer_is_refused_with_its_place() {
    for (value, pointer) in [
        (json!({"type": "array", "items": {"type": "null"}, "minItems": 1_000_000}), "#/properties/v: "),
        (json!({"type": "object", "minProperties": 100_000}), "#/properties/v: "),
        (json!({"type": "object", "minProperties": u64::MAX}), "#/properties/v: "),
        (json!({"type": "array", "minItems": u64::MAX}), "#/properties/v: "),
        (
            json!({"type": "array", "minItems": u64::MAX / 2 + 2, "items": {"type": "null"}}),
            "#/properties/v: ",
        ),
        (json!({"type": "string", "minLength": u64::MAX}), "#/properties/v: "),
        (json!({"type": "string", "minLength": 1_000_000}), "#/properties/v: "),
        (
            json!({"type": "array", "minItems": 1000, "items": {"type": "array", "minItems": 1000, "items": {"type": "null"}}}),
            "#/properties/v: ",
        ),
    ] {
        let schema = json!({"type": "object", "properties": {"v": value}, "required": ["v"]});
        let message = refusal(schema);
        assert!(message.starts_with(pointer) && message.contains("65536"), "{message}");
    }
}

#[test]
fn alternatives_that_multiply_end_in_a_result_or_in_a_refusal_that_names_them() {
    let chain = |branches: &dyn Fn(usize, Value) -> Value, last: Value| {
        let mut schema =
            json!({"type": "object", "properties": {"v": {"$ref": "#/$defs/n0"}}, "required": ["v"]});
        for i in 0..40 {
            let next = json!({"$ref": format!("#/$defs/n{}", i + 1)});
            schema["$defs"][format!("n{i}")] = branches(i, next);
        }
        schema["$defs"]["n40"] = last;
        schema
    };
    let null = json!({"type": "null"});
    for word in ["anyOf", "allOf"] {
        let schema = chain(&|_, next| json!({ word: [next, next] }), null.clone());
        let checks = standard(&schema).checks;
        assert!(
            checks.violation(&json!({"v": null})).is_none() && checks.violation(&json!({"v": 1})).is_some()
        );
    }
    let schema = chain(&|_, next| json!({"oneOf": [next, next]}), null.clone());
    assert!(refusal(schema).contains("no JSON value"));
    for word in ["anyOf", "allOf", "oneOf"] {
        let schema =
            chain(&|i, next| json!({ word: [next, {"allOf": [next], "maxLength": i}] }), null.clone());
        let message = refusal(schema);
        assert!(message.starts_with("#/$defs/n") && message.contains(word), "{message}");
    }
}

#[test]
fn many_patterns_for_many_keys_are_refused_and_not_tried_for_minutes() {
    let mut schema = json!({"type": "object"});
    for i in 0..4_000 {
        schema["patternProperties"][format!("^x{i}")] = json!({});
        schema["properties"][format!("k{i}")] = json!({});
    }
    assert!(refusal(schema).contains("steps"));
}

#[test]
fn bounds_constants_and_divisors_past_64_bits_are_kept_digit_by_digit() {
    for (schema, right, wrong) in [
        (r#"{"const": 18446744073709551617}"#, "18446744073709551617", "18446744073709551616"),
        (r#"{"enum": [-9223372036854775809]}"#, "-9223372036854775809", "-9223372036854775808"),
        (
            r#"{"minimum": 18446744073709551617, "maximum": 18446744073709551619}"#,
            "18446744073709551618",
            "18446744073709551620",
        ),
        (
            r#"{"exclusiveMinimum": 18446744073709551616, "exclusiveMaximum": 18446744073709551618}"#,
            "18446744073709551617",
            "18446744073709551616",
        ),
        (r#"{"multipleOf": 64}"#, "18446744073709551616", "18429401940180491777884"),
        (r#"{"not": {"const": 18446744073709551617}}"#, "18446744073709551616", "18446744073709551617"),
    ] {
        let schema = crate::json::parse_exact(schema).unwrap();
        let checks = standard(&schema).checks;
        assert_eq!(checks.violation_of_text(right).unwrap(), None, "{schema}");
        assert!(checks.violation_of_text(wrong).unwrap().is_some(), "{schema}");
    }
}

#[test]
fn the_draft_decides_what_a_keyword_is() {
    let schema = json!({"$schema": "http://json-schema.org/draft-04/schema#", "const": 1});
    assert_eq!(status(schema, "const"), Status::Annotation);
    let older = json!({"items": [{"type": "integer"}], "additionalItems": false});
    let compiled = standard(&older);
    assert!(compiled.checks.violation(&json!([1])).is_none());
    assert!(compiled.checks.violation(&json!([1, 2])).is_some());
}

#[test]
fn a_key_is_written_once() {
    let mut tracker = Tracker::new(standard(&json!({})).checks, 0);
    assert!(tracker.push(br#"{"a": {"a": 1}, "b"#));
    assert!(tracker.push(br#"": 1, "#));
    assert!(!tracker.push(br#""a":"#));
    assert!(tracker.push(br#""c": [{"a": 1}, {"a": 2}]}"#));
    assert!(tracker.is_done());
}

#[test]
fn the_byte_that_closes_a_wrong_value_is_vetoed_and_the_reason_kept() {
    let schema = json!({"properties": {"p": {"type": "string", "pattern": "^(?:(?=a).b)"}}});
    let mut tracker = Tracker::new(standard(&schema).checks, 0);
    assert!(tracker.push(br#"{"p": "x"#));
    assert!(!tracker.allows(b"\""));
    assert!(!tracker.push(b"\"}"));
    let violation = tracker.violation().unwrap();
    assert_eq!((violation.pointer.as_str(), violation.keyword.as_str()), ("#/properties/p", "pattern"));
    assert!(tracker.value_start() == 0);
    tracker.rollback(1);
    assert!(tracker.push(br#"{"p": "ab"#));
    assert!(tracker.push(b"\"}"));
    assert!(tracker.may_end());
}

#[test]
fn a_violation_names_the_schema_that_has_the_keyword() {
    let schema = json!({"properties": {"p": {
        "type": "string", "if": {"maxLength": 9}, "then": {"pattern": "^(?:(?=a).b)"}}}});
    let mut tracker = Tracker::new(standard(&schema).checks, 0);
    assert!(tracker.push(br#"{"p": "x"#));
    assert!(!tracker.push(b"\""));
    let violation = tracker.violation().unwrap();
    assert_eq!((violation.pointer.as_str(), violation.keyword.as_str()), ("#/properties/p/then", "pattern"));

    let checks = standard(&json!({"properties": {"a": false}})).checks;
    let violation = checks.violation(&json!({"a": 1})).unwrap();
    assert_eq!((violation.pointer.as_str(), violation.keyword.as_str()), ("#", "properties"));
}

#[test]
fn equal_items_are_vetoed_one_by_one() {
    let schema = json!({"type": "array", "uniqueItems": true});
    let mut tracker = Tracker::new(standard(&schema).checks, 0);
    assert!(tracker.push(b"[1, 2, {\"a\": 1, \"b\": 2}, 1"));
    assert!(!tracker.push(b","), "1 is there already");
    assert!(tracker.push(b"0, "));
    assert!(!tracker.push(b"{\"b\": 2, \"a\": 1}"), "the order of keys makes no difference");
    assert!(!tracker.push(b"2.0]"));
    assert!(tracker.push(b"3]"));
}

#[test]
fn going_back_restores_the_text_and_the_keys() {
    let mut tracker = Tracker::new(standard(&json!({})).checks, 2);
    assert!(tracker.push(b"x:{"));
    assert!(tracker.push(b"\"a\": 1, "));
    assert!(!tracker.allows(b"\"a\""));
    tracker.rollback(1);
    assert!(tracker.allows(b"\"a\""));
    assert_eq!(tracker.text(), b"{");
}

#[test]
fn a_tools_parameters_are_an_object_of_declared_keys() {
    let tool = Options { meaning: Meaning::Tool, ..Options::default() };
    let compiled = compile(&json!({"properties": {"a": {"type": "integer"}}}), tool).unwrap();
    let open = standard(&json!({"properties": {"a": {"type": "integer"}}}));
    assert!(compiled.rules.len() < open.rules.len() / 2, "{}", compiled.rules);
}
