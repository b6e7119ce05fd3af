//! Derived parts of a format: the heads of its calls, and the marks of calls and thoughts.

use super::{Arguments, Dialect, Piece, head, head::Head};
use crate::tools::Error;

/// The texts before the arguments of calls.
pub(super) struct Heads {
    /// Ways to begin the first call of a turn, the written one first.
    pub(super) first: Vec<Head>,
    /// Between the arguments of two calls.
    pub(super) next: Option<Head>,
}

impl Dialect {
    /// The heads of the format's calls.
    ///
    /// # Errors
    /// [`Error::Dialect`] if one has no name.
    pub(super) fn heads(&self) -> Result<Heads, Error> {
        let then = self.behind_head();
        let head = |pieces: &Vec<Piece>| {
            Head::new(pieces, &then).ok_or_else(|| self.wrong("a call begins without the tool's name"))
        };
        let first =
            std::iter::once(&self.first).chain(&self.also_first).map(head).collect::<Result<_, _>>()?;
        Ok(Heads { first, next: self.next.as_ref().map(head).transpose()? })
    }

    /// The error for a format that cannot be used.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> Error {
        Error::Dialect { dialect: self.name.clone(), problem: problem.into() }
    }

    /// Texts that may follow a head that ends with the name.
    fn behind_head(&self) -> Vec<String> {
        match &self.arguments {
            Arguments::Json(_) => vec!["{".to_owned()],
            Arguments::Members(members) => {
                let last = head::starts(&self.last);
                std::iter::once(members.open.clone()).chain(last).chain(self.next_starts()).collect()
            }
        }
    }

    /// The texts between a call without arguments and the next call's name, as they may start.
    pub(super) fn next_starts(&self) -> Vec<String> {
        self.next.as_deref().map(head::starts).unwrap_or_default()
    }

    /// The texts at which a call begins in a text: the first mark of each way to begin one.
    pub(super) fn leads(&self) -> Vec<String> {
        let firsts = std::iter::once(&self.first).chain(&self.also_first);
        let starts = firsts.flat_map(|pieces| head::starts(&head::behind_text(pieces)));
        starts.filter(|start| !start.is_empty()).map(|start| lead(&start).to_owned()).collect()
    }

    /// True if the text around calls holds their ids.
    pub fn has_ids(&self) -> bool {
        let pieces = self.first.iter().chain(self.next.iter().flatten()).chain(&self.last);
        pieces.into_iter().any(|piece| matches!(piece, Piece::Id { .. } | Piece::OptionalId { .. }))
    }

    /// The text that starts a call.
    pub fn opening(&self) -> Option<String> {
        self.leads().into_iter().next()
    }

    /// The text that ends the model's reasoning, and the text between that and a call.
    pub fn thought_end(&self) -> Option<(&str, &str)> {
        let close = self.thought.as_ref()?.close.trim_start();
        let end = close.trim_end();
        (!end.is_empty()).then(|| close.split_at(end.len()))
    }
}

/// The mark at the start of `text`, such as `<tool_call>` or `[TOOL_CALLS]`; all of it if it starts with none.
fn lead(text: &str) -> &str {
    let close = match text.chars().next() {
        Some('<') => '>',
        Some('[') => ']',
        _ => return text,
    };
    text.find(close).filter(|end| *end > 1).map_or(text, |end| &text[..=end])
}
