//! Numbers as they are written, where a machine number would change them.
//!
//! `serde_json` keeps 64-bit integers and doubles. A *wide* number is one that it would round: an integer past 64
//! bits, or more digits than a double has. In a value of [`parse_exact`] a wide number is a string of [`MARK`] and the
//! literal. Parsed text has no other string that begins so: both parsers refuse it.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::{Number, Value, value::RawValue};

use super::{parse_unique, string_length};

/// The first character of the string that stands for a wide number: a noncharacter of Unicode.
const MARK: char = '\u{10ffff}';

/// Parses `text` and keeps wide numbers as they are written; an object with a repeated key is an error.
///
/// # Errors
/// The parser's error, with line and column.
pub fn parse_exact(text: &str) -> Result<Value, serde_json::Error> {
    let mut value = parse_unique(text)?;
    let literals = number_literals(text);
    if literals.iter().any(|literal| is_wide(literal)) {
        // A value has its numbers in the order of the text.
        restore(&mut value, &mut literals.into_iter(), is_wide);
    }
    Ok(value)
}

/// Parses `text` as [`parse_exact`] does where it has wide numbers; in other texts the last one of repeated keys counts.
///
/// # Errors
/// The parser's error, with line and column.
pub fn parse_last(text: &str) -> Result<Value, serde_json::Error> {
    let value: Value = serde_json::from_str(text)?;
    // `parse_exact` refuses strings that would be taken for numbers.
    if has_wide_literals(text) || has_wide_numbers(&value) { parse_exact(text) } else { Ok(value) }
}

/// Parses `text` and keeps every number as it is written, as [`parse_exact`] keeps wide ones.
///
/// # Errors
/// As [`parse_exact`].
pub fn parse_literal(text: &str) -> Result<Value, serde_json::Error> {
    let mut value = parse_unique(text)?;
    restore(&mut value, &mut number_literals(text).into_iter(), |_| true);
    Ok(value)
}

/// The literal of a wide number.
pub fn wide_number(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => literal(text),
        _ => None,
    }
}

/// The literal of any number.
pub fn number_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => wide_number(value).map(Cow::Borrowed),
    }
}

/// The text of a string; `None` for a wide number.
pub fn string_text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| literal(text).is_none())
}

/// True if there is a wide number in `value`.
pub fn has_wide_numbers(value: &Value) -> bool {
    first_wide_number(value).is_some()
}

/// The literal of the first wide number in `value`.
pub fn first_wide_number(value: &Value) -> Option<&str> {
    match value {
        Value::Array(items) => items.iter().find_map(first_wide_number),
        Value::Object(members) => members.values().find_map(first_wide_number),
        _ => wide_number(value),
    }
}

/// True if two literals are the same number, however they are written.
pub fn same_number(a: &str, b: &str) -> bool {
    match (significant(a), significant(b)) {
        (Some(x), Some(y)) => x == y && (x.0.is_empty() || a.starts_with('-') == b.starts_with('-')),
        _ => a == b,
    }
}

/// True if `text`, which is valid JSON, has a number that would not be kept as it is written.
pub fn has_wide_literals(text: &str) -> bool {
    number_literals(text).into_iter().any(is_wide)
}

/// `value` with doubles instead of wide numbers.
pub fn rounded(mut value: Value) -> Value {
    round(&mut value);
    value
}

/// Rounds the wide numbers in `value` to doubles.
pub fn round(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(round),
        Value::Object(members) => members.values_mut().for_each(round),
        _ => {
            if let Some(literal) = wide_number(value) {
                let double = literal.parse().unwrap_or(f64::MAX).clamp(f64::MIN, f64::MAX);
                *value = Number::from_f64(double).map_or(Value::Null, Value::Number);
            }
        }
    }
}

/// `value` in words for a message: wide numbers as they are written, the rest as JSON.
pub fn shown(value: &Value) -> Cow<'_, str> {
    match wide_number(value) {
        Some(literal) => Cow::Borrowed(literal),
        None if has_wide_numbers(value) => Cow::Owned(value.to_string().replace(MARK, "")),
        None => Cow::Owned(value.to_string()),
    }
}

/// A value that is serialized with its wide numbers as they are written, so that [`parse_exact`] reads the same value.
pub struct Exact<'v>(pub &'v Value);

impl Serialize for Exact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => serializer.collect_seq(items.iter().map(Exact)),
            Value::Object(members) => {
                serializer.collect_map(members.iter().map(|(key, value)| (key, Exact(value))))
            }
            value => match wide_number(value).map(|literal| RawValue::from_string(literal.to_owned())) {
                Some(Ok(literal)) => literal.serialize(serializer),
                _ => value.serialize(serializer),
            },
        }
    }
}

/// True if a string would be taken for a wide number.
pub(super) fn is_marked(text: &str) -> bool {
    literal(text).is_some()
}

fn literal(text: &str) -> Option<&str> {
    text.strip_prefix(MARK).filter(|rest| rest.starts_with(|c: char| c == '-' || c.is_ascii_digit()))
}

/// Writes wide numbers back over their rounded values.
fn restore<'t>(value: &mut Value, literals: &mut impl Iterator<Item = &'t str>, keeps: fn(&str) -> bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| restore(item, literals, keeps)),
        Value::Object(members) => {
            members.values_mut().for_each(|member| restore(member, literals, keeps));
        }
        Value::Number(_) => {
            if let Some(literal) = literals.next().filter(|literal| keeps(literal)) {
                *value = Value::String(format!("{MARK}{literal}"));
            }
        }
        _ => {}
    }
}

/// The literals of the numbers in `text`, which is valid JSON.
fn number_literals(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let (mut literals, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        at += match bytes[at] {
            b'"' => string_length(&bytes[at..]).unwrap_or(bytes.len() - at),
            b'-' | b'0'..=b'9' => {
                let rest = &bytes[at..];
                let belongs = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'0'..=b'9' | b'e' | b'E');
                let length = rest.iter().position(|byte| !belongs(byte)).unwrap_or(rest.len());
                literals.push(&text[at..at + length]);
                length
            }
            _ => 1,
        };
    }
    literals
}

/// True if `serde_json` would change the number `literal`.
pub fn is_wide(literal: &str) -> bool {
    if literal.parse::<i64>().is_ok() || literal.parse::<u64>().is_ok() {
        return false;
    }
    let Ok(double) = literal.parse::<f64>() else { return true };
    !literal.contains(['.', 'e', 'E']) || significant(literal) != significant(&format!("{double:e}"))
}

/// The digits of a number without zeros at either end, and the power of ten of the last one.
fn significant(literal: &str) -> Option<(String, i64)> {
    let unsigned = literal.trim_start_matches('-');
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{integer}{fraction}");
    let kept = digits.trim_end_matches('0');
    let zeros = (digits.len() - kept.len()) as i64 - fraction.len() as i64;
    let power = exponent.parse::<i64>().ok()?.checked_add(zeros)?;
    let kept = kept.trim_start_matches('0').to_owned();
    let power = if kept.is_empty() { 0 } else { power };
    Some((kept, power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_a_double_would_round_are_kept_as_they_are_written() {
        for (text, wide) in [
            ("18446744073709551615", false),
            ("18446744073709551616", true),
            ("-9223372036854775809", true),
            ("1e20", false),
            ("100000000000000000000", true),
            ("0.30000000000000004", false),
            ("0.300000000000000044", true),
            ("1.0", false),
            ("1.50", false),
            ("0.0", false),
            ("-0", false),
            ("12345678901234567890.5", true),
        ] {
            let value = parse_exact(text).unwrap();
            assert_eq!(wide_number(&value).is_some(), wide, "{text}");
            if wide {
                assert_eq!(number_text(&value).unwrap(), text);
                assert!(rounded(value).is_number());
            }
        }
    }

    #[test]
    fn literals_are_the_same_number_whatever_their_digits_look_like() {
        for (a, b, same) in [
            ("12345678901234567890123.0", "12345678901234567890123", true),
            ("0.300000000000000044", "3.00000000000000044E-1", true),
            ("0.300000000000000044", "0.30000000000000004", false),
            ("-18446744073709551616", "18446744073709551616", false),
            ("-0.0", "0e5", true),
            ("1e9223372036854775807", "1.5e-9223372036854775808", false),
            ("1e99999999999999999999", "1e99999999999999999999", true),
            ("1e99999999999999999999", "1e99999999999999999998", false),
        ] {
            assert_eq!((same_number(a, b), same_number(b, a)), (same, same), "{a} {b}");
        }
    }

    #[test]
    fn of_repeated_keys_the_last_counts_where_no_number_is_wide() {
        assert_eq!(parse_last(r#"{"a": 1, "a": 2}"#).unwrap()["a"], 2);
        assert_eq!(
            wide_number(&parse_last(r#"{"a": 18446744073709551616}"#).unwrap()["a"]),
            Some("18446744073709551616")
        );
        assert!(parse_last(r#"{"a": 1, "a": 18446744073709551616}"#).is_err());
        assert!(parse_last("\"\u{10ffff}5\"").is_err());
    }

    #[test]
    fn a_value_that_is_written_exactly_is_read_as_the_same_value() {
        let text =
            r#"{"a":[18446744073709551617,-1.50e0,"x\"y",null],"b":{"c":0.300000000000000044,"d":true}}"#;
        let value = parse_exact(text).unwrap();
        let written = serde_json::to_string(&Exact(&value)).unwrap();
        assert_eq!(written, text.replace("-1.50e0", "-1.5"));
        assert_eq!(parse_exact(&written).unwrap(), value);
    }

    #[test]
    fn wide_numbers_are_found_at_any_depth_and_only_outside_of_strings() {
        let text =
            r#"{"a\"9": [1, 18446744073709551617, "18446744073709551617"], "b": {"c": -3, "d": 1e-400}}"#;
        let value = parse_exact(text).unwrap();
        assert_eq!(wide_number(&value["a\"9"][1]), Some("18446744073709551617"));
        assert_eq!(string_text(&value["a\"9"][2]), Some("18446744073709551617"));
        assert_eq!((value["b"]["c"].as_i64(), wide_number(&value["b"]["d"])), (Some(-3), Some("1e-400")));
        assert_eq!(shown(&value["a\"9"]), r#"[1,"18446744073709551617","18446744073709551617"]"#);
    }

    #[test]
    fn no_string_of_a_text_is_taken_for_a_number() {
        for text in ["\"\u{10ffff}5\"", r#"{"a": ["\udbff\udfff-5"]}"#] {
            assert!(parse_exact(text).is_err() && parse_unique(text).is_err(), "{text}");
        }
        assert!(parse_exact("\"\u{10ffff}a\"").is_ok());
    }
}
