//! Compile time of schemas with large limits, and cost of a call's grammar: each must take milliseconds. The vocabulary
//! is that of the model in EDGECALL_MODEL, else single bytes.

use criterion::{Criterion, criterion_group, criterion_main};
use edgecall::{
    call,
    dialect::{self, turn::Turn},
    runtime::{Compiler, Vocabulary},
    schema::{KeyOrder, Options, compile},
    tools::ToolSet,
};
use serde_json::{Value, json};
use std::{env, hint::black_box, path::Path};

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

fn vocabulary() -> Compiler {
    match env::var_os("EDGECALL_MODEL") {
        Some(path) => {
            let vocabulary = Vocabulary::load(Path::new(&path)).expect("EDGECALL_MODEL names a model");
            Compiler::for_vocabulary(vocabulary).expect("a model's vocabulary can be used")
        }
        None => Compiler::for_bytes().expect("the byte tokenizer needs nothing"),
    }
}

/// A hundred tools with twelve keys each.
fn hundred_tools() -> Vec<u8> {
    let tools: Vec<Value> =
        (0..100).map(|i| json!({"name": format!("tool_{i}"), "parameters": object(12, 4)})).collect();
    Value::from(tools).to_string().into_bytes()
}

/// Tokens of a call, with the tags that a model writes.
fn tokens(compiler: &Compiler, call: &str) -> Vec<u32> {
    let inner = call.strip_prefix("<tool_call>").and_then(|rest| rest.strip_suffix("</tool_call>"));
    match (inner, compiler.mark("<tool_call>"), compiler.mark("</tool_call>")) {
        (Some(inner), Some(open), Some(close)) => {
            [&[open], &compiler.tokenize(inner.as_bytes())[..], &[close]].concat()
        }
        _ => compiler.tokenize(call.as_bytes()),
    }
}

/// Time from the tools' text to the first mask, and of a call from its first token to its last.
fn calls(c: &mut Criterion) {
    let compiler = vocabulary();
    let dialect = dialect::named("hermes").expect("it is among the dialects");
    let restaurants = include_bytes!("../examples/restaurants/tools.json").to_vec();
    let reservation = "<tool_call>\n{\"name\": \"ReserveRestaurant\", \"arguments\": {\"city\": \"Oakland\", \
        \"date\": \"2019-03-08\", \"party_size\": \"4\", \"restaurant_name\": \"Paper Lantern\", \
        \"time\": \"19:30\"}}\n</tool_call>";
    let hundredth = "<tool_call>\n{\"name\": \"tool_99\", \"arguments\": {\"key_3\": \"a\", \"key_0\": \"b\", \
        \"key_1\": \"c\", \"key_2\": \"d\"}}\n</tool_call>";
    let mut group = c.benchmark_group("call");
    group.sample_size(20);
    for (name, tools, text) in
        [("the benchmark's tools", restaurants, reservation), ("100 tools", hundred_tools(), hundredth)]
    {
        let tokens = tokens(&compiler, text);
        let turn = || {
            let tools = ToolSet::parse(black_box(&tools)).expect("they are tools");
            call::check_tools(&tools, KeyOrder::Any).expect("their schemas can be used");
            Turn::new(&tools, &dialect, KeyOrder::Any).expect("their names can be written")
        };
        group.bench_function(format!("{name}: to the first token"), |b| {
            b.iter(|| drop(call::constraint(&compiler, &turn()).expect("it is a grammar")));
        });
        group.bench_function(format!("{name}: the rest, {} tokens without masks", tokens.len()), |b| {
            let turn = turn();
            b.iter_batched(
                || call::constraint(&compiler, &turn).expect("it is a grammar"),
                |mut constraint| {
                    for &token in &tokens {
                        assert!(constraint.accept(token as i32).expect("it is no failure"));
                    }
                },
                criterion::BatchSize::PerIteration,
            );
        });
        group.bench_function(format!("{name}: the rest, with a mask for each token"), |b| {
            let turn = turn();
            b.iter_batched(
                || call::constraint(&compiler, &turn).expect("it is a grammar"),
                |mut constraint| {
                    for &token in &tokens {
                        black_box(constraint.grammar_mask().expect("it is no failure"));
                        assert!(constraint.accept(token as i32).expect("it is no failure"));
                    }
                },
                criterion::BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn ready(c: &mut Criterion) {
    let compiler = vocabulary();
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

criterion_group!(benches, ready, calls);
criterion_main!(benches);
