//! What becomes of each keyword of a schema.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

/// What becomes of a keyword, weakest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It constrains nothing: a title, a default, a word that the standard does not know.
    Annotation,
    /// No text that breaks it can be written.
    Enforced,
    /// It is checked when the value that it concerns is closed; a value that fails is backed out of.
    CheckedAfter,
    /// It cannot be honoured, so the schema is not used.
    Refused,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Status::Annotation => "annotation",
            Status::Enforced => "enforced",
            Status::CheckedAfter => "checked after",
            Status::Refused => "refused",
        })
    }
}

/// One keyword at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The JSON pointer of the schema that holds the keyword, as a URI fragment.
    pub pointer: String,
    /// The keyword.
    pub keyword: String,
    /// What becomes of it.
    pub status: Status,
    /// Why, and what to change, where there is something to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Every keyword of a schema, in the order of the pointers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The keywords.
    pub lines: Vec<Line>,
    /// The pointers of the objects whose keys are written in one order only: all that declare keys
    /// under [`KeyOrder::Schema`](super::KeyOrder::Schema), none otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub in_order: Vec<String>,
}

impl Report {
    /// The weakest status of any keyword: `Enforced` for a schema that constrains nothing.
    pub fn status(&self) -> Status {
        self.lines.iter().map(|l| l.status).max().unwrap_or(Status::Enforced).max(Status::Enforced)
    }

    /// The lines that have `status`.
    pub fn with(&self, status: Status) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(move |l| l.status == status)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |of: fn(&Line) -> usize| self.lines.iter().map(of).max().unwrap_or(0);
        let pointer = width(|l| l.pointer.chars().count()).max("pointer".len());
        let keyword = width(|l| l.keyword.chars().count()).max("keyword".len());
        writeln!(f, "{:pointer$}  {:keyword$}  {:13}  note", "pointer", "keyword", "status")?;
        for l in &self.lines {
            let text = format!("{:pointer$}  {:keyword$}  {:13}  {}", l.pointer, l.keyword, l.status, l.note);
            writeln!(f, "{}", text.trim_end())?;
        }
        for pointer in &self.in_order {
            writeln!(f, "{pointer}: keys in the schema's order only")?;
        }
        Ok(())
    }
}

/// Gathers lines; what is said twice of a keyword keeps the weaker status.
#[derive(Default)]
pub(super) struct Draft {
    lines: BTreeMap<(String, String), (Status, String)>,
    pub(super) in_order: BTreeSet<String>,
}

impl Draft {
    pub(super) fn note(&mut self, pointer: &str, keyword: &str, status: Status, note: &str) {
        let entry = self
            .lines
            .entry((pointer.to_string(), keyword.to_string()))
            .or_insert((status, note.to_string()));
        if status > entry.0 {
            *entry = (status, note.to_string());
        }
    }

    /// Whether `pointer` holds a keyword that is checked afterwards.
    pub(super) fn is_checked(&self, pointer: &str) -> bool {
        self.lines
            .range((pointer.to_string(), String::new())..)
            .take_while(|((p, _), _)| p == pointer)
            .any(|(_, (status, _))| *status >= Status::CheckedAfter)
    }

    pub(super) fn finish(self) -> Report {
        Report {
            lines: self
                .lines
                .into_iter()
                .map(|((pointer, keyword), (status, note))| Line { pointer, keyword, status, note })
                .collect(),
            in_order: self.in_order.into_iter().collect(),
        }
    }
}
