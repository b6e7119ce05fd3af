//! Validity of the call: the tool exists, and its schema accepts the arguments.

use super::{Metric, Pair, one_if};

/// 1 if the answer is one call that its tool's JSON Schema accepts; the reference does not count.
pub struct SchemaValidity;

impl Metric for SchemaValidity {
    fn name(&self) -> &'static str {
        "schema_validity"
    }

    fn about(&self) -> &'static str {
        "the share of answers that are one call which the schema of its tool accepts, right or wrong"
    }

    fn is_binary(&self) -> bool {
        true
    }

    fn needs_label(&self) -> bool {
        false
    }

    fn score(&self, pair: &Pair<'_>) -> Option<f64> {
        let tools = pair.tools?;
        match &pair.predicted {
            Ok(call) => one_if(tools.accepts(call)?),
            Err(_) => Some(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bench::score::metric::Toolbox, tools::ToolSet};

    #[test]
    fn a_call_is_held_against_the_schema_of_the_tool_that_it_names() {
        let tools = serde_json::json!([
            {"name": "f", "parameters": {"type": "object", "required": ["n"], "additionalProperties": false,
                "properties": {"n": {"type": "integer", "minimum": 1}, "day": {"enum": ["today"]}}}},
            {"name": "broken", "parameters": {"properties": {"n": {"type": 3}}}}]);
        let tools = Toolbox::new(&ToolSet::from_value(tools).unwrap());
        let score = |text: &str| SchemaValidity.score(&Pair::new("", text, None, Some(&tools)));
        for (text, expected) in [
            (r#"{"name": "f", "arguments": {"n": 2.0, "day": "today"}}"#, Some(1.0)),
            (r#"{"name": "f", "arguments": {"n": 0}}"#, Some(0.0)),
            (r#"{"name": "f", "arguments": {"n": "2"}}"#, Some(0.0)),
            (r#"{"name": "f", "arguments": {"n": NaN}}"#, Some(0.0)),
            (r#"{"name": "f", "arguments": {"n": 1, "m": 1}}"#, Some(0.0)),
            (r#"{"name": "f"}"#, Some(0.0)),
            (r#"{"name": "g", "arguments": {}}"#, Some(0.0)),
            (r#"{"name": "broken", "arguments": {}}"#, None),
            ("", Some(0.0)),
        ] {
            assert_eq!(score(text), expected, "{text}");
        }
        assert_eq!(SchemaValidity.score(&Pair::new("", "", None, None)), None);
    }
}
