//! Parsed patterns, rewritten to the JSON encoding of the text that they match.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind};

/// One character of a string in any JSON encoding; a surrogate pair is one character.
const ANY_CHAR: &str = concat!(
    r#"(?:[^"\\\x00-\x1F]|\\(?:["\\\/bfnrt]|u(?:[0-9a-cefA-CEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}"#,
    r#"|[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})))"#
);

/// One character of a string, escaped only if JSON requires it.
const CANONICAL_CHAR: &str = r#"(?:[^"\\\x00-\x1F]|\\(?:["\\bfnrt]|u00[01][0-9a-fA-F]))"#;

/// One character of a string of Python's between single quotes, in any spelling that `repr` writes.
const PYTHON_CHAR: &str = concat!(
    r#"(?:[^'\\]|\\(?:[\\'"nrt]|x[0-9a-f]{2}|u[0-9a-ce-f][0-9a-f]{3}|ud[0-7][0-9a-f]{2}"#,
    r"|U000[1-9a-f][0-9a-f]{4}|U0010[0-9a-f]{4}))"
);

/// Spelling of strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// As in JSON.
    Json,
    /// As they are, without quotes.
    Raw,
    /// Between single quotes, with `\\'`, `\\\\` and `\\n`.
    Python,
}

impl Spelling {
    /// The quote around a string.
    pub(crate) fn quote(self) -> &'static str {
        match self {
            Spelling::Json => "\"",
            Spelling::Raw => "",
            Spelling::Python => "'",
        }
    }

    /// One character in any spelling that models write.
    pub(crate) fn any_char(self) -> &'static str {
        match self {
            Spelling::Json => ANY_CHAR,
            Spelling::Raw => "(?s:.)",
            Spelling::Python => PYTHON_CHAR,
        }
    }

    /// One character in its only spelling.
    pub(crate) fn canonical_char(self) -> &'static str {
        match self {
            Spelling::Json => CANONICAL_CHAR,
            Spelling::Raw => "(?s:.)",
            Spelling::Python => r"(?:[^'\\\n]|\\[\\'n])",
        }
    }

    /// Every string in its only spelling.
    pub(crate) fn any_canonical(self) -> String {
        let quote = self.quote();
        format!("{quote}{}*{quote}", self.canonical_char())
    }

    /// The characters that are escaped.
    fn escaped(self) -> ClassUnicode {
        let range = |start, end| ClassUnicodeRange::new(start, end);
        match self {
            Spelling::Json => ClassUnicode::new([range('\0', '\x1f'), range('"', '"'), range('\\', '\\')]),
            Spelling::Raw => ClassUnicode::empty(),
            Spelling::Python => ClassUnicode::new([range('\n', '\n'), range('\'', '\''), range('\\', '\\')]),
        }
    }
}

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
pub(super) fn print(hir: &Hir, spelling: Spelling, out: &mut String) -> Result<(), PatternError> {
    match hir.kind() {
        HirKind::Empty => {}
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).map_err(|_| PatternError::Syntax)?;
            text.chars().for_each(|c| print_char(c, spelling, out));
        }
        HirKind::Class(Class::Unicode(class)) => print_class(class, spelling, out),
        HirKind::Class(Class::Bytes(class)) => {
            let class = class.to_unicode_class().ok_or(PatternError::Syntax)?;
            print_class(&class, spelling, out);
        }
        HirKind::Look(_) => return Err(PatternError::Anchor),
        HirKind::Repetition(repetition) => {
            out.push_str("(?:");
            print(&repetition.sub, spelling, out)?;
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
            print(&group.sub, spelling, out)?;
            out.push(')');
        }
        HirKind::Concat(parts) => {
            for part in parts {
                print(part, spelling, out)?;
            }
        }
        HirKind::Alternation(branches) => {
            out.push_str("(?:");
            for (i, branch) in branches.iter().enumerate() {
                if i > 0 {
                    out.push('|');
                }
                print(branch, spelling, out)?;
            }
            out.push(')');
        }
    }
    Ok(())
}

/// Appends a regular expression for `c`, escaped as in a string, to `out`.
fn print_char(c: char, spelling: Spelling, out: &mut String) {
    match (spelling, c) {
        (Spelling::Python, '\'') => out.push_str(r"\\'"),
        (Spelling::Python, '\n') => out.push_str(r"\\n"),
        (Spelling::Python, '\\') => out.push_str(r"\\\\"),
        (Spelling::Python | Spelling::Raw, '\0'..='\x1f') => {
            out.push_str(&format!("\\x{{{:x}}}", c as u32));
        }
        (Spelling::Python | Spelling::Raw, _) => print_raw(c, out),
        (Spelling::Json, _) => print_in_json(c, out),
    }
}

/// Appends a regular expression for `c`, escaped as in a JSON string, to `out`.
fn print_in_json(c: char, out: &mut String) {
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

fn print_class(class: &ClassUnicode, spelling: Spelling, out: &mut String) {
    let special = spelling.escaped();
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
    branches.extend(escaped_members(&escaped, spelling));
    if branches.is_empty() {
        // The empty class: a raw control character is impossible in JSON, and no model writes it elsewhere.
        branches.push(r"\x00".to_string());
    }
    if branches.len() == 1 && !branches[0].contains('|') {
        out.push_str(&branches[0]);
    } else {
        out.push_str(&format!("(?:{})", branches.join("|")));
    }
}

/// Expressions for the escapes of the characters of a class that are escaped.
fn escaped_members(escaped: &ClassUnicode, spelling: Spelling) -> Vec<String> {
    let members: Vec<char> = escaped.ranges().iter().flat_map(|r| r.start()..=r.end()).collect();
    let mut branches = Vec::new();
    let all_controls = members.iter().filter(|c| **c < ' ').count() == 32;
    if all_controls {
        branches.push(r"\\(?:[bfnrt]|u00[01][0-9a-fA-F])".to_string());
    }
    for c in members.iter().filter(|c| **c >= ' ' || !all_controls) {
        let mut text = String::new();
        match spelling {
            Spelling::Json if *c < ' ' => print_control(*c as u8, &mut text),
            _ => print_char(*c, spelling, &mut text),
        }
        branches.push(text);
    }
    branches
}

fn print_in_class(c: char, out: &mut String) {
    if c.is_ascii_alphanumeric() || (c as u32 > 0x9f && c != '\u{2028}' && c != '\u{2029}') {
        out.push(c);
    } else {
        out.push_str(&format!("\\x{{{:x}}}", c as u32));
    }
}
