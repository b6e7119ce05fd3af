//! Forced tokens and drafts change the speed of generation, never the output.

use crate::pocket;
use edgecall::{
    call,
    dialect::{self, grammar::JsonAnswer, turn::Turn},
    random::SplitMix64,
    runtime::{
        self, Compiler, Completion, DecodeMode, Finish, Sampler, Sampling, Steps,
        draft::{BatchCost, DraftPolicy, Drafter},
        generate,
        sequence::{Script, Sequence},
    },
    schema::KeyOrder,
    tools::{ToolSet, arguments::AnswerSchema},
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;

/// A model with random logits that depend only on the preceding text, and that tends to end a long text.
struct Noise {
    seed: u64,
    tokens: Vec<i32>,
    ahead: Vec<i32>,
    logits: Vec<f32>,
}

impl Noise {
    fn new(seed: u64) -> Noise {
        let mut noise = Noise { seed, tokens: Vec::new(), ahead: Vec::new(), logits: Vec::new() };
        noise.wish();
        noise
    }

    fn wish(&mut self) {
        let text = self.tokens.iter().fold(self.seed, |hash, &token| {
            (hash ^ token as u64).wrapping_mul(0x0100_0000_01b3).rotate_left(17)
        });
        let mut random = SplitMix64::new(text);
        let tired = self.tokens.len() as f64 / 60.0;
        let wish = |byte: usize| {
            let ends = matches!(byte as u8, b'"' | b'}' | b']' | b'0'..=b'9') && byte < 256;
            (random.next_unit() * 4.0 + if ends { tired } else { 0.0 }) as f32
        };
        self.logits = (0..257).map(wish).collect();
    }
}

impl Sequence for Noise {
    fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn append(&mut self, tokens: &[i32]) -> Result<(), runtime::Error> {
        self.append_drafted(tokens, &[]).map(drop)
    }

    fn append_drafted(&mut self, tokens: &[i32], draft: &[i32]) -> Result<usize, runtime::Error> {
        let known = self.ahead.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        self.ahead.drain(..known);
        self.tokens.extend_from_slice(tokens);
        self.wish();
        if known == tokens.len() {
            return Ok(0);
        }
        self.ahead = draft.to_vec();
        Ok(tokens.len() - known + draft.len())
    }

    fn ahead(&self) -> &[i32] {
        &self.ahead
    }

    fn rewind(&mut self, n_past: usize) -> Result<(), runtime::Error> {
        self.ahead.clear();
        self.tokens.truncate(n_past);
        self.wish();
        Ok(())
    }

    fn n_past(&self) -> usize {
        self.tokens.len()
    }

    fn n_ctx(&self) -> usize {
        4096
    }
}

/// Thirty optional keys and a keyword that no grammar can enforce.
fn thirty_keys() -> Value {
    let key = |i: usize| {
        let value = match i % 3 {
            0 => json!({"type": "string", "enum": ["red", "green", "great"]}),
            1 => json!({"type": "integer", "minimum": 10, "maximum": 9999, "multipleOf": 7}),
            _ => json!({"type": "string", "maxLength": 12, "not": {"pattern": "^[a-m]"}}),
        };
        (format!("key_{i}"), value)
    };
    let keys: Map<String, Value> = (0..30).map(key).collect();
    json!({"type": "object", "properties": keys, "additionalProperties": false, "minProperties": 3,
           "not": {"required": ["key_1", "key_2"]}})
}

fn write(schema: &AnswerSchema, compiler: &Compiler, seed: u64, mode: DecodeMode<'_>) -> Option<Completion> {
    let answer = JsonAnswer::new(schema);
    let mut constraint = call::constraint(compiler, &answer).unwrap();
    let mut sampler = Sampler::new(Sampling::default());
    let reader = |_: &[u8]| ControlFlow::Continue(());
    match generate::constrained(&mut Noise::new(seed), &mut constraint, &mut sampler, 1500, mode, reader) {
        Ok(done) => Some(done),
        // Random logits may find no valid value; then all decode modes find none.
        Err(runtime::Error::Unsatisfied { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn hostile_guesses_change_no_text_and_let_nothing_invalid_through() {
    let compiler = Compiler::for_bytes().unwrap();
    let schema = AnswerSchema::new(&thirty_keys(), KeyOrder::Any).unwrap();
    let (mut ended, mut guessed, mut right) = (0, 0, 0);
    for seed in 0..60 {
        let plain = write(&schema, &compiler, seed, DecodeMode::Exact);
        // Drafts: the output with every eighth token replaced, cut anywhere, and noise.
        let mut random = SplitMix64::new(seed);
        let said: Vec<i32> = plain.as_ref().map(|done| done.tokens.clone()).unwrap_or_default();
        let spoilt = |random: &mut SplitMix64| -> Vec<i32> {
            let spoil =
                |token: &i32| if random.below(8) == 0 { random.below(300) as i32 - 20 } else { *token };
            said.iter().map(spoil).collect()
        };
        let mut earlier: Vec<Vec<i32>> = (0..4).map(|_| spoilt(&mut random)).collect();
        earlier.push((0..500).map(|_| i32::from(b"\"}{,: key_"[random.below(10)])).collect());
        earlier.push(vec![i32::MIN, -1, i32::MAX, 256, 257]);
        for reach in [
            DraftPolicy::Tokens { matched: 2, most: 8 },
            DraftPolicy::Tokens { matched: 2, most: 1 },
            DraftPolicy::Worth(BatchCost::expected(0.1)),
        ] {
            let mut drafter = Drafter::new(&[], earlier.clone(), reach);
            let drafted = write(&schema, &compiler, seed, DecodeMode::Drafted(&mut drafter));
            assert_eq!(plain.is_some(), drafted.is_some(), "{seed}");
            let (Some(plain), Some(drafted)) = (&plain, drafted) else { continue };
            assert_eq!(plain.text, drafted.text, "{seed}");
            assert_eq!(plain.finish, drafted.finish);
            guessed += drafted.steps.drafted;
            right += drafted.steps.accepted;
            assert!(drafted.steps.accepted <= drafted.steps.drafted);
            assert!(drafted.steps.decodes <= plain.steps.decodes);
            if drafted.finish == Finish::Stop {
                ended += 1;
                schema.check(&String::from_utf8(drafted.text).unwrap()).unwrap();
            }
        }
    }
    // The test is not trivial: many drafts were accepted, and many rejected.
    assert!(ended > 40 && right > 2_000 && guessed > right + 1_000, "{ended} {right} {guessed}");
}

#[test]
fn what_a_schema_names_is_guessed_where_the_prompt_does_not_say_it() {
    let model = pocket::loaded();
    let (vocabulary, compiler) = (model.vocabulary(), model.compiler().unwrap());
    let schema = json!({"type": "object", "additionalProperties": false, "properties": {
        "title": {"type": "string"},
        "priority": {"enum": ["medium", "high", "low"]},
        "assignee": {"type": "string"},
        "estimate": {"type": "integer"},
        "status": {"enum": ["waiting for review", "working on it", "done"]},
        "labels": {"type": "array", "items": {"enum": ["backend", "frontend"]}},
        "blocked": {"type": "boolean", "default": false}}});
    let answer_schema = AnswerSchema::new(&schema, KeyOrder::Any).unwrap();
    let text = r#"{"title": "The door is open", "priority": "medium", "assignee": "Ann", "estimate": 3, "status": "working on it", "labels": ["backend"], "blocked": false}"#;
    let wanted = vocabulary.tokenize(text, false).unwrap();
    let write = |mode: DecodeMode<'_>| {
        let answer = JsonAnswer::new(&answer_schema);
        let mut constraint = call::constraint(compiler, &answer).unwrap();
        let mut script = Script::new(&wanted, vocabulary.n_vocab());
        let mut sampler = Sampler::new(Sampling::default());
        let reader = |_: &[u8]| ControlFlow::Continue(());
        let done =
            generate::constrained(&mut script, &mut constraint, &mut sampler, 512, mode, reader).unwrap();
        assert_eq!(String::from_utf8_lossy(&done.text), text);
        done.steps
    };
    let prompt = "Make a ticket of it: the door is open.";
    let words = call::words_in_tokens(vocabulary, answer_schema.words(), prompt).unwrap();
    let shown = format!("{prompt} {schema}");
    let none = call::words_in_tokens(vocabulary, answer_schema.words(), &shown).unwrap();
    assert!(none.iter().all(|word| !String::from_utf8_lossy(&vocabulary.bytes(word)).contains("title")));
    let asked = vocabulary.tokenize(prompt, false).unwrap();
    let both = |reach: DraftPolicy| {
        let without = write(DecodeMode::Drafted(&mut Drafter::new(&asked, Vec::new(), reach.clone())));
        let mut drafter = Drafter::new(&asked, Vec::new(), reach).with_words(words.clone());
        let with = write(DecodeMode::Drafted(&mut drafter));
        println!("{without:?} without words, {with:?} with them");
        (without, with)
    };
    let (without, with) = both(DraftPolicy::Tokens { matched: 2, most: 2 });
    assert!(with.decodes < without.decodes, "{with:?} {without:?}");
    // It pays if additional tokens in a decode are cheap, and costs nothing if they are not.
    for slope in [0.12, 0.22, 0.67] {
        let (without, with) = both(DraftPolicy::Worth(BatchCost::fixed(slope)));
        let cost = |steps: &Steps| steps.decodes as f64 + slope * (steps.rows - steps.decodes) as f64;
        println!("at {slope}: {:.1} without, {:.1} with", cost(&without), cost(&with));
        assert!(cost(&with) <= cost(&without), "{slope}: {with:?} {without:?}");
        assert!(with.decodes < without.decodes || slope > 0.2, "{with:?} {without:?}");
    }
}

fn tools() -> ToolSet {
    let tools = json!([{"type": "function", "function": {"name": "note", "parameters": {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "kind": {"type": "string", "enum": ["to do", "to doubt", "10", "1000", "Ωmega", "Ωm"]},
            "count": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["kind"],
        "additionalProperties": false,
    }}}, {"type": "function", "function": {"name": "note_all", "parameters": {"type": "object", "properties": {}}}}]);
    ToolSet::from_value(tools).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]
    #[test]
    fn forced_tokens_never_contradict_the_tokenizer(
        text in "[a-zA-Z0-9 .,:;!?'{}\\[\\]<>_/é名😀-]{0,40}",
        kind in 0_usize..6,
        count in any::<i32>(),
        tags in proptest::collection::vec("[a-z 0-9\\-Ω]{0,6}", 0..4),
        order in 0_usize..24,
    ) {
        let set = tools();
        let model = pocket::loaded();
        let kinds = ["to do", "to doubt", "10", "1000", "Ωmega", "Ωm"];
        let mut members = [
            format!("\"text\": {}", Value::from(text)),
            format!("\"kind\": {}", Value::from(kinds[kind])),
            format!("\"count\": {count}"),
            format!("\"tags\": [{}]", tags.iter().map(|tag| Value::from(&**tag).to_string()).collect::<Vec<_>>().join(", ")),
        ];
        members.swap(0, order % 4);
        members.swap(1, 1 + order / 4 % 3);
        members.swap(2, 2 + order / 12 % 2);
        let arguments = members.join(", ");
        let call = format!("<tool_call>\n{{\"name\": \"note\", \"arguments\": {{{arguments}}}}}\n</tool_call>");
        let tokens = model.vocabulary().tokenize(&call, true).unwrap();
        let turn = Turn::new(&set, &dialect::named("hermes").unwrap(), KeyOrder::Any).unwrap();
        let mut constraint = call::constraint(model.compiler().unwrap(), &turn).unwrap();
        let mut forced_in_all = 0;
        for (at, &token) in tokens.iter().enumerate() {
            let forced = constraint.forced(usize::MAX).unwrap();
            let rest = &tokens[at..];
            prop_assert!(rest.starts_with(&forced), "{call}\nat {at}: {forced:?} is not the beginning of {rest:?}");
            forced_in_all += usize::from(!forced.is_empty());
            prop_assert!(constraint.accept(token).unwrap(), "{}: {}", call, at);
        }
        prop_assert!(constraint.is_complete() && forced_in_all > 8);
    }
}

#[test]
fn a_forced_end_takes_no_step_and_a_budget_ends_forced_tokens_too() {
    let compiler = Compiler::for_bytes().unwrap();
    let schema = AnswerSchema::new(&json!({"const": {"a": ["x", true]}}), KeyOrder::Any).unwrap();
    let done = write(&schema, &compiler, 1, DecodeMode::Forced).unwrap();
    assert_eq!(String::from_utf8(done.text).unwrap(), r#"{"a": ["x", true]}"#);
    assert_eq!((done.steps.decodes, done.steps.forced), (0, done.tokens.len()));

    let answer = JsonAnswer::new(&schema);
    for budget in 0..6 {
        let mut constraint = call::constraint(&compiler, &answer).unwrap();
        let mut sampler = Sampler::new(Sampling::default());
        let reader = |_: &[u8]| ControlFlow::Continue(());
        let mut noise = Noise::new(1);
        let cut = generate::constrained(
            &mut noise,
            &mut constraint,
            &mut sampler,
            budget,
            DecodeMode::Forced,
            reader,
        )
        .unwrap();
        assert_eq!((cut.finish, cut.tokens.len()), (Finish::Budget, budget));
    }
}
