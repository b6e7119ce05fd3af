//! Values that fail validation are taken back and others are tried. The logits are set by hand, one token per byte, so
//! that the test decides what the model prefers.

use edgecall::{
    Kind, call,
    dialect::{self, grammar::JsonAnswer, turn::Turn},
    runtime::{
        self, Compiler, Completion, Constraint, DecodeMode, Finish, Sampler, Sampling, generate,
        sequence::Sequence,
    },
    schema::KeyOrder,
    tools::{ToolSet, arguments::AnswerSchema},
};
use serde_json::{Value, json};
use std::{num::NonZeroUsize, ops::ControlFlow};

/// A model that prefers the first of some texts to the second and so on; after leaving all of them it prefers the bytes
/// in `leaning`.
struct Wishes {
    texts: Vec<&'static str>,
    leaning: &'static [u8],
    written: Vec<i32>,
    logits: Vec<f32>,
    rewinds: usize,
}

impl Wishes {
    fn new(texts: &[&'static str], leaning: &'static str) -> Wishes {
        let mut wishes = Wishes {
            texts: texts.to_vec(),
            leaning: leaning.as_bytes(),
            written: Vec::new(),
            logits: Vec::new(),
            rewinds: 0,
        };
        wishes.wish();
        wishes
    }

    fn wish(&mut self) {
        let written: Vec<u8> = self.written.iter().map(|&token| token as u8).collect();
        self.logits = (0..257).map(|id| -(id as f32) / 1000.0).collect();
        for (rank, byte) in self.leaning.iter().rev().enumerate() {
            self.logits[usize::from(*byte)] = 1.0 + rank as f32;
        }
        for (rank, text) in self.texts.iter().rev().enumerate() {
            if let Some(next) = text.as_bytes().strip_prefix(&written[..]).and_then(|rest| rest.first()) {
                self.logits[usize::from(*next)] = 100.0 + rank as f32;
            }
        }
    }
}

impl Sequence for Wishes {
    fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn append(&mut self, tokens: &[i32]) -> Result<(), runtime::Error> {
        self.written.extend_from_slice(tokens);
        self.wish();
        Ok(())
    }

    fn rewind(&mut self, n_past: usize) -> Result<(), runtime::Error> {
        assert!(n_past < self.written.len(), "{n_past} of {}", self.written.len());
        self.written.truncate(n_past);
        self.rewinds += 1;
        self.wish();
        Ok(())
    }

    fn n_past(&self) -> usize {
        self.written.len()
    }

    fn n_ctx(&self) -> usize {
        4096
    }
}

fn generate(
    constraint: &mut Constraint<'_>,
    wishes: &mut Wishes,
    budget: usize,
) -> Result<Completion, runtime::Error> {
    let mut sampler = Sampler::new(Sampling::default());
    generate::constrained(wishes, constraint, &mut sampler, budget, DecodeMode::Forced, |text| {
        // The reader's text equals the sequence, except for at most one token.
        assert!(!text.is_empty());
        ControlFlow::Continue(())
    })
}

/// Output under `schema` of a model with these preferences.
fn written(schema: Value, texts: &[&'static str], leaning: &'static str) -> (String, Completion, usize) {
    let compiler = Compiler::for_bytes().unwrap();
    let schema = AnswerSchema::new(&schema, KeyOrder::Any).unwrap();
    let answer = JsonAnswer::new(&schema);
    let mut constraint = call::constraint(&compiler, &answer).unwrap();
    let mut wishes = Wishes::new(texts, leaning);
    let completion = generate(&mut constraint, &mut wishes, 500).unwrap();
    let text = String::from_utf8(completion.text.clone()).unwrap();
    assert_eq!(completion.finish, Finish::Stop, "{text}");
    schema.check(&text).unwrap();
    (text, completion, wishes.rewinds)
}

#[test]
fn a_number_that_fails_its_check_is_replaced_by_the_next_likely_one() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer", "multipleOf": 7, "maximum": 99999}},
        "required": ["n"], "additionalProperties": false});
    let (text, _, rewinds) = written(schema.clone(), &[r#"{"n": 21}"#], "");
    assert_eq!((text.as_str(), rewinds), (r#"{"n": 21}"#, 0));
    let (text, completion, rewinds) = written(schema.clone(), &[r#"{"n": 20}"#, r#"{"n": 28}"#], "");
    assert_eq!(text, r#"{"n": 28}"#);
    assert!(rewinds > 0 && completion.decoded > completion.tokens.len(), "{rewinds} {completion:?}");
    // After the first number the model has no preference, and the result is still a multiple.
    let (text, ..) = written(schema, &[r#"{"n": 12345}"#], "}0123456789");
    assert!(text.starts_with(r#"{"n": 1"#), "{text}");
}

#[test]
fn a_string_that_fails_its_check_goes_on_or_is_replaced() {
    let schema = json!({"type": "string", "pattern": "^(?:(?=.*z)(?=.*q)[a-z]{1,4})$"});
    let (text, ..) = written(schema.clone(), &["\"zap\"", "\"quiz\""], "\"q");
    assert_eq!(text, "\"zapq\"", "the closing quote is refused, not what stands before it");
    let (text, _, rewinds) = written(schema, &["\"zaps\"", "\"quiz\""], "\"xyz");
    assert!(rewinds > 0 && text.contains('q') && text.contains('z'), "{text}");
}

#[test]
fn an_object_that_fails_its_check_is_taken_back_into_its_values() {
    // No two of the three numbers may be equal; only the whole object can decide that.
    let schema = json!({"type": "object", "properties": {"a": {"enum": [1, 2]}, "b": {"enum": [1, 2]}},
        "required": ["a", "b"], "additionalProperties": false,
        "not": {"anyOf": [{"properties": {"a": {"const": 1}, "b": {"const": 1}}},
            {"properties": {"a": {"const": 2}, "b": {"const": 2}}}]}});
    let (text, ..) = written(schema, &[r#"{"a": 1, "b": 1}"#], "}");
    assert_eq!(text, r#"{"a": 1, "b": 2}"#);
}

#[test]
fn an_item_that_is_there_already_gives_way_to_another() {
    let schema =
        json!({"type": "array", "items": {"enum": ["x", "y", "z"]}, "uniqueItems": true, "minItems": 3});
    let (text, ..) = written(schema, &[r#"["x", "x", "x"]"#, r#"["x", "y", "y"]"#], "");
    let mut items: Vec<String> = serde_json::from_str(&text).unwrap();
    items.sort();
    assert_eq!(items, ["x", "y", "z"]);
}

#[test]
fn after_enough_attempts_the_keyword_the_place_and_the_value_are_said() {
    // One number in a million is valid, and the model does not prefer it.
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer", "multipleOf": 999_983}},
        "required": ["n"]});
    let compiler = Compiler::for_bytes().unwrap();
    let schema = AnswerSchema::new(&schema, KeyOrder::Any).unwrap();
    let answer = JsonAnswer::new(&schema);
    let mut constraint = call::constraint(&compiler, &answer).unwrap();
    let mut wishes = Wishes::new(&[r#"{"n": 17}"#], "123");
    let error = generate(&mut constraint, &mut wishes, 2_000).unwrap_err();
    assert_eq!(error.kind(), Kind::Negative);
    let runtime::Error::Unsatisfied { attempts, violation, written } = error else { panic!("{error}") };
    assert_eq!(attempts, 32);
    assert_eq!((violation.keyword.as_str(), violation.pointer.as_str()), ("multipleOf", "#/properties/n"));
    assert!(violation.message.contains("999983"), "{}", violation.message);
    assert!(written.starts_with(b"{\"n\": "), "{}", String::from_utf8_lossy(&written));
    assert!(wishes.rewinds <= 32, "{}", wishes.rewinds);
}

#[test]
fn tokens_that_are_taken_back_count_against_the_budget() {
    let schema = json!({"type": "array", "items": {"type": "integer", "multipleOf": 999_983, "minimum": 1}});
    let compiler = Compiler::for_bytes().unwrap();
    let schema = AnswerSchema::new(&schema, KeyOrder::Any).unwrap();
    let answer = JsonAnswer::new(&schema);
    let mut constraint = call::constraint(&compiler, &answer).unwrap();
    let mut wishes = Wishes::new(&["[1234]"], "]789");
    let completion = generate(&mut constraint, &mut wishes, 12).unwrap();
    assert_eq!((completion.finish, completion.decoded), (Finish::Budget, 12));
    assert!(completion.tokens.len() < 12);
}

#[test]
fn a_call_is_backed_out_of_where_its_tools_name_is_the_only_way_on() {
    // Both tools can be called; the first one's only argument is never valid with the model's preferences.
    let tools = ToolSet::from_value(json!([
        {"name": "f", "parameters": {"properties": {"s": {"type": "string", "pattern": "^(?:(?=b)[a-c])$"}}, "required": ["s"]}},
        {"name": "g", "parameters": {"properties": {"b": {"type": "boolean"}}, "required": ["b"]}},
    ]))
    .unwrap();
    let compiler = Compiler::for_bytes().unwrap();
    let turn = Turn::new(&tools, &dialect::named("hermes").unwrap(), KeyOrder::Any)
        .unwrap()
        .up_to(NonZeroUsize::new(2).unwrap().get());
    let mut constraint = call::constraint(&compiler, &turn).unwrap();
    let two = "<tool_call>\n{\"name\": \"g\", \"arguments\": {\"b\": true}}\n</tool_call>\n<tool_call>\n\
               {\"name\": \"f\", \"arguments\": {\"s\": \"a\"}}\n</tool_call>";
    let mut wishes = Wishes::new(&[two], "\"bca");
    let completion = generate(&mut constraint, &mut wishes, 1_000).unwrap();
    let text = String::from_utf8(completion.text).unwrap();
    assert_eq!(text, two.replace("\"a\"", "\"b\""), "{text}");
    assert_eq!(completion.finish, Finish::Stop);
    assert!(wishes.rewinds > 0);
}
