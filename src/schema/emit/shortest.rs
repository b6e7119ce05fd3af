//! Length of the shortest text of each rule, so that a schema without a finite value is seen when it is compiled.

use std::collections::HashMap;

use indexmap::IndexMap;

/// The shortest text of a rule, from those of other rules; lengths are in bytes, and lower bounds.
#[derive(Clone, Debug)]
pub(super) enum Length {
    /// Fixed text, and rules with the number of times that each is needed.
    Sum(u64, Vec<(u64, String)>),
    /// One of these rules.
    Least(Vec<String>),
}

/// `count` as far as it matters for lengths: sums of what no answer holds stay apart from each other.
pub(super) fn bounded(count: u64) -> u64 {
    count.min(1 << 32)
}

impl Length {
    /// The length as far as `known` has those of the other rules; `None` if a needed one is missing.
    fn evaluate(&self, known: &Lengths) -> Option<u64> {
        match self {
            Length::Sum(fixed, parts) => parts.iter().try_fold(*fixed, |sum, (times, name)| {
                let each = if *times == 0 { 0 } else { known.get(name)? };
                Some(sum.saturating_add(each.saturating_mul(*times)))
            }),
            Length::Least(names) => names.iter().filter_map(|name| known.get(name)).min(),
        }
    }
}

/// The lengths of rules by name.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    /// Rules mostly come after those that they need.
    rules: IndexMap<String, Length>,
    found: HashMap<String, u64>,
}

impl Lengths {
    /// Notes how long the rule `name` is.
    pub(super) fn add(&mut self, name: &str, length: Length) {
        self.rules.insert(name.to_owned(), length);
    }

    /// The shortest text of a rule; `None` if every text of it is endless. A rule that was not noted has one byte.
    pub(super) fn get(&self, name: &str) -> Option<u64> {
        match self.rules.contains_key(name) {
            true => self.found.get(name).copied(),
            false => Some(1),
        }
    }

    /// Finds the lengths of all rules.
    pub(super) fn solve(&mut self) {
        loop {
            let mut changed = false;
            for i in 0..self.rules.len() {
                let (name, length) = self.rules.get_index(i).expect("an index below the length");
                let Some(length) = length.evaluate(self) else { continue };
                if self.found.get(name).is_none_or(|old| length < *old) {
                    self.found.insert(name.clone(), length);
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_needs_itself_has_no_finite_text() {
        let mut lengths = Lengths::default();
        lengths.add("endless", Length::Sum(2, vec![(1, "endless".into())]));
        lengths.add("list", Length::Sum(2, vec![(0, "endless".into())]));
        lengths.add("either", Length::Least(vec!["endless".into(), "list".into(), "many".into()]));
        lengths.add("many", Length::Sum(2, vec![(1_000, "T1".into()), (2, "list".into())]));
        lengths.solve();
        let found = ["endless", "list", "either", "many", "T1"].map(|name| lengths.get(name));
        assert_eq!(found, [None, Some(2), Some(2), Some(1_006), Some(1)]);
    }
}
