//! Patterns of JSON Schema as regular expressions over the *encoded* string, quotes included.
//!
//! A grammar sees `"a\"b"` where a pattern means `a"b`. So every character and class of the pattern is
//! rewritten to its JSON encoding: raw if JSON allows that, otherwise as an escape. A rewritten pattern only
//! accepts canonical strings ([`CANONICAL_CHAR`]). This makes complements (`not`, keys that match no pattern)
//! mean the same as for the decoded text.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look};

/// One character of a string in any JSON encoding; a surrogate pair is one character.
pub(crate) const ANY_CHAR: &str = concat!(
    r#"(?:[^"\\\x00-\x1F]|\\(?:["\\\/bfnrt]|u(?:[0-9a-cefA-CEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}"#,
    r#"|[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})))"#
);

/// One character of a string, escaped only if JSON requires it.
pub(crate) const CANONICAL_CHAR: &str = r#"(?:[^"\\\x00-\x1F]|\\(?:["\\bfnrt]|u00[01][0-9a-fA-F]))"#;

/// Most alternatives that anchors inside a pattern are expanded into.
const MAX_SEQUENCES: usize = 64;

/// The control characters with a short escape.
const SHORT_ESCAPES: [(u8, char); 5] = [(0x08, 'b'), (0x09, 't'), (0x0a, 'n'), (0x0c, 'f'), (0x0d, 'r')];

/// Reasons why a pattern cannot be enforced during generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsupported {
    /// Lookaround, a back-reference, or other syntax that the parser does not support.
    Syntax,
    /// An anchor or a word boundary inside the pattern.
    Anchor,
}

impl Unsupported {
    /// The reason for the report.
    pub(crate) fn note(self) -> &'static str {
        match self {
            Unsupported::Syntax => "lookaround, back-reference or unknown syntax",
            Unsupported::Anchor => "an anchor or word boundary inside the pattern",
        }
    }
}

/// The regular expression, without slashes, for the canonical JSON strings (quotes included) that contain a
/// match of `pattern`. The pattern is in ECMA 262 syntax and matches anywhere, as in the standard.
pub(crate) fn written(pattern: &str) -> Result<String, Unsupported> {
    let rust = jsonschema_regex::to_rust_regex(pattern).map_err(|()| Unsupported::Syntax)?;
    let hir = regex_syntax::ParserBuilder::new().build().parse(&rust).map_err(|_| Unsupported::Syntax)?;
    let mut branches = Vec::new();
    for sequence in sequences(&hir)? {
        let Some((body, start, end)) = strip_anchors(&sequence)? else { continue };
        let mut text = String::new();
        if !start {
            text.push_str(CANONICAL_CHAR);
            text.push('*');
        }
        for part in body {
            print(part, &mut text)?;
        }
        if !end {
            text.push_str(CANONICAL_CHAR);
            text.push('*');
        }
        branches.push(text);
    }
    if branches.is_empty() {
        // A character before the start of the text is impossible.
        branches.push(r"\x00".to_string());
    }
    Ok(format!("\"(?:{})\"", branches.join("|")))
}

/// Regular expressions for the canonical JSON strings that contain a match of `pattern`: those with `false`
/// must match, those with `true` must not. Lookaheads right after `^` become separate conditions on the whole
/// text.
pub(crate) fn conditions(pattern: &str) -> Result<Vec<(bool, String)>, Unsupported> {
    let Some((lookaheads, rest)) = leading_lookaheads(pattern) else {
        return Ok(vec![(false, written(pattern)?)]);
    };
    let rest = (false, written(&format!("^{rest}"))?);
    let lookaheads = lookaheads.into_iter().map(|(not, inner)| Ok((not, written(&format!("^(?:{inner})"))?)));
    std::iter::once(Ok(rest)).chain(lookaheads).collect()
}

/// The lookaheads after the `^` at the start of `pattern` (`true` for `(?!`), and the rest of it. `None` if
/// there are none, or if they do not apply to the whole pattern.
fn leading_lookaheads(pattern: &str) -> Option<(Vec<(bool, &str)>, &str)> {
    let mut rest = pattern.strip_prefix('^')?;
    let mut lookaheads = Vec::new();
    while let Some(after) = rest.strip_prefix("(?=").or(rest.strip_prefix("(?!")) {
        let end = group_end(after)?;
        lookaheads.push((rest.starts_with("(?!"), &after[..end]));
        rest = &after[end + 1..];
        if rest.starts_with(['*', '+', '?', '{']) {
            return None;
        }
    }
    // A top-level alternative would not be preceded by the lookaheads.
    (!lookaheads.is_empty() && group_end(&format!("{rest})")) == Some(rest.len()) && !has_bar(rest))
        .then_some((lookaheads, rest))
}

/// Offset of the parenthesis that ends the group whose inside starts `text`.
fn group_end(text: &str) -> Option<usize> {
    outline(text).find(|(_, depth, c)| *depth == 0 && *c == ')').map(|(at, ..)| at)
}

/// True if there is an alternative outside of all groups.
fn has_bar(text: &str) -> bool {
    outline(text).any(|(_, depth, c)| depth == 0 && c == '|')
}

/// The characters of an expression outside of classes and escapes, with their offsets and the number of
/// enclosing groups that were opened in `text`.
fn outline(text: &str) -> impl Iterator<Item = (usize, usize, char)> {
    let (mut escaped, mut in_class, mut depth) = (false, false, 0_usize);
    text.char_indices().filter_map(move |(at, c)| {
        match c {
            _ if escaped => {
                escaped = false;
                return None;
            }
            '\\' => {
                escaped = true;
                return None;
            }
            ']' if in_class => {
                in_class = false;
                return None;
            }
            _ if in_class => return None,
            '[' => {
                in_class = true;
                return None;
            }
            '(' => depth += 1,
            ')' if depth > 0 => {
                depth -= 1;
                return None;
            }
            _ => {}
        }
        Some((at, depth, c))
    })
}

/// The expression as alternatives of sequences in which anchors are separate parts: every alternation with an
/// anchor is expanded.
fn sequences(hir: &Hir) -> Result<Vec<Vec<&Hir>>, Unsupported> {
    if hir.properties().look_set().is_empty() {
        return Ok(vec![vec![hir]]);
    }
    match hir.kind() {
        HirKind::Look(_) => Ok(vec![vec![hir]]),
        HirKind::Capture(group) => sequences(&group.sub),
        HirKind::Alternation(branches) => {
            let mut out = Vec::new();
            for branch in branches {
                out.extend(sequences(branch)?);
            }
            if out.len() > MAX_SEQUENCES { Err(Unsupported::Anchor) } else { Ok(out) }
        }
        HirKind::Concat(parts) => {
            let mut out: Vec<Vec<&Hir>> = vec![Vec::new()];
            for part in parts {
                let next = sequences(part)?;
                if out.len() * next.len() > MAX_SEQUENCES {
                    return Err(Unsupported::Anchor);
                }
                out = out
                    .iter()
                    .flat_map(|before| next.iter().map(move |after| [before.as_slice(), after].concat()))
                    .collect();
            }
            Ok(out)
        }
        HirKind::Repetition(repetition) if repetition.max == Some(1) => {
            let mut out = sequences(&repetition.sub)?;
            if repetition.min == 0 {
                out.push(Vec::new());
            }
            Ok(out)
        }
        _ => Err(Unsupported::Anchor),
    }
}

/// The parts of a sequence; true if it is anchored at the start of the text; true if at the end.
type Anchored<'h> = (Vec<&'h Hir>, bool, bool);

/// A sequence without its anchors, and its anchoring at the start and the end of the text. `None` if an anchor
/// can never hold.
fn strip_anchors<'h>(sequence: &[&'h Hir]) -> Result<Option<Anchored<'h>>, Unsupported> {
    let is = |part: &Hir, look: Look| matches!(part.kind(), HirKind::Look(l) if *l == look);
    let (mut parts, mut start, mut end) = (sequence.to_vec(), false, false);
    // Parts beyond an anchor can only match the empty text.
    let empty = |part: &&Hir| part.properties().minimum_len() == Some(0);
    if let Some(at) = parts.iter().rposition(|p| is(p, Look::Start)) {
        if !parts[..at].iter().all(empty) {
            return Ok(None);
        }
        if parts[..at].iter().any(|p| is(p, Look::End)) {
            return Err(Unsupported::Anchor);
        }
        parts.drain(..=at);
        start = true;
    }
    if let Some(at) = parts.iter().position(|p| is(p, Look::End)) {
        if !parts[at..].iter().all(empty) {
            return Ok(None);
        }
        parts.truncate(at);
        end = true;
    }
    if parts.iter().any(|p| matches!(p.kind(), HirKind::Look(_))) {
        return Err(Unsupported::Anchor);
    }
    Ok(Some((parts, start, end)))
}

fn print(hir: &Hir, out: &mut String) -> Result<(), Unsupported> {
    match hir.kind() {
        HirKind::Empty => {}
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).map_err(|_| Unsupported::Syntax)?;
            text.chars().for_each(|c| print_char(c, out));
        }
        HirKind::Class(Class::Unicode(class)) => print_class(class, out),
        HirKind::Class(Class::Bytes(class)) => {
            let class = class.to_unicode_class().ok_or(Unsupported::Syntax)?;
            print_class(&class, out);
        }
        HirKind::Look(_) => return Err(Unsupported::Anchor),
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

/// `c` encoded for a JSON string, in regular expression syntax.
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
pub(crate) fn print_raw(c: char, out: &mut String) {
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

/// `text` as a JSON string, quotes included: the only form of an enumerated string.
pub(crate) fn printed(text: &str) -> String {
    serde_json::Value::String(text.to_string()).to_string()
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
