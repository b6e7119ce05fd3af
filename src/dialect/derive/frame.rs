//! The text around calls: name, id, counter, and what stands between two calls.

use super::{
    Around, NotDerived,
    probe::{Ask, Call, Probe},
    words::Words,
};
use crate::dialect::{Arguments, Count, Dialect, NameForm, Piece, TextPlace, encode, write::WrittenCall};
use std::borrow::Cow;

/// Length of ids in the questions.
const ID_LENGTH: u32 = 9;

/// The text around calls.
pub(super) struct Frame {
    pub first: Vec<Piece>,
    pub next: Option<Vec<Piece>>,
    pub last: Vec<Piece>,
    pub arguments: Arguments,
    pub count: Option<Count>,
    pub notes: Vec<String>,
}

/// The text around several calls.
struct Several {
    first: Vec<Piece>,
    next: Vec<Piece>,
    last: Vec<Piece>,
    count: Option<Count>,
}

/// The syntax of names.
///
/// # Errors
/// [`NotDerived::NoName`], and [`NotDerived::Disagree`] if a name with a dot is written otherwise.
pub(super) fn name_form(probe: &Probe<'_>, around: &Around) -> Result<NameForm, NotDerived> {
    let name = probe.words.name(0);
    let at = around.head.find(&name).or_else(|| around.tail.find(&name)).ok_or(NotDerived::NoName)?;
    let head_of = |name: String| {
        let call = Call { name, ..probe.plain_call() };
        let turn = probe.turn(&Ask::calls(std::slice::from_ref(&call))).ok()?.turn;
        let at = turn.find(&around.arguments.write(&call.arguments))?;
        Some(turn[..at].to_owned())
    };
    let dotted = format!("{name}.a-b/c");
    if around.head.contains(&name) && head_of(dotted.clone()) != Some(around.head.replace(&name, &dotted)) {
        return Err(NotDerived::Disagree(
            "a name with a dot, a dash and a slash is not written as it is".into(),
        ));
    }
    let odd = format!("{name}\"&\\<");
    let head = head_of(odd.clone()).unwrap_or_default();
    let escaped = NameForm::Json.write(&odd).into_owned();
    if head.contains(&escaped) {
        return Ok(NameForm::Json);
    }
    if !head.contains(&odd) && (head.contains("&amp;") || head.contains("&quot;")) {
        return Ok(NameForm::Xml);
    }
    // A template that joins a name into JSON means JSON.
    let before = around.head.get(..at).unwrap_or_default();
    let after = around.head.get(at + name.len()..).unwrap_or_default();
    let json = before.ends_with(": \"") || before.ends_with(":\"") || before.ends_with("{\"");
    Ok(if json && after.starts_with('"') { NameForm::Json } else { NameForm::Plain })
}

impl Frame {
    /// # Errors
    /// The template's error, or [`NotDerived::Disagree`].
    pub fn new(probe: &Probe<'_>, around: Around, names: NameForm) -> Result<Frame, NotDerived> {
        let words = &probe.words;
        let first = pieces(&around.head, words, names, (Some(0), None));
        let last = pieces(&around.tail, words, names, (Some(0), None));
        let holds_name = |pieces: &[Piece]| pieces.iter().any(|piece| matches!(piece, Piece::Name(_)));
        if !holds_name(&first) {
            return Err(match holds_name(&last) {
                true => NotDerived::Disagree("the name of a call stands behind its arguments".into()),
                false => NotDerived::NoName,
            });
        }
        let arguments = around.arguments;
        let mut frame = Frame { first, next: None, last, arguments, count: None, notes: Vec::new() };
        frame.parallel(probe, names, &around.head);
        Ok(frame)
    }

    /// Finds the text between calls, and a counter in it.
    fn parallel(&mut self, probe: &Probe<'_>, names: NameForm, head: &str) {
        let words = &probe.words;
        let calls: Vec<Call> = (0..3)
            .map(|nth| Call {
                name: words.name(nth),
                arguments: [(words.key(nth + 1), words.value(nth + 1).into())].into_iter().collect(),
            })
            .collect();
        let found = match probe.turn(&Ask::calls(&calls)) {
            Ok(rendered) => self.between(words, names, head, &self.parts(&rendered.turn, &calls)),
            Err(error) => Err(format!("the template fails on more ({error})")),
        };
        match found {
            Ok(several) => {
                (self.first, self.next, self.count) = (several.first, Some(several.next), several.count);
                self.end_as(several.last);
                self.counts_conversation(probe, &calls);
            }
            Err(why) => self.notes.push(format!("a turn has one call; {why}")),
        }
    }

    /// The frame of several calls, from the texts around their arguments.
    ///
    /// # Errors
    /// Differences from a single call.
    fn between(
        &self,
        words: &Words,
        names: NameForm,
        head: &str,
        parts: &Option<Vec<String>>,
    ) -> Result<Several, String> {
        let Some([first, one, two, last]) = parts.as_deref() else {
            return Err("the template writes others not like the first".into());
        };
        if first != head {
            return Err("the template writes several in another frame".into());
        }
        let gap = |text: &str, nth: usize| pieces(text, words, names, (Some(nth), Some(nth - 1)));
        let (one, two) = (gap(one, 1), gap(two, 2));
        let last = pieces(last, words, names, (Some(2), None));
        if one == two {
            return Ok(Several { first: self.first.clone(), next: one, last, count: None });
        }
        let with_counter = || {
            let (next, number) = counted(&one, &two)?;
            let start = number.checked_sub(1)?;
            let first = with_count(&self.first, &next, start)?;
            Some((first, next, Count { start, conversation: false }))
        };
        match with_counter() {
            Some((first, next, count)) => Ok(Several { first, next, last, count: Some(count) }),
            None => Err("the texts between calls differ".into()),
        }
    }

    /// Takes the end of several calls, which may be more than that of a single one: DeepSeek's template for its distils
    /// forgets a mark there.
    fn end_as(&mut self, last: Vec<Piece>) {
        if last == self.last {
            return;
        }
        let text = |pieces: &[Piece]| match pieces {
            [Piece::Text(text)] => Some(text.clone()),
            [] => Some(String::new()),
            _ => None,
        };
        match (text(&last), text(&self.last)) {
            (Some(more), Some(less)) if more.starts_with(&less) => {
                let forgotten = &more[less.len()..];
                self.notes.push(format!(
                    "the template ends a single call without {forgotten:?}; it is written all the same"
                ));
                self.last = last;
            }
            _ => {
                self.next = None;
                self.notes.push("a turn has one call; the template ends several otherwise".into());
            }
        }
    }

    /// The text before, between and after the arguments of `calls` in `turn`.
    fn parts(&self, turn: &str, calls: &[Call]) -> Option<Vec<String>> {
        let (mut parts, mut at) = (Vec::new(), 0);
        for call in calls {
            let arguments = self.arguments.write(&call.arguments);
            let found = at + turn[at..].find(&arguments)?;
            parts.push(turn[at..found].to_owned());
            at = found + arguments.len();
        }
        parts.push(turn[at..].to_owned());
        calls.iter().enumerate().all(|(nth, call)| parts[nth].contains(&call.name)).then_some(parts)
    }

    /// Sets what a counter counts, by a second round of calls.
    fn counts_conversation(&mut self, probe: &Probe<'_>, calls: &[Call]) {
        let Some(Count { start, .. }) = self.count else { return };
        let Some(text) = probe.second_round(&calls[0], &calls[1]) else { return };
        let arguments = self.arguments.write(&calls[1].arguments);
        let Some(at) = text.find(&arguments) else { return };
        let written = |conversation: bool| {
            let dialect = Dialect {
                name: String::new(),
                first: self.first.clone(),
                next: None,
                last: Vec::new(),
                arguments: self.arguments.clone(),
                end: Vec::new(),
                also_first: Vec::new(),
                text: TextPlace::Dropped,
                thought: None,
                count: Some(Count { start, conversation }),
            };
            dialect.write_calls(&[written_call(probe, &calls[1], 1)], 1)
        };
        let (turn, conversation) = (written(false), written(true));
        // The beginning of a first call may be part of the prompt; the counter is near the arguments.
        let near = |written: &str| {
            let before = &written[..written.len() - arguments.len()];
            let from = before.rfind(&calls[1].name).map_or(0, |name| {
                // A counter may stand before the name, too.
                before[..name].rfind(['<', '{']).unwrap_or(name)
            });
            text[..at].ends_with(&before[from..])
        };
        if near(&conversation) && !near(&turn) {
            self.count = Some(Count { start, conversation: true });
        }
    }
}

/// The call as a dialect writes it, with the id that the template got.
pub(super) fn written_call<'c>(probe: &Probe<'_>, call: &'c Call, nth: usize) -> WrittenCall<'c> {
    WrittenCall {
        name: Cow::Borrowed(&call.name),
        arguments: Cow::Borrowed(&call.arguments),
        id: Some(Cow::Owned(probe.words.id(nth))),
    }
}

/// Cuts `text` at the words for names and ids; `ids` are the numbers of the next call and the one before.
fn pieces(text: &str, words: &Words, names: NameForm, ids: (Option<usize>, Option<usize>)) -> Vec<Piece> {
    let id = |nth: Option<usize>, previous: bool| {
        let piece = Piece::Id { length: ID_LENGTH, previous };
        nth.map(|nth| (words.id(nth), piece))
    };
    let name = ids.0.map(|nth| (words.name(nth), Piece::Name(names)));
    let slots: Vec<(String, Piece)> =
        [name, id(ids.0, false), id(ids.1, true)].into_iter().flatten().collect();
    cut_at(text, &slots)
}

/// Cuts `text` at every occurrence of one of `slots`.
pub(super) fn cut_at(text: &str, slots: &[(String, Piece)]) -> Vec<Piece> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    let literal = |pieces: &mut Vec<Piece>, text: &str| {
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
    };
    while let Some((at, word, piece)) = slots
        .iter()
        .filter_map(|(word, piece)| rest.find(word.as_str()).map(|at| (at, word, piece)))
        .min_by_key(|(at, ..)| *at)
    {
        literal(&mut pieces, &rest[..at]);
        pieces.push(piece.clone());
        rest = &rest[at + word.len()..];
    }
    literal(&mut pieces, rest);
    pieces
}

/// The pieces of two gaps that differ in a number only, which counts; and the number in the first.
fn counted(one: &[Piece], two: &[Piece]) -> Option<(Vec<Piece>, u32)> {
    if one.len() != two.len() {
        return None;
    }
    let (mut out, mut number) = (Vec::new(), None);
    for (a, b) in one.iter().zip(two) {
        match (a, b) {
            (a, b) if a == b => out.push(a.clone()),
            (Piece::Text(a), Piece::Text(b)) => {
                let (a, b) = (runs(a), runs(b));
                if a.len() != b.len() {
                    return None;
                }
                let mut text = String::new();
                for (a, b) in a.into_iter().zip(b) {
                    if a == b {
                        text.push_str(a);
                        continue;
                    }
                    let (a, b): (u32, u32) = (a.parse().ok()?, b.parse().ok()?);
                    if b != a + 1 || number.is_some_and(|known| known != a) {
                        return None;
                    }
                    number = Some(a);
                    if !text.is_empty() {
                        out.push(Piece::Text(std::mem::take(&mut text)));
                    }
                    out.push(Piece::Count);
                }
                if !text.is_empty() {
                    out.push(Piece::Text(text));
                }
            }
            _ => return None,
        }
    }
    Some((out, number?))
}

/// Digits and what stands between them, in turn.
fn runs(text: &str) -> Vec<&str> {
    let (mut runs, mut start, mut was_digit) = (Vec::new(), 0, None);
    for (at, c) in text.char_indices() {
        let is_digit = c.is_ascii_digit();
        if was_digit.is_some_and(|was| was != is_digit) {
            runs.push(&text[start..at]);
            start = at;
        }
        was_digit = Some(is_digit);
    }
    runs.push(&text[start..]);
    runs
}

/// `first` with the number `start` as a counter, at the place that the counter has in `next`.
fn with_count(first: &[Piece], next: &[Piece], start: u32) -> Option<Vec<Piece>> {
    let behind = next.iter().rposition(|piece| *piece == Piece::Count)? + 1;
    let tail = &next[behind..];
    let digits = start.to_string();
    let candidates = first.iter().enumerate().filter_map(|(i, piece)| match piece {
        Piece::Text(text) => Some((i, text)),
        _ => None,
    });
    for (i, text) in candidates.collect::<Vec<_>>().into_iter().rev() {
        let runs = runs(text);
        let mut at = text.len();
        for run in runs.iter().rev() {
            at -= run.len();
            if *run != digits {
                continue;
            }
            let literal = |text: &str| (!text.is_empty()).then(|| Piece::Text(text.to_owned()));
            let mut out = first[..i].to_vec();
            out.extend(literal(&text[..at]));
            out.push(Piece::Count);
            let from = out.len();
            out.extend(literal(&text[at + run.len()..]));
            out.extend_from_slice(&first[i + 1..]);
            if out[from..] == *tail {
                return Some(out);
            }
        }
    }
    None
}

/// True if `key` escapes as XML in `text`.
pub(super) fn is_xml_of(text: &str, word: &str) -> bool {
    text.contains(&encode::xml(word)) || text.contains(&word.replace('&', "&amp;").replace('"', "&quot;"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.into())
    }

    #[test]
    fn a_number_that_rises_is_a_counter() {
        let name = Piece::Name(NameForm::Plain);
        let gap = |n: &str| vec![text("}<v2 f."), name.clone(), text(&format!(":{n}>"))];
        let (next, number) = counted(&gap("9"), &gap("10")).unwrap();
        assert_eq!(next, [text("}<v2 f."), name.clone(), text(":"), Piece::Count, text(">")]);
        assert_eq!(number, 9);
        assert_eq!(counted(&gap("9"), &gap("11")), None);
        let first = [text("<v2 0 f."), name.clone(), text(":0>")];
        let expected = [text("<v2 0 f."), name, text(":"), Piece::Count, text(">")];
        assert_eq!(with_count(&first, &next, 0).unwrap(), expected);
        assert_eq!(with_count(&first, &next, 2), None);
    }
}
