//! The published exact-match score with defaults filled in.

use super::{Metric, Pair, one_if};

/// 1 if the calls are equal after each omitted property that has a default in the schema is filled in on both sides.
pub struct ToolCallEquivalence;

impl Metric for ToolCallEquivalence {
    fn name(&self) -> &'static str {
        "tool_call_equivalence"
    }

    fn about(&self) -> &'static str {
        "the share of calls that are exactly right once arguments that were left out have their default of the schema"
    }

    fn is_binary(&self) -> bool {
        true
    }

    fn score(&self, pair: &Pair<'_>) -> Option<f64> {
        let Some((gold, predicted)) = pair.calls() else { return Some(0.0) };
        one_if(match pair.tools {
            Some(tools) => {
                gold.name == predicted.name && tools.with_defaults(gold) == tools.with_defaults(predicted)
            }
            None => gold == predicted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bench::score::metric::Toolbox, tools::ToolSet};

    #[test]
    fn a_default_is_the_same_as_its_value_and_another_value_is_not() {
        let tools = serde_json::json!([{"name": "f", "parameters": {"properties": {
            "city": {"type": "string"}, "seats": {"type": "integer", "default": 2}, "note": {"default": null}}}}]);
        let tools = Toolbox::new(&ToolSet::from_value(tools).unwrap());
        let score = |answer: &str, prediction: &str, tools| {
            let call = |arguments: &str| format!("{{\"name\": \"f\", \"arguments\": {arguments}}}");
            ToolCallEquivalence.score(&Pair::new(&call(answer), &call(prediction), None, tools)).unwrap()
        };
        let plain = r#"{"city": "York"}"#;
        for (other, expected) in [
            (r#"{"seats": 2, "city": "York"}"#, 1.0),
            (r#"{"city": "York", "note": null, "seats": 2.0}"#, 1.0),
            (r#"{"city": "York", "seats": 3}"#, 0.0),
            (r#"{"seats": 2}"#, 0.0),
        ] {
            assert_eq!(score(plain, other, Some(&tools)), expected, "{other}");
            assert_eq!(score(other, plain, Some(&tools)), expected, "{other}");
            assert_eq!(score(plain, other, None), 0.0, "without tools there are no defaults");
        }
    }
}
