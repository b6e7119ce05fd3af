//! Confusion matrix of function names: the ground truth against the prediction.

use crate::bench::data::{Call, CallError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Number of pairs by ground-truth function and called function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Ground-truth function -> called function -> number of pairs; [`NO_CALL`] sorts first.
    pub rows: BTreeMap<String, BTreeMap<String, usize>>,
}

/// Name that stands for "no call". No tool can have it, since a tool's name is not empty.
pub const NO_CALL: &str = "";

impl Confusion {
    /// Counts one pair.
    pub fn add(&mut self, gold: &Call, predicted: &Result<Call, CallError>) {
        self.add_names(Some(&gold.name), predicted.as_ref().ok().map(|call| &*call.name));
    }

    /// Counts one pair of names; `None` means no call.
    pub fn add_names(&mut self, gold: Option<&str>, called: Option<&str>) {
        let row = self.rows.entry(gold.unwrap_or(NO_CALL).to_owned()).or_default();
        *row.entry(called.unwrap_or(NO_CALL).to_owned()).or_default() += 1;
    }

    /// Names of the called functions, sorted; [`NO_CALL`] comes first.
    pub fn called(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.rows.values().flat_map(|row| row.keys().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Number of pairs in which the ground truth is `gold` and the model called `called`.
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
            [("b", Ok("a")), ("b", Ok("b")), ("b", Err(CallError::Empty)), ("a", Ok("z")), ("b", Ok("b"))]
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
