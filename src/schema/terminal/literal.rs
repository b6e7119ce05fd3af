//! Literals in the grammar language.

use super::encode::Spelling;
use crate::json;

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
