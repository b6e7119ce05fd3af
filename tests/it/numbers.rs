//! Numbers past 64 bits and past doubles: grammar and validator against exact arithmetic.

use edgecall::{
    json,
    runtime::{Compiler, Constraint, constraint::Fixed},
    schema::{Follower, KeyOrder, Meaning, Options, compile},
    tools::{ToolCall, ToolSet, arguments::AnswerSchema, check},
};
use proptest::prelude::*;

/// True if grammar and checks take `text`; `None` if the schema has no value.
fn takes(schema: &str, meaning: Meaning, text: &str) -> Option<bool> {
    let schema = json::parse_exact(schema).unwrap();
    let compiled = compile(&schema, Options { meaning, ..Options::default() }).ok()?;
    let compiler = Compiler::for_bytes().unwrap();
    let tracker = Follower::new(compiled.checks.clone(), None);
    let constraint = Constraint::new(&compiler, Box::new(Fixed(compiled.lark()))).unwrap();
    let mut constraint = constraint.with_validator(Box::new(tracker));
    let tokens = compiler.tokenize(text.as_bytes());
    let taken = tokens.into_iter().all(|token| constraint.accept(token as i32).unwrap_or(false));
    Some(taken && constraint.may_end().unwrap())
}

#[test]
fn numbers_that_a_machine_number_rounds_are_taken_and_refused_as_written() {
    for (schema, right, wrong) in [
        (
            r#"{"const": 18446744073709551617}"#,
            vec!["18446744073709551617"],
            vec!["18446744073709551616", "1.8446744073709552e+19"],
        ),
        (r#"{"enum": [-9223372036854775809]}"#, vec!["-9223372036854775809"], vec!["-9223372036854775808"]),
        (
            r#"{"enum": [[9007199254740993, {"a": 1e-400}]]}"#,
            vec![r#"[9007199254740993, {"a": 1e-400}]"#],
            vec![r#"[9007199254740992, {"a": 1e-400}]"#],
        ),
        (
            r#"{"type": "integer", "minimum": 18446744073709551617, "maximum": 18446744073709551619}"#,
            vec!["18446744073709551617", "18446744073709551618", "18446744073709551619"],
            vec!["18446744073709551616", "18446744073709551620", "18446744073709552000.00000000"],
        ),
        (
            r#"{"type": "integer", "exclusiveMinimum": 18446744073709551616, "exclusiveMaximum": 18446744073709551618}"#,
            vec!["18446744073709551617"],
            vec!["18446744073709551616", "18446744073709551618"],
        ),
        (
            r#"{"type": "integer", "multipleOf": 64, "minimum": 10000000000000000000}"#,
            vec!["18446744073709551616"],
            vec!["18429401940180491777884", "64"],
        ),
        (
            r#"{"type": "integer", "not": {"enum": [18446744073709551617]}, "minimum": 18446744073709551616, "maximum": 18446744073709551617}"#,
            vec!["18446744073709551616"],
            vec!["18446744073709551617"],
        ),
    ] {
        for text in right {
            assert_eq!(takes(schema, Meaning::Standard, text), Some(true), "{schema} {text}");
        }
        for text in wrong {
            assert_eq!(takes(schema, Meaning::Standard, text), Some(false), "{schema} {text}");
        }
    }
}

#[test]
fn literals_end_at_a_length_that_programs_read() {
    for meaning in [Meaning::Standard, Meaning::Tool] {
        let schema = r#"{"type": ["integer", "object"]}"#;
        assert_eq!(takes(schema, meaning, &"3".repeat(18)), Some(true));
        assert_eq!(takes(schema, meaning, &"3".repeat(19)), Some(false));
        assert_eq!(takes(schema, meaning, "33.0"), Some(false));
    }
    let (long, longer) = (format!("1.{}", "3".repeat(17)), format!("1.{}", "3".repeat(18)));
    assert_eq!(takes(r#"{"type": "number"}"#, Meaning::Standard, &long), Some(true));
    assert_eq!(takes(r#"{"type": "number"}"#, Meaning::Standard, &longer), Some(false));
    assert_eq!(takes(r#"{"type": "integer", "enum": [2.0]}"#, Meaning::Standard, "2.0"), Some(true));
}

#[test]
fn the_last_check_reads_the_numbers_of_the_text_that_is_printed() {
    let tools = br#"[{"name": "f", "parameters": {"properties": {"a": {"const": 18446744073709551617}}}}]"#;
    let tools = ToolSet::parse(tools).unwrap();
    let call = |text: &str| check::check(&tools, &ToolCall::from_text("f", text).unwrap());
    assert!(call(r#"{"a": 18446744073709551617}"#).is_ok());
    let error = call(r#"{"a": 18446744073709551616}"#).unwrap_err().to_string();
    assert!(error.contains("18446744073709551617 was expected"), "{error}");
    // Other programs get the schema as they read it.
    assert!(tools.get("f").unwrap().parameters()["properties"]["a"]["const"].is_number());

    let schema = json::parse_exact(r#"{"maximum": 18446744073709551616}"#).unwrap();
    let schema = AnswerSchema::new(&schema, KeyOrder::Any).unwrap();
    assert!(schema.check("18446744073709551616").is_ok());
    assert!(schema.check("18446744073709551617").is_err());
}

/// Integers around the limits of 32, 53, 63 and 64 bits, and beyond.
fn wide() -> impl Strategy<Value = i128> {
    let limit = prop_oneof![Just(31), Just(53), Just(63), Just(64), Just(80), 1_u32..90];
    (limit, -3_i128..=3, any::<bool>()).prop_map(|(bits, offset, negative)| {
        let number = (1_i128 << bits) + offset;
        if negative { -number } else { number }
    })
}

fn digits(value: i128) -> usize {
    value.unsigned_abs().to_string().len()
}

/// Most digits of a literal on one side of zero: a far bound past readable numbers does not lead there.
fn reach(low: i128, high: i128, negative: bool) -> usize {
    let (near, far) = if negative { ((-high).max(0), -low) } else { (low.max(0), high) };
    match digits(far) <= (digits(near) + 1).max(20) {
        true => digits(far),
        false => (digits(near) + 1).max(18),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_grammar_takes_what_exact_arithmetic_takes(
        low in wide(),
        high in wide(),
        (above, below) in (any::<bool>(), any::<bool>()),
        divisor in prop_oneof![Just(None), (1_i128..200).prop_map(Some), wide().prop_map(|n| Some(n.abs().max(1)))],
        near in wide(),
        offset in -4_i128..=4,
    ) {
        let (low, high) = (low.min(high), low.max(high));
        let (minimum, maximum) =
            (if above { "exclusiveMinimum" } else { "minimum" }, if below { "exclusiveMaximum" } else { "maximum" });
        let multiple = divisor.map_or(String::new(), |n| format!(r#", "multipleOf": {n}"#));
        let schema = format!(r#"{{"type": "integer", "{minimum}": {low}, "{maximum}": {high}{multiple}}}"#);
        let step = divisor.unwrap_or(1);
        let candidates = [low, high, near, low + offset, high + offset, (low + offset) / step * step, high / step * step];
        for value in candidates {
            let expected = (value > low || !above && value == low)
                && (value < high || !below && value == high)
                && value % step == 0;
            let taken = takes(&schema, Meaning::Standard, &value.to_string()).unwrap_or(false);
            let expected = expected && digits(value) <= reach(low, high, value < 0);
            prop_assert_eq!(taken, expected, "{} {}", schema, value);
        }
    }

    #[test]
    fn constants_are_taken_as_written_and_no_neighbour_is(values in prop::collection::vec(wide(), 1..4), offset in -2_i128..=2) {
        let listed: Vec<String> = values.iter().map(i128::to_string).collect();
        let schema = format!(r#"{{"enum": [{}]}}"#, listed.join(", "));
        for value in values.iter().flat_map(|n| [*n, n + offset]) {
            let taken = takes(&schema, Meaning::Standard, &value.to_string());
            prop_assert_eq!(taken, Some(values.contains(&value)), "{} {}", schema, value);
        }
    }
}
