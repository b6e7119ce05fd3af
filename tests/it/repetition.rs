//! A model that repeats itself ends early; one that writes a long list, a long line or forced text does not.

use edgecall::{
    call,
    dialect::grammar::JsonAnswer,
    runtime::{
        Compiler, Completion, Constraint, DecodeMode, Finish, Limits, Repetition, Sampler, Sampling,
        constraint::Fixed, generate, sequence::Script,
    },
    schema::KeyOrder,
    tools::arguments::AnswerSchema,
};
use serde_json::{Value, json};
use std::ops::ControlFlow;

/// Lets a model that wants to write `text`, one byte a token, write under a constraint.
fn generate(constraint: &mut Constraint<'_>, text: &str, repetition: bool) -> Completion {
    let wanted: Vec<i32> = text.bytes().map(i32::from).collect();
    let mut script = Script::new(&wanted, 257);
    let mut sampler = Sampler::new(Sampling::default());
    let limits = Limits { tokens: 3_000, repetition };
    let reader = |_: &[u8]| ControlFlow::Continue(());
    generate::constrained(&mut script, constraint, &mut sampler, limits, DecodeMode::Forced, reader).unwrap()
}

fn free_text(text: &str, repetition: bool) -> Completion {
    let compiler = Compiler::for_bytes().unwrap();
    let mut constraint = Constraint::new(&compiler, Box::new(Fixed("start: /(?s:.*)/".to_owned()))).unwrap();
    generate(&mut constraint, text, repetition)
}

fn json(schema: Value, text: &str) -> Completion {
    let compiler = Compiler::for_bytes().unwrap();
    let schema = AnswerSchema::new(&schema, KeyOrder::Any).unwrap();
    let answer = JsonAnswer::new(&schema);
    generate(&mut call::constraint(&compiler, &answer).unwrap(), text, true)
}

#[test]
fn free_text_that_repeats_a_run_ends_early_and_goes_on_if_it_may() {
    let text = format!("Well. {}", "I do not know. ".repeat(100));
    let stopped = free_text(&text, true);
    assert_eq!(stopped.finish, Finish::Repetition(Repetition { run: 15, times: 8 }));
    assert!(text.starts_with(std::str::from_utf8(&stopped.text).unwrap()));
    assert!((120..150).contains(&stopped.tokens.len()), "{}", stopped.tokens.len());
    let free = free_text(&text, false);
    assert!(free.text.starts_with(text.as_bytes()));
}

#[test]
fn a_line_of_dashes_is_text_and_an_endless_one_is_not() {
    let line = |length: usize| format!("a\n{}\nb", "-".repeat(length));
    assert!(free_text(&line(240), true).text.starts_with(line(240).as_bytes()));
    assert_eq!(free_text(&line(2_000), true).finish, Finish::Repetition(Repetition { run: 1, times: 256 }));
}

#[test]
fn one_string_that_repeats_itself_ends_early() {
    let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"],
        "additionalProperties": false});
    let text = format!(r#"{{"text": "{}"}}"#, "ha ha, ho; ".repeat(60));
    let done = json(schema.clone(), &text);
    assert!(matches!(done.finish, Finish::Repetition(Repetition { run: 11, .. })), "{:?}", done.finish);
    assert!(done.tokens.len() < 200);
    let padding = format!(r#"{{"text": "{}=="}}"#, "A".repeat(200));
    assert_eq!(json(schema, &padding).text, padding.as_bytes());
}

#[test]
fn lists_of_equal_items_are_no_repetition() {
    let numbers = json!({"type": "array", "items": {"type": "integer"}});
    let text = format!("[{}]", ["0"; 400].join(", "));
    assert_eq!(json(numbers, &text).text, text.as_bytes());
    let objects = json!({"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"},
        "y": {"type": "integer"}}, "additionalProperties": false}});
    let text = format!("[{}]", [r#"{"x": 0, "y": 0}"#; 100].join(", "));
    assert_eq!(json(objects, &text).text, text.as_bytes());
    let strings = json!({"type": "array", "items": {"type": "string"}});
    let text = format!("[{}]", [r#""a""#; 300].join(", "));
    assert_eq!(json(strings, &text).text, text.as_bytes());
}

#[test]
fn what_the_grammar_forces_is_no_repetition() {
    let forced = json!({"const": "-_".repeat(400)});
    let text = format!("\"{}\"", "-_".repeat(400));
    assert_eq!(json(forced, &text).text, text.as_bytes());
    let pattern = json!({"type": "string", "pattern": "^(abcdef){100}[xy]$"});
    let text = format!("\"{}x\"", "abcdef".repeat(100));
    assert_eq!(json(pattern, &text).text, text.as_bytes());
}
