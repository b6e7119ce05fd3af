//! Marked literals in rules.

/// Begins a marked literal; neither rules nor terminals have this character.
const BEGIN: char = '\u{1}';
/// Ends a marked literal.
const END: char = '\u{2}';
/// Between a terminal and the text that ends it.
const UNTIL: char = '\u{3}';

/// A part of a rule that depends on the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Literal<'r> {
    /// Text that may hold special tokens.
    Text(&'r str),
    /// The texts of a terminal, up to the first time that a text follows, and that text.
    Until {
        /// Name of the terminal.
        terminal: &'r str,
        /// The text that ends it; it may hold special tokens.
        text: &'r str,
    },
}

/// `text` as a marked literal; empty for an empty text.
pub(in crate::schema) fn marked(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{BEGIN}{text}{END} ") }
}

/// The texts of `terminal` up to `text`, and `text`, as a marked literal.
pub(in crate::schema) fn until(terminal: &str, text: &str) -> String {
    format!("{BEGIN}{terminal}{UNTIL}{text}{END} ")
}

/// `rules` with each marked literal replaced by what `made` makes of it.
pub fn replace_literals(rules: &str, mut made: impl FnMut(Literal<'_>) -> String) -> String {
    let mut out = String::with_capacity(rules.len());
    let mut rest = rules;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (literal, behind) = after.split_once(END).unwrap_or((after, ""));
        out.push_str(before);
        out.push_str(&made(match literal.split_once(UNTIL) {
            Some((terminal, text)) => Literal::Until { terminal, text },
            None => Literal::Text(literal),
        }));
        rest = behind;
    }
    out + rest
}
