//! JSON that other programs and people wrote: read where its meaning is clear, else refused with the reason.

use super::{parse_exact as parse_wide, parse_unique};
use serde::de::Error as _;
use serde_json::Value;
use std::borrow::Cow;

/// Parses `text` as [`parse_unique`] does. Half a surrogate pair is read as U+FFFD, and the error for Python's
/// notation says so.
///
/// # Errors
/// The parser's error, with line and column.
pub fn parse(text: &str) -> Result<Value, serde_json::Error> {
    let text = whole_surrogates(text);
    parse_unique(&text).map_err(|error| explained(&text, error))
}

/// Parses `text` as [`parse`] does, and keeps wide numbers as they are written.
///
/// # Errors
/// As [`parse`].
pub fn parse_exact(text: &str) -> Result<Value, serde_json::Error> {
    let text = whole_surrogates(text);
    parse_wide(&text).map_err(|error| explained(&text, error))
}

/// `text` with `\ufffd` for each escape that is half a surrogate pair. Every offset stays as it is.
///
/// JavaScript writes such halves where it cuts a text inside a character; they stand for no character.
pub fn whole_surrogates(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut whole: Option<Vec<u8>> = None;
    let mut at = 0;
    while at + 1 < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        at += match (unit(bytes, at), unit(bytes, at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                whole.get_or_insert_with(|| bytes.to_vec())[at + 2..at + 6].copy_from_slice(b"fffd");
                6
            }
            _ => 2,
        };
    }
    match whole {
        Some(bytes) => Cow::Owned(String::from_utf8(bytes).expect("only ASCII was replaced, by ASCII")),
        None => Cow::Borrowed(text),
    }
}

/// The UTF-16 unit of the escape `\uXXXX` at `at`.
fn unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
}

/// `error` with the notation that stands at its place in `text`, if that is a well-known one that JSON has not.
pub fn explained(text: &str, error: serde_json::Error) -> serde_json::Error {
    let (line, column) = (error.line(), error.column());
    let found = text.split('\n').nth(line.saturating_sub(1)).and_then(|line| foreign(line, column));
    match found {
        Some(reason) if !error.is_data() => {
            serde_json::Error::custom(format!("{reason} at line {line} column {column}"))
        }
        _ => error,
    }
}

/// The notation at `column` of `line`, counted in bytes from 1, in words.
fn foreign(line: &str, column: usize) -> Option<&'static str> {
    let bytes = line.as_bytes();
    let end = column.min(bytes.len());
    // The parser stops inside a word or behind it.
    let start = bytes[..end].iter().rposition(|b| !b.is_ascii_alphabetic()).map_or(0, |at| at + 1);
    let starts = |word: &str| bytes[start.min(end.saturating_sub(1))..].starts_with(word.as_bytes());
    if bytes.get(end.wrapping_sub(1)) == Some(&b'\'') {
        return Some("single quotes are no JSON (Python's json.dumps writes double ones)");
    }
    if starts("None") || starts("True") || starts("False") {
        return Some("Python's None, True and False are no JSON (json.dumps writes null, true and false)");
    }
    if starts("undefined") || starts("NaN") || starts("Infinity") {
        return Some("JSON has no undefined, NaN or Infinity");
    }
    if bytes.get(end.wrapping_sub(1)..).is_some_and(|rest| rest.starts_with(b"//") || rest.starts_with(b"/*"))
    {
        return Some("JSON has no comments");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_surrogate_pair_is_no_character_and_a_whole_one_is() {
        for (text, expected) in [
            (r#""a\ud83d""#, "a\u{fffd}"),
            (r#""\ude00b""#, "\u{fffd}b"),
            (r#""\ud83d\ude00""#, "\u{1f600}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\\ud83d""#, "\\ud83d"),
            (r#""\\\ud83d\n""#, "\\\u{fffd}\n"),
        ] {
            assert_eq!(parse(text).unwrap(), Value::from(expected), "{text}");
        }
        assert!(matches!(whole_surrogates("\u{1f600}\\"), Cow::Borrowed(_)));
    }

    #[test]
    fn notations_of_other_languages_are_called_by_their_name() {
        for (text, reason) in [
            (
                "[{'name': 'f'}]",
                "single quotes are no JSON (Python's json.dumps writes double ones) at line 1 column 3",
            ),
            ("{\n \"a\": 'b'}", "single quotes are no JSON"),
            (r#"{"a": None}"#, "Python's None, True and False"),
            (r#"{"a": [True]}"#, "Python's None, True and False"),
            (r#"{"a": undefined}"#, "no undefined"),
            (r#"{"a": NaN}"#, "no undefined, NaN"),
            ("// tools\n[]", "no comments"),
            ("[1,]", "trailing comma at line 1 column 4"),
            (r#"{"a": 1, "a": 2}"#, "stands twice"),
            (r#"{"None": }"#, "expected value"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
