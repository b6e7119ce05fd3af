//! A finished call held against its tool once more: what the grammar promised, looked at from outside.

use super::{Error, ToolCall, ToolSet, json};
use serde_json::{Map, Value};

/// Checks the name, the required and undeclared keys, and each value's `type`, `enum` and `const`.
///
/// The grammar makes all of this true by construction; this is the second lock on the door.
///
/// # Errors
/// [`Error::Mismatch`] with the first thing that does not fit.
pub fn check(tools: &ToolSet, call: &ToolCall) -> Result<(), Error> {
    let mismatch = |problem: String| Error::Mismatch { tool: call.name().to_owned(), problem };
    let tool = tools.get(call.name()).ok_or_else(|| mismatch("there is no such tool".into()))?;
    let parameters = tool.parameters();
    let required = parameters.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if !call.arguments().contains_key(name) {
            return Err(mismatch(format!("the key `{name}` is required and missing")));
        }
    }
    let no_keys = Map::new();
    let properties = parameters.get("properties").and_then(Value::as_object).unwrap_or(&no_keys);
    for (name, value) in call.arguments() {
        match properties.get(name) {
            Some(schema) => {
                if let Some(problem) = unfit(schema, value) {
                    return Err(mismatch(format!("`{name}` {problem}")));
                }
            }
            None if parameters.get("additionalProperties") == Some(&Value::Bool(false)) => {
                return Err(mismatch(format!("the key `{name}` is not one of its keys")));
            }
            None => {}
        }
    }
    Ok(())
}

fn unfit(schema: &Value, value: &Value) -> Option<String> {
    let schema = match schema {
        Value::Bool(false) => return Some("may have no value".into()),
        Value::Object(schema) => schema,
        _ => return None,
    };
    if let Some(Value::Array(values)) = schema.get("enum")
        && !values.contains(value)
    {
        return Some(format!("is {value}, which is not one of its values"));
    }
    if let Some(constant) = schema.get("const")
        && constant != value
    {
        return Some(format!("is {value}, and only {constant} may stand there"));
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    (!types.iter().any(|kind| is_of(kind, value)))
        .then(|| format!("is {}, not {}", json::type_name(value), types.join(" or ")))
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        // 2.0 is an integer by the standard.
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_grammar_should_have_prevented_is_seen() {
        let tools = ToolSet::from_value(json!([{"name": "f", "parameters": {
            "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", 1]}, "c": {"const": 2}},
            "required": ["a"], "additionalProperties": false}}]))
        .unwrap();
        let verdict = |name: &str, arguments: &str| {
            check(&tools, &ToolCall::from_text(name, arguments).unwrap()).err().map(|e| e.to_string())
        };
        assert_eq!(verdict("f", r#"{"a": 2.0, "b": 1, "c": 2}"#), None);
        for (name, arguments, expected) in [
            ("g", r#"{}"#, "no such tool"),
            ("f", r#"{"b": "x"}"#, "`a` is required"),
            ("f", r#"{"a": "1"}"#, "`a` is a string, not integer"),
            ("f", r#"{"a": 1.5}"#, "`a` is a number, not integer"),
            ("f", r#"{"a": 1, "b": "y"}"#, "`b` is \"y\""),
            ("f", r#"{"a": 1, "c": 3}"#, "`c` is 3"),
            ("f", r#"{"a": 1, "d": 3}"#, "`d` is not one of its keys"),
        ] {
            let message = verdict(name, arguments).unwrap();
            assert!(message.contains(expected), "{message}");
        }
    }
}
