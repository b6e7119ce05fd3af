//! How long the schemas take that have long limits: each has to be ready in milliseconds.

use criterion::{Criterion, criterion_group, criterion_main};
use edgecall::{
    runtime::Compiler,
    tools::json_schema::{Options, compile},
};
use serde_json::{Value, json};
use std::hint::black_box;

fn object(keys: usize, required: usize) -> Value {
    let properties: serde_json::Map<String, Value> =
        (0..keys).map(|i| (format!("key_{i}"), json!({"type": "string"}))).collect();
    let required: Vec<String> = (0..required).map(|i| format!("key_{i}")).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn schemas() -> Vec<(&'static str, Value)> {
    let values: Vec<String> = (0..500).map(|i| format!("value number {i}")).collect();
    let kinds: Vec<Value> = (0..100)
        .map(|i| {
            let mut branch = object(10, 3);
            branch["properties"]["kind"] = json!({"const": format!("kind_{i}")});
            branch["required"] = json!(["kind", "key_1"]);
            branch
        })
        .collect();
    vec![
        ("maxLength 10,000", json!({"type": "string", "maxLength": 10_000})),
        ("minLength 9,000", json!({"type": "string", "minLength": 9_000, "maxLength": 10_000})),
        (
            "pattern and maxLength 10,000",
            json!({"type": "string", "pattern": "^[a-z0-9-]+( [a-z]+)*$", "maxLength": 10_000}),
        ),
        ("minItems 2,000", json!({"type": "array", "items": {"type": "string"}, "minItems": 2_000})),
        (
            "minItems 2,000 of objects",
            json!({"type": "array", "items": object(100, 50), "minItems": 2_000, "maxItems": 4_000}),
        ),
        ("enum of 500", json!({"enum": values})),
        (
            "500 values in a list, each once",
            json!({"type": "array", "items": {"enum": values}, "uniqueItems": true}),
        ),
        ("30 optional keys", object(30, 0)),
        ("100 keys, 50 required", object(100, 50)),
        ("oneOf of 100 tagged objects", json!({"oneOf": kinds})),
        (
            "tree of $defs",
            json!({
                "$defs": {
                    "node": {"type": "object", "required": ["value", "children"], "properties": {
                        "value": {"$ref": "#/$defs/value"},
                        "children": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 1_000}
                    }},
                    "value": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "string", "maxLength": 5_000}, {"type": "null"}]}
                },
                "$ref": "#/$defs/node"
            }),
        ),
        (
            "all of it nested",
            json!({"type": "object", "required": ["list"], "properties": {
                "list": {"type": "array", "minItems": 2_000, "items": {"type": "object", "properties": {
                    "text": {"type": "string", "maxLength": 10_000},
                    "choice": {"enum": values},
                    "more": object(30, 0)
                }}}
            }}),
        ),
    ]
}

fn ready(c: &mut Criterion) {
    let compiler = Compiler::for_bytes().expect("the byte tokenizer needs nothing");
    let mut group = c.benchmark_group("schema");
    group.sample_size(20);
    for (name, schema) in schemas() {
        group.bench_function(name, |b| {
            b.iter(|| {
                let compiled = compile(black_box(&schema), Options::default()).expect("it is a schema");
                compiler.compile(&compiled.lark()).expect("it is a grammar")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, ready);
criterion_main!(benches);
