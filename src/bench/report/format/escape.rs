//! Texts escaped for HTML and SVG.

/// Escapes `text` for the inside of an element or an attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // HTML forbids control characters, and models may write some.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Escapes a sentence, with the text between backticks as `<code>`.
pub(super) fn with_code(text: &str) -> String {
    let piece = |(i, piece): (usize, &str)| match i % 2 {
        0 => escaped(piece),
        _ => format!("<code>{}</code>", escaped(piece)),
    };
    if text.matches('`').count() % 2 == 1 {
        return escaped(text);
    }
    text.split('`').enumerate().map(piece).collect()
}
