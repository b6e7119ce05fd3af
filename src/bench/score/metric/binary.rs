//! The published exact-match score: 1 for the same call, 0 otherwise.

use super::{Metric, Pair, one_if};

/// 1 if name and arguments are equal; the order of keys does not count.
pub struct BinaryToolCall;

impl Metric for BinaryToolCall {
    fn name(&self) -> &'static str {
        "binary_tool_call"
    }

    fn about(&self) -> &'static str {
        "the share of calls with the right tool and exactly the right arguments"
    }

    fn is_binary(&self) -> bool {
        true
    }

    fn score(&self, pair: &Pair<'_>) -> Option<f64> {
        one_if(pair.calls().is_some_and(|(gold, predicted)| gold == predicted))
    }
}

#[cfg(test)]
mod tests {
    use crate::bench::score::metric::tests::score;

    #[test]
    fn arguments_are_compared_as_python_compares_them() {
        let gold = r#"{"name": "f", "arguments": {"a": 2, "b": "x"}}"#;
        for (prediction, expected) in [
            (r#"{"name": "f", "parameters": {"b": "x", "a": 2.0}}"#, 1.0),
            (r#"{"name": "f", "arguments": "{\"a\": 2, \"b\": \"x\"}"}"#, 1.0),
            (r#"{"name": "f", "arguments": {"a": 1, "b": "x", "a": 2}}"#, 1.0),
            (r#"{"name": "f", "arguments": {"a": "2", "b": "x"}}"#, 0.0),
            (r#"{"name": "f", "arguments": {"a": 2, "b": "X"}}"#, 0.0),
            (r#"{"name": "f", "arguments": {"a": 2, "b": "x", "c": null}}"#, 0.0),
            (r#"{"name": "F", "arguments": {"a": 2, "b": "x"}}"#, 0.0),
        ] {
            assert_eq!(score("binary_tool_call", gold, prediction), expected, "{prediction}");
        }
    }
}
