//! The schema of a JSON answer in the wrappers that interfaces put around it.

use super::{Error, keywords};
use crate::{
    json,
    schema::{self, keyword::is_constraint},
};
use serde_json::{Map, Value, json};

/// Keys beside `schema` in OpenAI's `json_schema`.
const BESIDE: [&str; 4] = ["name", "strict", "description", "type"];

/// A JSON Schema for an answer, out of its wrapper, with warnings about keywords that do nothing.
///
/// Read are a schema itself, `{"name": ..., "strict": ..., "schema": {...}}`, and what OpenAI's interfaces call
/// `response_format` or `text.format`: `{"type": "json_schema", ...}` and `{"type": "json_object"}`.
///
/// # Errors
/// [`Error::AnswerSchema`] with the key that is missing or in doubt.
pub fn answer_schema(document: Value) -> Result<(Value, Vec<String>), Error> {
    let schema = unwrapped(document).map_err(refused)?;
    let warnings =
        keywords::check(&schema).map_err(|source| Error::AnswerSchema { source: Box::new(source) })?;
    Ok((schema, warnings))
}

fn refused(message: String) -> Error {
    Error::AnswerSchema { source: Box::new(schema::Error::Schema { pointer: "#".into(), message }) }
}

fn unwrapped(document: Value) -> Result<Value, String> {
    let Value::Object(mut object) = document else { return Ok(document) };
    for key in ["response_format", "format"] {
        if object.len() == 1 && object.get(key).is_some_and(Value::is_object) {
            return unwrapped(object.shift_remove(key).unwrap_or_default());
        }
    }
    match object.get("type").and_then(Value::as_str) {
        Some("json_schema") => {
            let schema = object.shift_remove("json_schema").unwrap_or(Value::Object(object));
            let Value::Object(mut inner) = schema else {
                return Err(format!("`json_schema` is {}, not an object", json::type_name(&schema)));
            };
            match inner.shift_remove("schema") {
                Some(schema) => checked(schema),
                None => Err("`json_schema` has no `schema`".into()),
            }
        }
        Some("json_object") => Ok(json!({"type": "object"})),
        Some("text") if object.len() == 1 => Err("the type `text` asks for no JSON".into()),
        _ if is_wrapper(&object) => checked(object.shift_remove("schema").unwrap_or_default()),
        _ => Ok(Value::Object(object)),
    }
}

/// True for `schema` beside a name, and nothing that a schema has.
fn is_wrapper(object: &Map<String, Value>) -> bool {
    object.contains_key("schema")
        && object.keys().all(|key| key == "schema" || BESIDE.contains(&key.as_str()))
        && !object.keys().any(|key| is_constraint(key))
}

fn checked(schema: Value) -> Result<Value, String> {
    match schema {
        Value::Object(_) | Value::Bool(_) => Ok(schema),
        other => Err(format!("`schema` is {}, not an object", json::type_name(&other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_found_in_each_of_its_wrappers() {
        let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}});
        let named = json!({"name": "person", "strict": true, "schema": schema});
        for document in [
            schema.clone(),
            named.clone(),
            json!({"name": "person", "description": "One.", "schema": schema}),
            json!({"schema": schema}),
            json!({"type": "json_schema", "json_schema": named}),
            json!({"type": "json_schema", "name": "person", "strict": null, "schema": schema}),
            json!({"response_format": {"type": "json_schema", "json_schema": named}}),
            json!({"format": {"type": "json_schema", "name": "person", "schema": schema}}),
        ] {
            assert_eq!(answer_schema(document.clone()).unwrap(), (schema.clone(), Vec::new()), "{document}");
        }
        assert_eq!(answer_schema(json!({"type": "json_object"})).unwrap().0, json!({"type": "object"}));
        // A schema may have properties of these names.
        let own = json!({"type": "object", "properties": {"schema": {"type": "object"}}});
        assert_eq!(answer_schema(own.clone()).unwrap().0, own);
    }

    #[test]
    fn a_wrapper_without_a_schema_is_refused_by_the_key_that_is_missing() {
        for (document, expected) in [
            (json!({"type": "json_schema"}), "`json_schema` has no `schema`"),
            (json!({"type": "json_schema", "json_schema": {"name": "a"}}), "`json_schema` has no `schema`"),
            (json!({"type": "json_schema", "json_schema": []}), "`json_schema` is an array"),
            (json!({"name": "a", "schema": null}), "`schema` is null"),
            (json!({"type": "text"}), "asks for no JSON"),
            (json!({"name": "a", "strict": true}), "only `name`"),
            (json!({"name": "f", "parameters": {"type": "object"}}), "the value of `parameters`"),
        ] {
            let error = answer_schema(document.clone()).unwrap_err();
            let message = std::error::Error::source(&error).unwrap().to_string();
            assert!(message.contains(expected), "{document}: {message}");
        }
    }
}
