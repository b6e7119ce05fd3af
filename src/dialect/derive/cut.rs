//! Beginnings and ends of turns in rendered text.

use regex::Regex;
use std::{ops::Range, sync::LazyLock};

/// The forms of special tokens in templates.
static MARK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"<[^<>\s]{1,60}>|\[/?[A-Z_]+\]").expect("the expression is valid"));

/// The texts in `text` that look like special tokens or tags.
pub(super) fn marks_in(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    MARK.find_iter(text).map(|found| found.range())
}

/// Number of bytes that `a` and `b` begin with alike, in whole characters.
pub(super) fn common(a: &str, b: &str) -> usize {
    let same = a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y);
    same.map_or(a.len().min(b.len()), |((at, _), _)| at)
}

/// Number of bytes that `a` and `b` end with alike, in whole characters.
pub(super) fn common_end(a: &str, b: &str) -> usize {
    a.chars().rev().zip(b.chars().rev()).take_while(|(x, y)| x == y).map(|(x, _)| x.len_utf8()).sum()
}

/// The offset at which `text` leaves `prompt`; not inside a mark of it.
pub(super) fn parted(prompt: &str, text: &str) -> usize {
    let at = common(prompt, text);
    if at == prompt.len() {
        return at;
    }
    marks_in(prompt).find(|mark| mark.start < at && at < mark.end).map_or(at, |mark| mark.start)
}

/// The end of a turn of a plain chat.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    texts: Vec<String>,
    /// The text at the end of an answer, the line end behind it included.
    pub end: String,
    /// All that stands behind an answer, whatever follows.
    behind: String,
}

impl Marks {
    /// By what stands behind an answer at the end of a conversation, and between it and the next question.
    pub fn new(alone: Option<&str>, followed: Option<&str>) -> Marks {
        let between = followed.or(alone).unwrap_or_default();
        let mut texts: Vec<String> = marks_in(between).map(|mark| between[mark].to_owned()).collect();
        let end = match (alone, followed) {
            (Some(alone), Some(followed)) => &followed[..common(alone, followed)],
            _ => "",
        };
        // Blanks before its first mark are the turn's.
        let behind = end.trim_start().to_owned();
        if texts.is_empty() && !end.trim().is_empty() {
            texts.push(end.trim().to_owned());
        }
        // A template that always asks for the next turn has its first mark behind the answer.
        let end = match marks_in(end).next() {
            Some(first) => {
                let blank = |c: char| c == '\n' || c == ' ';
                &end[..end.len() - end[first.end..].trim_start_matches(blank).len()]
            }
            None => end,
        };
        Marks { end: end.to_owned(), behind, texts }
    }

    /// The first of them in `turn` from `from` on that occurs neither before nor in `front`, or all that is behind answers.
    pub fn cut(&self, turn: &str, from: usize, front: &str) -> Option<usize> {
        let begins = |mark: &str| front.contains(mark) || turn[..from].contains(mark);
        let found = self.texts.iter().filter(|mark| !begins(mark));
        let behind = Some(&self.behind).filter(|behind| marks_in(behind).next().is_some());
        found.chain(behind).filter_map(|mark| turn[from..].find(mark.as_str())).min().map(|at| from + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_does_not_begin_inside_a_mark() {
        assert_eq!(parted("<|im_start|>a\n<think>", "<|im_start|>a\n<tool_call>"), 14);
        assert_eq!(parted("<a>\n", "<a>\nx"), 4);
        assert_eq!(parted("", "x"), 0);
    }

    #[test]
    fn a_turn_is_cut_at_the_first_mark_behind_its_last_word() {
        let marks = Marks::new(Some("<|end|>\n"), Some("<|end|>\n<|user|>\n"));
        assert_eq!(marks.end, "<|end|>\n");
        let turn = "<|end|>call f</f><|end|>\n<|user|>";
        assert_eq!(marks.cut(turn, 13, ""), Some(17));
        // The end of an answer ends a turn even where calls begin with it; other marks of their beginning do not.
        assert_eq!(marks.cut(turn, 13, "<|end|>"), Some(17));
        assert_eq!(marks.cut("<|user|>f<|user|>g<|end|>", 9, "<|user|>"), Some(18));
        assert_eq!(Marks::new(Some("[e~[\n"), Some("[e~[\n]~b]user")).cut("f [e~[", 0, ""), Some(2));
    }
}
