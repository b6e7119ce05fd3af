//! Literals in the grammar language.

use super::encode::Spelling;
use crate::json;
use std::collections::HashSet;

/// `text` as a JSON string, quotes included, in its only enumerated spelling, as a literal.
pub(crate) fn string_literal(text: &str) -> String {
    literal(&json::spaced(&text))
}

/// `text` as a string in its only enumerated spelling, as a literal.
pub(crate) fn spelled(text: &str, spelling: Spelling) -> String {
    match spelling {
        Spelling::Json => string_literal(text),
        Spelling::Raw => literal(text),
        Spelling::Python => {
            let text = text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n");
            literal(&format!("'{text}'"))
        }
    }
}

/// `text` as a string in a style, in each spelling that templates write: escaped beyond ASCII, or as Python's `repr`, which
/// has double quotes around a single one.
pub(crate) fn spellings(text: &str, spelling: Spelling, ascii: bool) -> Vec<String> {
    let mut out = vec![spelled(text, spelling)];
    match spelling {
        Spelling::Json if ascii && !text.is_ascii() => out.push(literal(&escaped_beyond_ascii(text))),
        Spelling::Python => {
            let raw = text.replace('\\', "\\\\");
            let lines = raw.replace('\n', "\\n");
            for text in [lines.replace('\r', "\\r").replace('\t', "\\t"), lines, raw] {
                out.push(literal(&format!("'{}'", text.replace('\'', "\\'"))));
                if text.contains('\'') && !text.contains('"') {
                    out.push(literal(&format!("\"{text}\"")));
                }
            }
        }
        _ => {}
    }
    let mut seen = HashSet::new();
    out.retain(|way| seen.insert(way.clone()));
    out
}

/// `text` as a JSON string, every character beyond ASCII as `\uXXXX`.
fn escaped_beyond_ascii(text: &str) -> String {
    let mut out = String::new();
    for c in json::spaced(&text).chars() {
        match c {
            c if c.is_ascii() => out.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out
}

/// `text` as a literal in the grammar language.
pub(crate) fn literal(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0'..='\x1f' | '\x7f' => out.push_str(&format!("\\u{:04x}", c as u32)),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}
