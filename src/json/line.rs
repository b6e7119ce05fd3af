//! JSON text on one line.

use std::borrow::Cow;

/// The JSON `text` without line ends and what indents its lines, neither of which a string can hold: `, ` stays between
/// items.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(['\n', '\r']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let (mut blanks, mut is_string, mut is_escaped) = (String::new(), false, false);
    for c in text.chars() {
        if !is_string && matches!(c, ' ' | '\t' | '\n' | '\r') {
            blanks.push(c);
            continue;
        }
        match blanks.contains(['\n', '\r']) {
            true if out.ends_with([',', ':']) => out.push(' '),
            true => {}
            false => out.push_str(&blanks),
        }
        blanks.clear();
        is_string ^= c == '"' && !is_escaped;
        is_escaped = is_string && c == '\\' && !is_escaped;
        out.push(c);
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_strings_are_kept() {
        for (text, line) in [
            ("{\"a\":1 , \"b\": 2}", "{\"a\":1 , \"b\": 2}"),
            (
                "{\n  \"a\": [\n    1,\n    \"x  y\\\"\\\\\"\n  ],\r\n\t\"b\":\n {},\n\"c\": [ ]\n}",
                "{\"a\": [1, \"x  y\\\"\\\\\"], \"b\": {}, \"c\": [ ]}",
            ),
            ("[\n]\n", "[]"),
            ("", ""),
        ] {
            assert_eq!(one_line(text), line);
        }
    }
}
