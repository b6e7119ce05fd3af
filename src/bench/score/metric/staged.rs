//! The published score in quarters.

use super::{Metric, Pair};

/// A quarter each for a call, its name, its set of keys and its values, in this order; 0 without a call.
pub struct StagedToolCall;

impl Metric for StagedToolCall {
    fn name(&self) -> &'static str {
        "staged_tool_call"
    }

    fn about(&self) -> &'static str {
        "the mean over all calls of 100 % for the right call, 75 % if only values are wrong, 50 % if the argument names \
         are wrong, 25 % if the tool is wrong, and 0 % without a call"
    }

    fn is_binary(&self) -> bool {
        false
    }

    fn score(&self, pair: &Pair<'_>) -> Option<f64> {
        let Some((gold, predicted)) = pair.calls() else { return Some(0.0) };
        let same_keys = || {
            gold.arguments.len() == predicted.arguments.len()
                && gold.arguments.keys().all(|key| predicted.arguments.contains_key(key))
        };
        Some(match () {
            () if gold.name != predicted.name => 0.25,
            () if !same_keys() => 0.5,
            () if gold.arguments != predicted.arguments => 0.75,
            () => 1.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::bench::score::metric::tests::score;

    #[test]
    fn each_stage_is_worth_a_quarter_and_nothing_lies_between() {
        let gold = r#"{"name": "f", "arguments": {"a": 1, "b": 2}}"#;
        for (prediction, expected) in [
            ("f(1, 2)", 0.0),
            (r#"{"name": "g", "arguments": {"a": 1, "b": 2}}"#, 0.25),
            (r#"{"name": "f"}"#, 0.5),
            (r#"{"name": "f", "arguments": {"a": 1, "c": 2}}"#, 0.5),
            (r#"{"name": "f", "arguments": {"a": 1, "b": 2, "c": 3}}"#, 0.5),
            (r#"{"name": "f", "arguments": {"b": 9, "a": 9}}"#, 0.75),
            (r#"{"name": "f", "arguments": {"b": 2.0, "a": true}}"#, 1.0),
        ] {
            assert_eq!(score("staged_tool_call", gold, prediction), expected, "{prediction}");
        }
    }
}
