//! The requests of a batch that are still to be answered.

use super::{input::Lines, line::Line, output::Output};
use crate::cli::exit::CliError;
use edgecall::Kind;
use serde_json::Value;
use std::collections::HashSet;

/// Reader of the requests that have no answer yet.
pub struct Source {
    lines: Lines,
    ids: Option<Ids>,
    skipped: usize,
}

/// Ids as JSON.
struct Ids {
    /// Of the answers that were there before.
    answered: HashSet<String>,
    /// Of the requests so far.
    seen: HashSet<String>,
}

impl Source {
    /// The requests behind those that `output` has the answers of.
    ///
    /// # Errors
    /// An answer with another id than its request.
    pub fn in_order(mut lines: Lines, output: &mut Output) -> anyhow::Result<Source> {
        let skipped = output.skip_answered(&mut lines)?;
        Ok(Source { lines, ids: None, skipped })
    }

    /// The requests whose ids are not among `answered`; each must have an id of its own.
    pub fn by_id(lines: Lines, answered: Vec<Value>) -> Source {
        let answered = answered.iter().map(Value::to_string).collect();
        Source { lines, ids: Some(Ids { answered, seen: HashSet::new() }), skipped: 0 }
    }

    /// The next request.
    ///
    /// # Errors
    /// Those of [`Lines::next`], and an id that is missing or was there before where requests are told apart by it.
    pub fn next(&mut self) -> anyhow::Result<Option<Line>> {
        while let Some(line) = self.lines.next()? {
            let line = Line::read(&line);
            let Some(ids) = &mut self.ids else { return Ok(Some(line)) };
            let id = line.id().to_string();
            let problem = match ids.seen.insert(id.clone()) {
                _ if line.id().is_null() => "has no id",
                false => "has the id of an earlier one",
                true if ids.answered.contains(&id) => {
                    self.skipped += 1;
                    continue;
                }
                true => return Ok(Some(line)),
            };
            let (name, number) = (self.lines.name(), self.lines.read());
            let message = format!(
                "{name}: request {number} {problem}; with --unordered each request needs an id of its own, by which its \
                 answer is known"
            );
            return Err(CliError::with_kind(Kind::Data, message));
        }
        Ok(None)
    }

    /// Number of requests that were answered before.
    pub fn skipped(&self) -> usize {
        self.skipped
    }
}
