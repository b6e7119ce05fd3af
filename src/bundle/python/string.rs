//! String literals: prefixes, escapes, and f-strings without fields.

use super::{
    Problem,
    node::{shown, text},
};
use std::str::Chars;
use tree_sitter::Node;

/// The value of a `string` node. `empty_fields` counts the fields `{}` that were read as text.
///
/// # Errors
/// Bytes, fields, escapes that stand for no character.
pub(super) fn value(node: Node<'_>, source: &str, empty_fields: &mut Vec<usize>) -> Result<String, Problem> {
    let mut cursor = node.walk();
    let children: Vec<Node<'_>> = node.children(&mut cursor).collect();
    let (Some(start), Some(end)) = (children.first(), children.last()) else {
        return Err(Problem::at(node, "is a string without an end"));
    };
    let prefix = text(*start, source).trim_end_matches(['"', '\'']).to_ascii_lowercase();
    if prefix.contains('b') {
        return Err(Problem::at(node, "is bytes, not text; take the `b` before the quotes away"));
    }
    if prefix.contains('t') {
        return Err(Problem::at(node, "is a template string, which only running the file would fill in"));
    }
    let form = Form { raw: prefix.contains('r'), formatted: prefix.contains('f') };
    let fields: Vec<Node<'_>> =
        children.iter().copied().filter(|child| child.kind() == "interpolation").collect();
    if let Some(field) = fields.iter().find(|field| !is_empty_field(**field, source)) {
        let shown = shown(*field, source);
        return Err(Problem::at(
            *field,
            format!("is an f-string with the field `{}`, which only running the file would fill in", shown),
        ));
    }
    empty_fields.extend(fields.iter().map(|field| super::node::line(*field)));
    let mut out = String::new();
    let mut at = start.end_byte();
    for field in &fields {
        decode(node, source.get(at..field.start_byte()).unwrap_or_default(), form, &mut out)?;
        out.push_str(text(*field, source));
        at = field.end_byte();
    }
    decode(node, source.get(at..end.start_byte().max(at)).unwrap_or_default(), form, &mut out)?;
    // This character marks wide numbers in JSON values; no text begins with it.
    if out.starts_with('\u{10ffff}') {
        return Err(Problem::at(node, "begins with U+10FFFF, which is no character"));
    }
    Ok(out)
}

/// True for the field `{}` of an f-string.
pub(super) fn is_empty_field(node: Node<'_>, source: &str) -> bool {
    node.kind() == "interpolation"
        && text(node, source)
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .is_some_and(|inside| inside.trim().is_empty())
}

/// True if the literal is an f-string that is filled in when the file runs.
pub(super) fn has_fields(node: Node<'_>, source: &str) -> bool {
    let mut cursor = node.walk();
    node.children(&mut cursor).any(|child| child.kind() == "interpolation" && !is_empty_field(child, source))
}

/// The form of the text between the quotes.
#[derive(Clone, Copy)]
struct Form {
    raw: bool,
    formatted: bool,
}

/// Appends what `written` stands for.
fn decode(node: Node<'_>, written: &str, form: Form, out: &mut String) -> Result<(), Problem> {
    let mut chars = written.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if !form.raw => escape(&mut chars, out).map_err(|text| Problem::at(node, text))?,
            '{' | '}' if form.formatted => {
                // Doubled braces stand for one.
                if chars.as_str().starts_with(c) {
                    chars.next();
                }
                out.push(c);
            }
            c => out.push(c),
        }
    }
    Ok(())
}

/// Reads the escape behind a backslash, by "String and Bytes literals" of the Python Language Reference.
fn escape(chars: &mut Chars<'_>, out: &mut String) -> Result<(), String> {
    let Some(c) = chars.next() else { return Err("ends with a backslash".into()) };
    let simple = match c {
        '\n' => return Ok(()),
        '\\' | '\'' | '"' => c,
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'x' => return unicode(chars, 2, out),
        'u' => return unicode(chars, 4, out),
        'U' => return unicode(chars, 8, out),
        'N' => return Err("names a character by `\\N{...}`; write the character itself".into()),
        '0'..='7' => {
            let mut number = c.to_digit(8).unwrap_or_default();
            for _ in 0..2 {
                let Some(digit) = chars.clone().next().and_then(|c| c.to_digit(8)) else { break };
                chars.next();
                number = number * 8 + digit;
            }
            char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        // Python keeps the backslash of an escape that it does not know.
        other => {
            out.push('\\');
            other
        }
    };
    out.push(simple);
    Ok(())
}

/// Reads `digits` hexadecimal digits; two surrogates in a row make one character.
fn unicode(chars: &mut Chars<'_>, digits: usize, out: &mut String) -> Result<(), String> {
    let number = hex(chars, digits).ok_or("has an escape with too few digits")?;
    if let Some(c) = char::from_u32(number) {
        out.push(c);
        return Ok(());
    }
    let half = || "has an escape that stands for no character, such as half of a surrogate pair".to_owned();
    let low = chars.as_str().strip_prefix("\\u").and_then(|rest| hex(&mut rest.chars(), 4));
    match (number, low) {
        (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
            // `\uXXXX`
            chars.nth(5);
            let code = 0x10000 + ((number - 0xd800) << 10) + (low - 0xdc00);
            out.push(char::from_u32(code).ok_or_else(half)?);
            Ok(())
        }
        _ => Err(half()),
    }
}

fn hex(chars: &mut Chars<'_>, digits: usize) -> Option<u32> {
    (0..digits).try_fold(0u32, |number, _| Some((number << 4) | chars.next()?.to_digit(16)?))
}
