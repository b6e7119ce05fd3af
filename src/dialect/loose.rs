//! Calls in a text that nothing enforced: members in the format, but for blanks between the tags and a missing end.

use super::{Arguments, Dialect, Encoding, Members, Piece, head};
use crate::tools::{Error, ToolCall, ToolSet};
use regex::Regex;
use std::sync::LazyLock;

/// Blanks between two tags.
static BETWEEN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r">\s+<").expect("the expression is valid"));
/// Most bytes of the end of a call that may be missing.
const MAX_MISSING: usize = 256;

impl Dialect {
    /// Parses the single call in `text`, as [`read_call_with`](Self::read_call_with) does. What that does not take is read once more
    /// as models write it that nothing holds: with other blanks between tags and around values, and without the end, or a
    /// part of it, behind a complete value. What it takes is never read otherwise.
    ///
    /// # Errors
    /// As [`read_call_with`](Self::read_call_with).
    pub fn read_call_loosely(&self, text: &str, tools: Option<&ToolSet>) -> Result<ToolCall, Error> {
        let error = match self.read_call_with(text, tools) {
            Ok(call) => return Ok(call),
            Err(error) => error,
        };
        let Arguments::Members(members) = &self.arguments else { return Err(error) };
        let loose = self.loosened(members);
        if loose.check().is_err() {
            return Err(error);
        }
        let text = tightened(text.trim(), &self.tags(members));
        let end = loose.end_text();
        // The shortest missing end first. Behind a digit, more digits may be missing, too.
        let is_number = text.ends_with(|c: char| c.is_ascii_digit() || c == '.');
        let missing =
            end.char_indices().rev().filter(|(at, _)| *at > 0 || !is_number).map(|(at, _)| &end[at..]);
        std::iter::once("")
            .chain(missing.take(MAX_MISSING))
            .find_map(|missing| loose.read_call_with(&format!("{text}{missing}"), tools).ok())
            .ok_or(error)
    }

    /// The format without blanks between its tags and around its values.
    fn loosened(&self, members: &Members) -> Dialect {
        let pieces = |pieces: &[Piece]| -> Vec<Piece> {
            let piece = |piece: &Piece| match piece {
                Piece::Text(text) => Piece::Text(tight(text)),
                other => other.clone(),
            };
            pieces.iter().map(piece).filter(|piece| *piece != Piece::Text(String::new())).collect()
        };
        let mut members = members.clone();
        for text in [&mut members.open, &mut members.separator, &mut members.close] {
            *text = tight(text);
        }
        let values = &mut members.values;
        for form in [
            &mut values.string,
            &mut values.number,
            &mut values.boolean,
            &mut values.null,
            &mut values.array,
            &mut values.object,
        ] {
            (form.before, form.after) = (pieces(&form.before), pieces(&form.after));
            if form.encoding == Encoding::Raw {
                form.encoding = Encoding::RawTrimmed;
            }
        }
        Dialect {
            first: pieces(&self.first),
            next: self.next.as_ref().map(|next| pieces(next)),
            last: pieces(&self.last),
            also_first: self.also_first.iter().map(|first| pieces(first)).collect(),
            arguments: Arguments::Members(members),
            ..self.clone()
        }
    }

    /// The text behind the last value.
    fn end_text(&self) -> String {
        let close = if let Arguments::Members(members) = &self.arguments { &*members.close } else { "" };
        format!("{close}{}", head::text(&self.last, "", 0))
    }

    /// The tags of the format, and the beginnings of those that hold a name or a key.
    fn tags(&self, members: &Members) -> Vec<String> {
        let values = &members.values;
        let around = self.first.iter().chain(self.next.iter().flatten()).chain(&self.last);
        let around =
            around.chain(&values.string.before).chain(&values.string.after).filter_map(head::literal);
        let texts = around.chain([&*members.open, &*members.separator, &*members.close]);
        let mut tags: Vec<String> = Vec::new();
        for tag in texts.flat_map(|text| text.match_indices('<').map(move |(at, _)| &text[at..])) {
            let end = tag.find('>').map_or(tag.len(), |end| end + 1);
            let tag = tag[..end].trim();
            if tag.len() > 2 && !tag[1..].contains('<') && !tags.iter().any(|known| known == tag) {
                tags.push(tag.to_owned());
            }
        }
        tags
    }
}

/// `text` without the blanks at its ends and between its tags, if it has tags or nothing but blanks.
fn tight(text: &str) -> String {
    if !text.contains(['<', '>']) && !text.trim().is_empty() {
        return text.to_owned();
    }
    BETWEEN.replace_all(text.trim(), "><").into_owned()
}

/// `text` without blanks before `tags`, and behind those that are complete.
fn tightened(text: &str, tags: &[String]) -> String {
    let mut out = text.to_owned();
    for tag in tags {
        let tag_of = regex::escape(tag);
        let blanks = if tag.ends_with('>') { r"\s*" } else { "" };
        let Ok(around) = Regex::new(&format!(r"\s*{tag_of}{blanks}")) else { continue };
        out = around.replace_all(&out, regex::NoExpand(tag)).into_owned();
    }
    out
}
