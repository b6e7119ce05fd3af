//! Python's string functions for Rust's strings.

use std::collections::BTreeSet;

/// `str.isspace` of a character: Unicode's white space and the four ASCII separators.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// Decimal digits of the common scripts.
pub(super) fn is_decimal(c: char) -> bool {
    // Each block of decimal digits starts at a code point whose lower half ends in 0 or 6.
    const ZEROS: [char; 17] =
        ['0', '٠', '۰', '߀', '०', '০', '੦', '૦', '୦', '௦', '౦', '೦', '൦', '๐', '໐', '༠', '０'];
    ZEROS.iter().any(|&zero| (zero..=char::from_u32(zero as u32 + 9).unwrap_or(zero)).contains(&c))
}

/// Decimal digits, and superscripts and circled digits: `str.isdigit`.
pub(super) fn is_digit(c: char) -> bool {
    is_decimal(c)
        || matches!(c, '²' | '³' | '¹' | '⁰' | '⁴'..='⁹' | '₀'..='₉' | '①'..='⑨' | '⑴'..='⑼' | '⒈'..='⒐')
}

/// `str.islower`: at least one lower-case letter and no upper-case one.
pub(super) fn is_lower(s: &str) -> bool {
    s.chars().any(char::is_lowercase) && !s.chars().any(char::is_uppercase)
}

/// `str.isupper`: at least one upper-case letter and no lower-case one.
pub(super) fn is_upper(s: &str) -> bool {
    s.chars().any(char::is_uppercase) && !s.chars().any(char::is_lowercase)
}

/// `str.capitalize`.
pub(super) fn capitalize(s: &str) -> String {
    let mut chars = s.chars();
    match chars.next() {
        Some(first) => title_case(first) + &chars.as_str().to_lowercase(),
        None => String::new(),
    }
}

/// The character at the start of a word; `ß` becomes `Ss` and not `SS`.
fn title_case(c: char) -> String {
    let upper: String = c.to_uppercase().collect();
    let mut chars = upper.chars();
    match chars.next() {
        Some(first) if chars.as_str().is_empty() => first.to_string(),
        Some(first) => first.to_string() + &chars.as_str().to_lowercase(),
        None => String::new(),
    }
}

/// `str.title`: a capital after every character that is not a letter.
pub(super) fn title(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    let mut in_word = false;
    for c in s.chars() {
        if in_word {
            out.extend(c.to_lowercase());
        } else {
            out.push_str(&title_case(c));
        }
        in_word = c.is_alphabetic();
    }
    out
}

/// `str.strip` of white space or of the characters in `chars`, at the start, at the end, or both.
pub(super) fn strip<'a>(s: &'a str, chars: Option<&str>, start: bool, end: bool) -> &'a str {
    // A set, so that long texts with many characters to strip take no product of both.
    let set: Option<BTreeSet<char>> = chars.map(|chars| chars.chars().collect());
    let drop = |c: char| set.as_ref().map_or_else(|| is_space(c), |set| set.contains(&c));
    let s = if start { s.trim_start_matches(drop) } else { s };
    if end { s.trim_end_matches(drop) } else { s }
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Most lines that [`split_lines`] returns.
pub(super) fn line_count(s: &str) -> usize {
    s.chars().filter(|&c| is_line_end(c)).count() + 1
}

/// `str.splitlines`.
pub(super) fn split_lines(s: &str, keep_ends: bool) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = s;
    while let Some(at) = rest.find(is_line_end) {
        let end = if rest[at..].starts_with("\r\n") {
            at + 2
        } else {
            at + rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        lines.push(&rest[..if keep_ends { end } else { at }]);
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// `s.split(None, limit)`, or `rsplit`: splits at runs of white space. The unsplit rest keeps the white space
/// on its far side.
pub(super) fn split_blanks(s: &str, limit: usize, from_right: bool) -> Vec<&str> {
    let near = |rest| strip(rest, None, !from_right, from_right);
    let mut parts = Vec::new();
    let mut rest = near(s);
    while !rest.is_empty() {
        let cut = if from_right { rest.rfind(is_space) } else { rest.find(is_space) };
        match cut.filter(|_| parts.len() < limit) {
            None => {
                parts.push(rest);
                break;
            }
            Some(at) if from_right => {
                let after = at + rest[at..].chars().next().map_or(1, char::len_utf8);
                parts.push(&rest[after..]);
                rest = near(&rest[..at]);
            }
            Some(at) => {
                parts.push(&rest[..at]);
                rest = near(&rest[at..]);
            }
        }
    }
    if from_right {
        parts.reverse();
    }
    parts
}
