//! Words of values, and values in texts whose type is not written.

use super::{
    Style,
    style_reader::{StyleReader, Taken},
};
use crate::schema::value::types;

/// The spellings of null that models write.
pub(in crate::schema) const NULLS: &[&str] = &["None", "null"];
/// The spellings of true and false that models write.
pub(in crate::schema) const TRUTHS: &[(bool, &str)] =
    &[(true, "True"), (false, "False"), (true, "true"), (false, "false")];
/// Null in JSON.
pub(super) const JSON_NULLS: &[&str] = &["null"];
/// Null as templates with bare keys and models write it.
pub(super) const BARE_NULLS: &[&str] = &["null", "None"];
/// True and false in JSON.
pub(super) const JSON_TRUTHS: &[(bool, &str)] = &[(true, "true"), (false, "false")];

/// JSON's word for a word of Python's or JSON's.
pub(super) fn json_word(word: &[u8]) -> Option<&'static str> {
    match word {
        b"None" | b"null" => Some("null"),
        b"True" | b"true" => Some("true"),
        b"False" | b"false" => Some("false"),
        _ => None,
    }
}

/// The value in `text` as JSON text, if it reads as one of `allowed` types: JSON first, then a string. `style`: that of
/// arrays and objects.
pub(in crate::schema) fn untyped(text: &str, allowed: u8, style: &Style) -> Option<String> {
    if let Some(word) = json_word(text.as_bytes()) {
        let kind = if word == "null" { types::NULL } else { types::BOOLEAN };
        if allowed & kind != 0 {
            return Some(word.to_owned());
        }
    }
    let kind = match text.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => types::INTEGER | types::FRACTION,
        Some(b'[') => types::ARRAY,
        Some(b'{') => types::OBJECT,
        _ => 0,
    };
    if allowed & kind != 0
        && let Some(value) = styled(text, style)
    {
        return Some(value);
    }
    (allowed & types::STRING != 0).then(|| crate::json::spaced(&text))
}

/// The value that is all of `text` as JSON text.
fn styled(text: &str, style: &Style) -> Option<String> {
    let (mut reader, mut out) = (StyleReader::new(), Vec::new());
    for byte in text.bytes() {
        if reader.feed(byte, style, &mut out) != Taken::Yes {
            return None;
        }
    }
    let value = reader.end(&mut out).then_some(out)?;
    let value = String::from_utf8(value).ok()?;
    serde_json::from_str::<serde::de::IgnoredAny>(&value).ok().map(|_| value)
}
