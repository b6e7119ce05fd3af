//! Literal text in llguidance's dialect of Lark, cut at the special tokens of a vocabulary.

use crate::schema::{
    self,
    notation::{Literal, replace_literals},
};
use std::{collections::HashMap, fmt::Write as _};

/// Lookup of a special token's id by its text; `None` if the vocabulary has no such token.
pub type Marks<'a> = &'a dyn Fn(&str) -> Option<u32>;

/// Most bytes of a special token's text.
const MAX_MARK: usize = 64;

/// `text` as literals and special tokens, followed by a space; empty for an empty text.
pub(super) fn cut(text: &str, marks: Marks<'_>) -> String {
    parts(text, marks)
        .into_iter()
        .map(|(part, mark)| match mark {
            Some(id) => format!("<[{id}]> "),
            None => schema::literal(part) + " ",
        })
        .collect()
}

/// As [`cut`], for a text that was written already: what looks like a special token may be one, or plain text.
pub(super) fn cut_either(text: &str, marks: Marks<'_>) -> String {
    parts(text, marks)
        .into_iter()
        .map(|(part, mark)| match mark {
            Some(id) => format!("({} | <[{id}]>) ", schema::literal(part)),
            None => schema::literal(part) + " ",
        })
        .collect()
}

/// `text` cut at special tokens, the longest first, each part with its id if it is one.
pub(super) fn parts<'t>(text: &'t str, marks: Marks<'_>) -> Vec<(&'t str, Option<u32>)> {
    let (mut out, mut plain, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        let Some((length, id)) = mark_at(&text[at..], marks) else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
            continue;
        };
        if plain < at {
            out.push((&text[plain..at], None));
        }
        out.push((&text[at..at + length], Some(id)));
        at += length;
        plain = at;
    }
    if plain < text.len() {
        out.push((&text[plain..], None));
    }
    out
}

/// Length and id of the longest special token at the start of `text`.
fn mark_at(text: &str, marks: Marks<'_>) -> Option<(usize, u32)> {
    let is_edge = |c: char| !c.is_alphanumeric() && !c.is_whitespace();
    text.chars().next().filter(|c| is_edge(*c))?;
    let ends = text.char_indices().skip(1).take_while(|(at, _)| *at < MAX_MARK).filter(|(_, c)| is_edge(*c));
    let ends: Vec<usize> = ends.map(|(at, c)| at + c.len_utf8()).collect();
    ends.into_iter().rev().find_map(|end| Some((end, marks(&text[..end])?)))
}

/// The expression `value` and the rules that it uses, with their marked literals as literals and special tokens.
pub(super) fn resolved(value: &str, rules: &str, marks: Marks<'_>) -> (String, String) {
    let mut resolver = Resolver { marks, made: HashMap::new(), rules: String::new() };
    let value = replace_literals(value, |literal| resolver.literal(literal));
    let rules = replace_literals(rules, |literal| resolver.literal(literal));
    (value, rules + &resolver.rules)
}

/// Makes rules for marked literals.
struct Resolver<'m> {
    marks: Marks<'m>,
    made: HashMap<(String, String), String>,
    rules: String,
}

impl Resolver<'_> {
    fn literal(&mut self, literal: Literal<'_>) -> String {
        let Literal::Until { terminal, text } = literal else {
            let Literal::Text(text) = literal else { return String::new() };
            return cut(text, self.marks);
        };
        let key = (terminal.to_owned(), text.to_owned());
        if let Some(made) = self.made.get(&key) {
            return made.clone();
        }
        let made = self.until(terminal, text);
        self.made.insert(key, made.clone());
        made
    }

    /// The texts of `terminal` up to `text`. A special token ends it by itself, so that the terminal takes all it can; in
    /// front of plain text it takes as little as it can.
    fn until(&mut self, terminal: &str, text: &str) -> String {
        let parts = parts(text, self.marks);
        let n = self.made.len();
        let Some(at) = parts.iter().position(|(_, id)| id.is_some()) else {
            let _ = writeln!(self.rules, "z{n}[lazy]: {terminal} {}", schema::literal(text));
            return format!("z{n} ");
        };
        let plain: String = parts[..at].iter().map(|(part, _)| *part).collect();
        let rest = cut(&text[plain.len()..], self.marks);
        if plain.is_empty() {
            return format!("{terminal} {rest}");
        }
        let _ = writeln!(self.rules, "Z{n}: {terminal} {}", schema::literal(&plain));
        format!("Z{n} {rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_the_longest_special_token() {
        let marks = |text: &str| match text {
            "<a>" => Some(1),
            "<a><b>" => Some(2),
            "[X]" => Some(3),
            _ => None,
        };
        assert_eq!(cut("x<a><b>\n[X]<c>", &marks), "\"x\" <[2]> \"\\u000a\" <[3]> \"<c>\" ");
        assert_eq!(cut_either("<a>!", &marks), "(\"<a>\" | <[1]>) \"!\" ");
        assert_eq!(cut("", &marks), "");
    }
}
