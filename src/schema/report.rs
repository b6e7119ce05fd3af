//! Report on a schema: the treatment of each keyword.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

/// Treatment of a keyword; the weakest comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It constrains nothing: a title, a default, a keyword unknown to the standard.
    Annotation,
    /// The grammar excludes every violation.
    Enforced,
    /// It is checked when its value is complete; if the check fails, generation backtracks.
    CheckedAfter,
    /// The format of the call cannot write a part of it, which the grammar therefore does without.
    LeftOut,
    /// It is not supported, so the schema is refused.
    Refused,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Status::Annotation => "annotation",
            Status::Enforced => "enforced",
            Status::CheckedAfter => "checked after",
            Status::LeftOut => "left out",
            Status::Refused => "refused",
        })
    }
}

/// The status of one keyword in one schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// JSON pointer of the schema with the keyword, as a URI fragment.
    pub pointer: String,
    /// The keyword.
    pub keyword: String,
    /// Its treatment.
    pub status: Status,
    /// The reason, and what to change; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// The status of every keyword of a schema, sorted by pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The keywords.
    pub lines: Vec<Line>,
    /// Pointers of the objects whose keys have a fixed order: all that declare several keys under
    /// [`KeyOrder::Schema`](super::KeyOrder::Schema), none otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub in_order: Vec<String>,
}

impl Report {
    /// The weakest status of any keyword; `Enforced` if the schema constrains nothing.
    pub fn status(&self) -> Status {
        self.lines.iter().map(|l| l.status).max().unwrap_or(Status::Enforced).max(Status::Enforced)
    }

    /// The lines with this status.
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

/// Most parts of a keyword that are named as left out.
const MAX_LEFT_OUT: usize = 8;

/// The first refusal of a schema: the pointer, the keyword and the reason.
pub(crate) struct Refusal {
    pub(super) pointer: String,
    pub(super) keyword: String,
    pub(super) note: String,
}

/// Collects the treatment of keywords; of several for one keyword the weakest is kept.
#[derive(Default)]
pub(crate) struct ReportBuilder {
    lines: BTreeMap<(String, String), (Status, String)>,
    in_order: BTreeSet<String>,
    /// Keys and values that cannot be written, by pointer and keyword.
    left_out: BTreeMap<(String, String), BTreeSet<String>>,
    refusal: Option<Refusal>,
}

impl ReportBuilder {
    /// Notes the treatment of a keyword.
    pub(super) fn note(&mut self, pointer: &str, keyword: &str, status: Status, note: &str) {
        let entry = self
            .lines
            .entry((pointer.to_string(), keyword.to_string()))
            .or_insert((status, note.to_string()));
        if status > entry.0 {
            *entry = (status, note.to_string());
        }
    }

    /// Notes that a keyword is not supported, so that the schema is refused.
    pub(super) fn refuse(&mut self, pointer: &str, keyword: &str, note: &str) {
        self.note(pointer, keyword, Status::Refused, note);
        let (pointer, keyword, note) = (pointer.to_string(), keyword.to_string(), note.to_string());
        self.refusal.get_or_insert(Refusal { pointer, keyword, note });
    }

    /// Notes that the grammar does without `part` of a keyword, since the notation cannot write it.
    pub(super) fn leave_out(&mut self, pointer: &str, keyword: &str, part: &str) {
        let parts = self.left_out.entry((pointer.to_string(), keyword.to_string())).or_default();
        parts.insert(part.to_string());
    }

    /// Notes that the keys of the object at `pointer` have a fixed order.
    pub(super) fn fix_order(&mut self, pointer: &str) {
        self.in_order.insert(pointer.to_string());
    }

    /// True if a keyword was refused.
    pub(super) fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// True if the schema at `pointer` has a keyword that is checked afterwards.
    pub(super) fn is_checked(&self, pointer: &str) -> bool {
        self.lines
            .range((pointer.to_string(), String::new())..)
            .take_while(|((p, _), _)| p == pointer)
            .any(|(_, (status, _))| *status >= Status::CheckedAfter)
    }

    /// Takes the first refusal, if there is one.
    pub(super) fn take_refusal(&mut self) -> Option<Refusal> {
        self.refusal.take()
    }

    /// The report.
    pub(super) fn finish(mut self) -> Report {
        for ((pointer, keyword), parts) in std::mem::take(&mut self.left_out) {
            let shown: Vec<&str> = parts.iter().take(MAX_LEFT_OUT).map(String::as_str).collect();
            let more = if parts.len() > MAX_LEFT_OUT { ", ..." } else { "" };
            let note = format!("the call format cannot write {}{more}", shown.join(", "));
            self.note(&pointer, &keyword, Status::LeftOut, &note);
        }
        let line = |((pointer, keyword), (status, note))| Line { pointer, keyword, status, note };
        Report {
            lines: self.lines.into_iter().map(line).collect(),
            in_order: self.in_order.into_iter().collect(),
        }
    }
}
