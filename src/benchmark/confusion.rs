//! Which function was called where which one was right.

use super::answer::{Call, Rejection};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts by the function that is right and the one that was called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// The functions that were right, each with what was called in its place and how often; [`NO_CALL`] first.
    pub rows: BTreeMap<String, BTreeMap<String, usize>>,
}

/// Stands for the function where there was no call. No tool can have this name: a name is not empty.
pub const NO_CALL: &str = "";

impl Confusion {
    /// Counts one pair.
    pub fn add(&mut self, gold: &Call, predicted: &Result<Call, Rejection>) {
        self.add_names(Some(&gold.name), predicted.as_ref().ok().map(|call| &*call.name));
    }

    /// Counts one pair of names, either of them none where there was no call.
    pub fn add_names(&mut self, gold: Option<&str>, called: Option<&str>) {
        let row = self.rows.entry(gold.unwrap_or(NO_CALL).to_owned()).or_default();
        *row.entry(called.unwrap_or(NO_CALL).to_owned()).or_default() += 1;
    }

    /// The functions that were called, sorted; [`NO_CALL`] first.
    pub fn called(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.rows.values().flat_map(|row| row.keys().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// How often `called` was called where `gold` was right.
    pub fn count(&self, gold: &str, called: &str) -> usize {
        self.rows.get(gold).and_then(|row| row.get(called)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_counted_once_and_missing_calls_come_first() {
        let call = |name: &str| Call { name: name.into(), arguments: Default::default() };
        let mut confusion = Confusion::default();
        for (gold, predicted) in
            [("b", Ok("a")), ("b", Ok("b")), ("b", Err(Rejection::Empty)), ("a", Ok("z")), ("b", Ok("b"))]
        {
            confusion.add(&call(gold), &predicted.map(call));
        }
        assert_eq!(confusion.called(), [NO_CALL, "a", "b", "z"]);
        assert_eq!(confusion.rows.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(
            (confusion.count("b", "b"), confusion.count("b", NO_CALL), confusion.count("a", "a")),
            (2, 1, 0)
        );
    }
}
