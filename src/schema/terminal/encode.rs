//! Parsed patterns, rewritten to the JSON encoding of the text that they match.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind};

/// One character of a string in any JSON encoding; a surrogate pair is one character.
pub(crate) const ANY_CHAR: &str = concat!(
    r#"(?:[^"\\\x00-\x1F]|\\(?:["\\\/bfnrt]|u(?:[0-9a-cefA-CEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}"#,
    r#"|[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})))"#
);

/// One character of a string, escaped only if JSON requires it.
pub(crate) const CANONICAL_CHAR: &str = r#"(?:[^"\\\x00-\x1F]|\\(?:["\\bfnrt]|u00[01][0-9a-fA-F]))"#;

/// Reasons why a pattern cannot be enforced during generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatternError {
    /// Lookaround, a back-reference, or other syntax that the parser does not support.
    Syntax,
    /// An anchor or a word boundary inside the pattern.
    Anchor,
}

impl PatternError {
    /// The reason for the report.
    pub(crate) fn note(self) -> &'static str {
        match self {
            PatternError::Syntax => "lookaround, back-reference or unknown syntax",
            PatternError::Anchor => "an anchor or word boundary inside the pattern",
        }
    }
}

/// The control characters with a short escape.
const SHORT_ESCAPES: [(u8, char); 5] = [(0x08, 'b'), (0x09, 't'), (0x0a, 'n'), (0x0c, 'f'), (0x0d, 'r')];

/// Appends the expression for the encoded text to `out`.
pub(super) fn print(hir: &Hir, out: &mut String) -> Result<(), PatternError> {
    match hir.kind() {
        HirKind::Empty => {}
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).map_err(|_| PatternError::Syntax)?;
            text.chars().for_each(|c| print_char(c, out));
        }
        HirKind::Class(Class::Unicode(class)) => print_class(class, out),
        HirKind::Class(Class::Bytes(class)) => {
            let class = class.to_unicode_class().ok_or(PatternError::Syntax)?;
            print_class(&class, out);
        }
        HirKind::Look(_) => return Err(PatternError::Anchor),
        HirKind::Repetition(repetition) => {
            out.push_str("(?:");
            print(&repetition.sub, out)?;
            out.push(')');
            match (repetition.min, repetition.max) {
                (0, None) => out.push('*'),
                (1, None) => out.push('+'),
                (0, Some(1)) => out.push('?'),
                (min, None) => out.push_str(&format!("{{{min},}}")),
                (min, Some(max)) => out.push_str(&format!("{{{min},{max}}}")),
            }
        }
        HirKind::Capture(group) => {
            out.push_str("(?:");
            print(&group.sub, out)?;
            out.push(')');
        }
        HirKind::Concat(parts) => {
            for part in parts {
                print(part, out)?;
            }
        }
        HirKind::Alternation(branches) => {
            out.push_str("(?:");
            for (i, branch) in branches.iter().enumerate() {
                if i > 0 {
                    out.push('|');
                }
                print(branch, out)?;
            }
            out.push(')');
        }
    }
    Ok(())
}

/// Appends a regular expression for `c`, escaped as in a JSON string, to `out`.
fn print_char(c: char, out: &mut String) {
    match c {
        '"' => out.push_str(r#"\\""#),
        '\\' => out.push_str(r"\\\\"),
        '\0'..='\x1f' => {
            out.push_str("(?:");
            print_control(c as u8, out);
            out.push(')');
        }
        _ => print_raw(c, out),
    }
}

/// All escapes of a control character, as an alternation without a group.
fn print_control(byte: u8, out: &mut String) {
    if let Some((_, letter)) = SHORT_ESCAPES.iter().find(|(b, _)| *b == byte) {
        out.push_str(r"\\");
        out.push(*letter);
        out.push('|');
    }
    out.push_str(r"\\u00");
    out.push(char::from(b'0' + (byte >> 4)));
    let low = byte & 15;
    if low < 10 {
        out.push(char::from(b'0' + low));
    } else {
        let (lower, upper) = (char::from(b'a' + low - 10), char::from(b'A' + low - 10));
        out.push_str(&format!("[{lower}{upper}]"));
    }
}

/// A literal character, escaped for the expression and for the slashes around it.
pub(super) fn print_raw(c: char, out: &mut String) {
    match c {
        '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
            out.push_str(&format!("\\x{{{:x}}}", c as u32));
        }
        '/' => out.push_str(r"\/"),
        _ if c.is_ascii_punctuation()
            && c != '_'
            && c != '"'
            && c != '\''
            && c != '<'
            && c != '>'
            && c != ','
            && c != ':'
            && c != ';'
            && c != '='
            && c != '@'
            && c != '`'
            && c != '%'
            && c != '!' =>
        {
            out.push('\\');
            out.push(c);
        }
        _ => out.push(c),
    }
}

fn print_class(class: &ClassUnicode, out: &mut String) {
    let special = ClassUnicode::new([
        ClassUnicodeRange::new('\0', '\x1f'),
        ClassUnicodeRange::new('"', '"'),
        ClassUnicodeRange::new('\\', '\\'),
    ]);
    let mut raw = class.clone();
    raw.difference(&special);
    let mut escaped = class.clone();
    escaped.intersect(&special);

    let mut branches = Vec::new();
    if !raw.ranges().is_empty() {
        let mut set = String::from("[");
        for range in raw.ranges() {
            print_in_class(range.start(), &mut set);
            if range.end() != range.start() {
                set.push('-');
                print_in_class(range.end(), &mut set);
            }
        }
        set.push(']');
        branches.push(set);
    }
    let members: Vec<char> = escaped.ranges().iter().flat_map(|r| r.start()..=r.end()).collect();
    if members.iter().filter(|c| **c < ' ').count() == 32 {
        branches.push(r"\\(?:[bfnrt]|u00[01][0-9a-fA-F])".to_string());
    } else {
        for c in members.iter().filter(|c| **c < ' ') {
            let mut text = String::new();
            print_control(*c as u8, &mut text);
            branches.push(text);
        }
    }
    for c in members.iter().filter(|c| **c >= ' ') {
        let mut text = String::new();
        print_char(*c, &mut text);
        branches.push(text);
    }
    if branches.is_empty() {
        // The empty class: a raw control character is impossible in a string.
        branches.push(r"\x00".to_string());
    }
    if branches.len() == 1 && !branches[0].contains('|') {
        out.push_str(&branches[0]);
    } else {
        out.push_str(&format!("(?:{})", branches.join("|")));
    }
}

fn print_in_class(c: char, out: &mut String) {
    if c.is_ascii_alphanumeric() || (c as u32 > 0x9f && c != '\u{2028}' && c != '\u{2029}') {
        out.push(c);
    } else {
        out.push_str(&format!("\\x{{{:x}}}", c as u32));
    }
}
