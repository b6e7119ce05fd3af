//! Violations of a schema by a value.

use std::fmt;

use jsonschema::ValidationError;
use serde_json::Value;

use crate::schema::read::keyword::holds_named_schemas;

/// A violation of a schema by a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer of the schema with the violated keyword, as a URI fragment.
    pub pointer: String,
    /// The violated keyword.
    pub keyword: String,
    /// The validator's message.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.pointer, self.keyword, self.message)
    }
}

impl Violation {
    /// The violation that a validator of the subschema of `schema` at the pointer `checked` reports.
    pub(super) fn from_error(error: &ValidationError<'_>, schema: &Value, checked: &str) -> Violation {
        let path = error.schema_path().to_string();
        let (pointer, keyword) = split_keyword(&path, schema);
        let is_here = keyword.is_empty() || schema.pointer(pointer).is_some_and(|s| s.get(keyword).is_some());
        // A path that is not here belongs to a schema that has its own root, behind a reference.
        let (pointer, keyword) =
            if is_here { (format!("#{pointer}"), keyword) } else { (checked.to_string(), "$ref") };
        Violation { pointer, keyword: keyword.to_string(), message: error.to_string() }
    }
}

/// Splits the path of a violated keyword in `schema` into the pointer of the schema that has it, and the keyword.
///
/// The path may go on to a part of the keyword: that of a `false` schema under `properties` ends with a key.
fn split_keyword<'p>(path: &'p str, schema: &Value) -> (&'p str, &'p str) {
    let mut rest = path;
    loop {
        let pointer = &path[..path.len() - rest.len()];
        let Some((keyword, after)) = first_token(rest) else { return (pointer, "") };
        let value = schema.pointer(pointer).and_then(|schema| schema.get(keyword));
        let has_parts = holds_named_schemas(keyword) || value.is_some_and(Value::is_array);
        rest = if has_parts { first_token(after).map_or(after, |(_, after)| after) } else { after };
        if rest.is_empty() {
            return (pointer, keyword);
        }
    }
}

/// The first token of a JSON pointer, and what follows it.
fn first_token(pointer: &str) -> Option<(&str, &str)> {
    let tokens = pointer.strip_prefix('/')?;
    Some(tokens.split_at(tokens.find('/').unwrap_or(tokens.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_violated_keyword_is_named_with_the_schema_that_has_it() {
        let schema = json!({
            "properties": {"a": false, "items": {"type": "string"}},
            "prefixItems": [true, false],
            "allOf": [{"items": {"enum": [1]}}],
            "$defs": {"properties": {"minimum": 1}},
        });
        for (path, pointer, keyword) in [
            ("", "", ""),
            ("/required", "", "required"),
            ("/properties/a", "", "properties"),
            ("/properties/items", "", "properties"),
            ("/properties/items/type", "/properties/items", "type"),
            ("/prefixItems/1", "", "prefixItems"),
            ("/allOf/0/items/enum", "/allOf/0/items", "enum"),
            ("/$defs/properties/minimum", "/$defs/properties", "minimum"),
        ] {
            assert_eq!(split_keyword(path, &schema), (pointer, keyword), "{path}");
        }
    }
}
