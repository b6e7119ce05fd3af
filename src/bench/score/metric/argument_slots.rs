//! The fraction of the reference's arguments that the answer has with the same value.

use super::{Metric, Pair};

/// Fraction of the reference's arguments that the answer has with an equal value; 0 if the functions differ.
pub struct ArgumentSlots;

impl Metric for ArgumentSlots {
    fn name(&self) -> &'static str {
        "argument_slots"
    }

    fn about(&self) -> &'static str {
        "the share of the right call's arguments that the answer has with the same value; 0 for another tool"
    }

    fn is_binary(&self) -> bool {
        false
    }

    fn score(&self, pair: &Pair<'_>) -> Option<f64> {
        let Some((gold, predicted)) = pair.calls() else { return Some(0.0) };
        if gold.name != predicted.name {
            return Some(0.0);
        }
        // A reference without arguments has none to miss.
        if gold.arguments.is_empty() {
            return Some(1.0);
        }
        let right = gold.arguments.iter().filter(|(key, value)| predicted.arguments.get(*key) == Some(value));
        Some(right.count() as f64 / gold.arguments.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use crate::bench::score::metric::tests::score;

    #[test]
    fn each_argument_of_the_reference_counts_and_further_ones_do_not() {
        let gold = r#"{"name": "f", "arguments": {"a": 1, "b": 2, "c": "x", "d": null}}"#;
        for (prediction, expected) in [
            (r#"{"name": "f", "arguments": {"c": "x", "a": 1.0, "e": 5}}"#, 0.5),
            (r#"{"name": "f", "arguments": {}}"#, 0.0),
            (r#"{"name": "g", "arguments": {"a": 1}}"#, 0.0),
            ("", 0.0),
        ] {
            assert_eq!(score("argument_slots", gold, prediction), expected, "{prediction}");
        }
        assert_eq!(
            score("argument_slots", r#"{"name": "f"}"#, r#"{"name": "f", "arguments": {"a": 1}}"#),
            1.0
        );
    }
}
