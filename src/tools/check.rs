//! Final check of a complete call, independent of the grammar.

use super::{Error, ToolCall, ToolSet};

/// Checks the arguments of `call` against the whole schema of its tool with a full validator.
///
/// The grammar and the checks during generation already ensure this. It is a second line of defence.
///
/// # Errors
/// [`Error::Mismatch`] with the first violation.
pub fn check(tools: &ToolSet, call: &ToolCall) -> Result<(), Error> {
    let mismatch = |problem: String| Error::Mismatch { tool: call.name().to_owned(), problem };
    let tool = tools.get(call.name()).ok_or_else(|| mismatch("there is no such tool".into()))?;
    // The text that is printed, and not its values: numbers may have more digits than a value keeps.
    let violation = tool.checks()?.violation_of_text(call.arguments_text());
    match violation.map_err(|error| mismatch(format!("its arguments are not JSON ({error})")))? {
        Some(violation) => Err(mismatch(violation.to_string())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_grammar_should_have_prevented_is_seen() {
        let tools = ToolSet::from_value(json!([{"name": "f", "parameters": {
            "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", 1]}, "c": {"const": 2},
                "e": {"multipleOf": 7}},
            "required": ["a"], "additionalProperties": false}}]))
        .unwrap();
        let verdict = |name: &str, arguments: &str| {
            check(&tools, &ToolCall::from_text(name, arguments).unwrap()).err().map(|e| e.to_string())
        };
        assert_eq!(verdict("f", r#"{"a": 2.0, "b": 1, "c": 2, "e": 14}"#), None);
        for (name, arguments, expected) in [
            ("g", r#"{}"#, "no such tool"),
            ("f", r#"{"b": "x"}"#, "required"),
            ("f", r#"{"a": "1"}"#, "#/properties/a: type"),
            ("f", r#"{"a": 1.5}"#, "#/properties/a: type"),
            ("f", r#"{"a": 1, "b": "y"}"#, "#/properties/b: enum"),
            ("f", r#"{"a": 1, "c": 3}"#, "#/properties/c: const"),
            ("f", r#"{"a": 1, "e": 15}"#, "#/properties/e: multipleOf"),
            ("f", r#"{"a": 1, "d": 3}"#, "additionalProperties"),
        ] {
            let message = verdict(name, arguments).unwrap();
            assert!(message.contains(expected), "{message}");
        }
    }
}
