//! JSON as models write it: one space after `:` and `,`, and no repeated keys.

pub mod input;
pub mod near;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{
    Map, Value,
    ser::{Formatter, Serializer},
};
use std::{fmt, io};

mod line;
mod wide;

pub use line::one_line;
pub use wide::{
    Exact, first_wide_number, has_wide_literals, has_wide_numbers, is_wide, number_text, parse_exact,
    parse_last, parse_literal, round, rounded, same_number, shown, string_text, wide_number,
};

/// Serializes `value` with `": "` and `", "`, like Python's `json.dumps` with `ensure_ascii=False`.
pub fn spaced(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut out, Spaced))
        .expect("a JSON value is written to memory");
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// The JSON type of `value` with its article, for messages.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Parses `text`; an object with a repeated key is an error.
///
/// # Errors
/// The parser's error, with line and column.
pub fn parse_unique(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str::<Unique>(text).map(|unique| unique.0)
}

/// Decodes UTF-8, without the byte order mark that some editors add.
///
/// # Errors
/// [`NotUtf8`] with the offset of the first invalid byte.
pub fn text(bytes: &[u8]) -> Result<&str, NotUtf8> {
    let is_utf16 = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        // JSON starts with an ASCII character, so in UTF-16 every other byte is zero.
        [0, second, 0, fourth, ..] => *second != 0 && *fourth != 0,
        [first, 0, third, 0, ..] => *first != 0 && *third != 0,
        _ => false,
    };
    if is_utf16 {
        return Err(NotUtf8 { offset: 0, is_utf16 });
    }
    let text = std::str::from_utf8(bytes).map_err(|e| NotUtf8 { offset: e.valid_up_to(), is_utf16 })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The error for bytes that are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotUtf8 {
    /// Offset of the first invalid byte.
    pub offset: usize,
    /// True if the bytes look like UTF-16.
    pub is_utf16: bool,
}

impl fmt::Display for NotUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_utf16 {
            true => write!(f, "UTF-16, not UTF-8; save the file as UTF-8"),
            false => write!(
                f,
                "not UTF-8: the byte at offset {} fits no character; save the file as UTF-8",
                self.offset
            ),
        }
    }
}

/// Length of the JSON string at the start of `text`, quotes included; `None` if there is none or it is
/// incomplete.
pub fn string_length(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Length of the JSON object or array at the start of `text`; `None` if there is none or it is incomplete.
pub fn nested_length(text: &[u8]) -> Option<usize> {
    if !matches!(text.first()?, b'{' | b'[') {
        return None;
    }
    let (mut at, mut depth) = (0, 0);
    loop {
        match text.get(at)? {
            b'"' => {
                at += string_length(&text[at..])?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The part of an incomplete object up to the end of its last complete member; `None` if `text` does not start
/// with `{`.
///
/// A number is complete once something follows it. The text is assumed to be JSON without blanks but those after
/// colons and commas.
pub fn complete_members(text: &[u8]) -> Option<&[u8]> {
    let mut end = (text.first() == Some(&b'{')).then_some(1)?;
    let mut at = end;
    while let Some(member) = text.get(at..).and_then(member_length) {
        end = at + member;
        at = end + 1 + blanks(&text[end..], 1);
    }
    Some(&text[..end])
}

/// Number of spaces in `text` from `at` on.
fn blanks(text: &[u8], at: usize) -> usize {
    text.iter().skip(at).take_while(|byte| **byte == b' ').count()
}

fn member_length(text: &[u8]) -> Option<usize> {
    let key = string_length(text)?;
    let start = key + 1 + blanks(text, key + 1);
    let value = text.get(start..)?;
    let length = match value.first()? {
        b'"' => string_length(value)?,
        b'{' | b'[' => nested_length(value)?,
        _ if [&b"true"[..], b"false", b"null"].contains(&value) => value.len(),
        _ => value.iter().position(|byte| b",}".contains(byte))?,
    };
    Some(start + length)
}

/// The first integer in `text` that does not fit in 64 bits, and its byte offset; `text` is valid JSON.
///
/// `serde_json` would round it to a float, and the model would read another number.
pub fn wide_integer(text: &str) -> Option<(usize, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at += string_length(&bytes[at..])?,
            b'-' | b'0'..=b'9' => {
                let rest = &bytes[at..];
                let end =
                    rest.iter().position(|b| !matches!(b, b'-' | b'+' | b'.' | b'0'..=b'9' | b'e' | b'E'));
                let literal = &text[at..at + end.unwrap_or(rest.len())];
                let whole = literal.bytes().all(|b| b == b'-' || b.is_ascii_digit());
                if whole && literal.parse::<i64>().is_err() && literal.parse::<u64>().is_err() {
                    return Some((at, literal));
                }
                at += literal.len();
            }
            _ => at += 1,
        }
    }
    None
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

/// A value in which no object has a repeated key.
pub struct Unique(pub Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unique, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Unique)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        if wide::is_marked(value) {
            return Err(de::Error::custom("a string begins with the noncharacter U+10FFFF and a digit"));
        }
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Unique(value))) = entries.next_entry::<String, Unique>()? {
            if object.contains_key(&key) {
                return Err(de::Error::custom(format!("the key {key:?} stands twice in one object")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn separators_have_one_space_and_text_is_not_escaped() {
        let value = json!({"a": [1, "ü'<"], "b": {}, "c": []});
        assert_eq!(spaced(&value), r#"{"a": [1, "ü'<"], "b": {}, "c": []}"#);
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_at_any_depth() {
        assert!(parse_unique(r#"{"a": 1, "b": {"a": 2}}"#).is_ok());
        let error = parse_unique(r#"{"a": [{"b": 1, "b": 2}]}"#).unwrap_err();
        assert!(error.to_string().contains("\"b\" stands twice"));
        assert!(parse_unique("{} {}").is_err());
    }

    #[test]
    fn a_mark_in_front_is_no_text_and_utf_16_is_called_by_its_name() {
        assert_eq!(text(b"\xef\xbb\xbf[]"), Ok("[]"));
        assert_eq!(text(b"").unwrap(), "");
        assert_eq!(text(b"[\xff"), Err(NotUtf8 { offset: 1, is_utf16: false }));
        for utf16 in [&b"\xff\xfe[\0"[..], b"\xfe\xff\0[", b"[\0]\0", b"\0[\0]"] {
            assert_eq!(text(utf16), Err(NotUtf8 { offset: 0, is_utf16: true }), "{utf16:?}");
        }
    }

    #[test]
    fn a_nested_value_ends_at_its_own_bracket() {
        assert_eq!(nested_length(br#"{"a}": [{}, "]"]}, {"#), Some(17));
        assert_eq!(nested_length(b"[[], 1]]"), Some(7));
        assert_eq!(nested_length(b"{\"a\": [}"), None);
        assert_eq!(nested_length(b"1"), None);
    }

    #[test]
    fn a_member_is_complete_when_nothing_can_be_added_to_its_value() {
        for (text, complete) in [
            ("{", "{"),
            (r#"{"a"#, "{"),
            (r#"{"a": "x"#, "{"),
            (r#"{"a": "x""#, r#"{"a": "x""#),
            (r#"{"a": "x", "b": 1"#, r#"{"a": "x""#),
            (r#"{"a": "x", "b": 1,"#, r#"{"a": "x", "b": 1"#),
            (r#"{"b": tru"#, "{"),
            (r#"{"b": true"#, r#"{"b": true"#),
            (r#"{"b": null, "c": [1, {"d": 2}"#, r#"{"b": null"#),
            (r#"{"b": null, "c": [1, {"d": 2}], "e"#, r#"{"b": null, "c": [1, {"d": 2}]"#),
            (r#"{"b": 1}"#, r#"{"b": 1"#),
        ] {
            assert_eq!(complete_members(text.as_bytes()).unwrap(), complete.as_bytes(), "{text}");
        }
        assert_eq!(complete_members(b"["), None);
    }

    #[test]
    fn a_string_ends_at_its_own_quote() {
        assert_eq!(string_length(br#""a\"b" x"#), Some(6));
        assert_eq!(string_length(br#""a\"#), None);
        assert_eq!(string_length(b"a"), None);
    }
}
