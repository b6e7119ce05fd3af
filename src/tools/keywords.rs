//! Schemas that do not say what their author meant: misspelt keywords, and properties that stand where keywords do.
//!
//! The standard passes over keywords that it does not know. So a schema with `require` asks for nothing, and one
//! whose properties stand outside of `properties` has none: calls would be valid, and empty.

use crate::{
    json::near::nearest,
    schema::{
        self,
        keyword::{self, HOLD_NAMED_SCHEMAS, HOLD_SCHEMAS},
    },
};
use serde_json::{Map, Value};

/// Keywords that decide which arguments there are, with further words that are taken for them by mistake.
const DECISIVE: [(&str, &[&str]); 2] = [
    ("properties", &["properties", "property", "props", "proprieties"]),
    ("required", &["required", "requires", "requirements", "mandatory"]),
];
/// Keys under which wrappers of other programs hold a schema.
const WRAPPERS: [&str; 8] = [
    "schema",
    "json_schema",
    "jsonSchema",
    "parameters",
    "inputSchema",
    "input_schema",
    "parametersJsonSchema",
    "json",
];
/// Keywords whose value may be an object, beside those that hold schemas.
const TAKE_OBJECTS: [&str; 10] = [
    "default",
    "const",
    "example",
    "examples",
    "enum",
    "dependentRequired",
    "discriminator",
    "externalDocs",
    "xml",
    "$vocabulary",
];
/// Names of JSON's types in a schema.
const TYPES: [&str; 7] = ["string", "number", "integer", "boolean", "object", "array", "null"];
/// Most warnings about one schema.
const MAX_WARNINGS: usize = 8;
/// Most levels that are looked at; parsed JSON has fewer.
const MAX_DEPTH: usize = 256;

/// Looks at the keywords of `schema` and of the schemas in it; returns warnings about those that do nothing.
///
/// # Errors
/// [`schema::Error::Schema`] with the pointer of a schema that would accept what its author did not mean: a misspelt
/// `properties` or `required`, or properties that stand outside of `properties`.
pub(super) fn check(schema: &Value) -> Result<Vec<String>, schema::Error> {
    let mut warnings = Vec::new();
    walk(schema, &mut "#".to_owned(), 0, true, &mut warnings)?;
    Ok(warnings)
}

/// Checks one schema. `is_used`: it constrains a value; a definition may be a mere group of definitions.
fn walk(
    schema: &Value,
    pointer: &mut String,
    depth: usize,
    is_used: bool,
    warnings: &mut Vec<String>,
) -> Result<(), schema::Error> {
    let Some(map) = schema.as_object().filter(|_| depth <= MAX_DEPTH) else { return Ok(()) };
    let unknown: Vec<(&String, &Value)> = map.iter().filter(|(word, value)| !means(word, value)).collect();
    let refused = |message: String| schema::Error::Schema { pointer: pointer.clone(), message };
    for (word, value) in &unknown {
        if let Some(meant) = decisive(word, value, map) {
            return Err(refused(format!("`{word}` is not a keyword; did you mean `{meant}`?")));
        }
    }
    // `strict` is a field of OpenAI's wrapper, and no keyword of the standard.
    let nothing = map.iter().all(|(word, value)| word == "strict" || !means(word, value));
    if is_used && nothing && !unknown.is_empty() {
        return Err(refused(no_keyword(&unknown)));
    }
    for (word, value) in unknown {
        let says_object = map.get("type").is_some_and(|kind| kind == "object");
        if is_used && lacks_properties(map) && (value.is_object() || says_object) && is_property(value) {
            return Err(refused(misplaced(word)));
        }
        let near = nearest(word, &keyword::CONSTRAINTS).filter(|_| !keyword::is_annotation(word));
        let warning = match near {
            Some(near) => {
                format!("{pointer}: `{word}` is not a keyword and does nothing; did you mean `{near}`?")
            }
            None if is_used && value.is_object() && is_property(value) && !keyword::is_constraint(word) => {
                format!(
                    "{pointer}: `{word}` is not a keyword and does nothing; does it belong under `properties`?"
                )
            }
            None => continue,
        };
        if warnings.len() < MAX_WARNINGS {
            warnings.push(warning);
        }
    }
    let length = pointer.len();
    let mut step = |path: &str, child: &Value, is_used: bool| {
        pointer.push_str(path);
        let walked = walk(child, pointer, depth + 1, is_used, warnings);
        pointer.truncate(length);
        walked
    };
    for (word, value) in map {
        if HOLD_NAMED_SCHEMAS.contains(&word.as_str()) {
            for (name, child) in value.as_object().into_iter().flatten() {
                let name = name.replace('~', "~0").replace('/', "~1");
                step(&format!("/{word}/{name}"), child, !keyword::is_container(word))?;
            }
        } else if HOLD_SCHEMAS.contains(&word.as_str()) {
            match value {
                Value::Array(list) => {
                    list.iter()
                        .enumerate()
                        .try_for_each(|(i, child)| step(&format!("/{word}/{i}"), child, true))?;
                }
                child => step(&format!("/{word}"), child, true)?,
            }
        }
    }
    Ok(())
}

/// True if `word` is a keyword that may have such a value. An object under `title` or `type` is a property.
fn means(word: &str, value: &Value) -> bool {
    if word.starts_with("x-") || word.starts_with("x_") {
        return true;
    }
    let known = keyword::is_annotation(word) || keyword::is_constraint(word) || word.starts_with('$');
    let holds_schemas = HOLD_NAMED_SCHEMAS.contains(&word) || HOLD_SCHEMAS.contains(&word);
    known && (!value.is_object() || holds_schemas || TAKE_OBJECTS.contains(&word))
}

/// The one of `properties` and `required` that `word` was meant to be.
fn decisive(word: &str, value: &Value, map: &Map<String, Value>) -> Option<&'static str> {
    let (meant, _) = DECISIVE.into_iter().find(|(meant, words)| {
        let fits = match *meant {
            "properties" => value.is_object() && !names_type(value),
            _ => value.is_array(),
        };
        fits && !map.contains_key(*meant) && (words[1..].contains(&word) || nearest(word, words).is_some())
    })?;
    (!keyword::is_constraint(word)).then_some(meant)
}

fn no_keyword(unknown: &[(&String, &Value)]) -> String {
    if let Some((word, _)) =
        unknown.iter().find(|(word, value)| WRAPPERS.contains(&word.as_str()) && value.is_object())
    {
        return misplaced(word);
    }
    let names: Vec<String> = unknown.iter().take(3).map(|(word, _)| format!("`{word}`")).collect();
    let more = if unknown.len() > names.len() { ", ..." } else { "" };
    format!(
        "no keyword of JSON Schema stands here, only {}{more}; put properties under `properties`, and say \
         `\"type\": \"object\"`",
        names.join(", ")
    )
}

fn misplaced(word: &str) -> String {
    match WRAPPERS.contains(&word) {
        true => format!("`{word}` is not a keyword; if the schema is the value of `{word}`, give that alone"),
        false => format!("`{word}` is not a keyword and looks like a property; put it under `properties`"),
    }
}

/// True if nothing in `map` gives an object's properties, and its values may be objects.
fn lacks_properties(map: &Map<String, Value>) -> bool {
    const GIVE: [&str; 14] = [
        "properties",
        "patternProperties",
        "additionalProperties",
        "unevaluatedProperties",
        "$ref",
        "$dynamicRef",
        "$recursiveRef",
        "allOf",
        "anyOf",
        "oneOf",
        "enum",
        "const",
        "if",
        "items",
    ];
    let may_be_object = match map.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => true,
    };
    let gives = |word: &&str| match map.get(*word) {
        Some(Value::Bool(accepts)) => *accepts,
        Some(value) => means(word, value),
        None => false,
    };
    may_be_object && !GIVE.iter().any(gives)
}

/// True if `value` looks like the schema of a property, a map of such, or the name of a type.
fn is_property(value: &Value) -> bool {
    match value {
        Value::String(text) => TYPES.contains(&text.as_str()),
        Value::Object(map) => {
            names_type(value)
                || (!map.is_empty() && map.values().all(|child| child.is_object() && names_type(child)))
        }
        _ => false,
    }
}

/// True if `value` is an object with a keyword that tells the type of a value.
fn names_type(value: &Value) -> bool {
    let Some(map) = value.as_object() else { return false };
    ["type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf", "properties", "items"]
        .iter()
        .any(|word| map.get(*word).is_some_and(|value| means(word, value)))
}

#[cfg(test)]
mod tests {
    use super::check;
    use serde_json::json;

    #[test]
    fn properties_outside_of_properties_are_refused_by_name() {
        let city = json!({"type": "string"});
        for (schema, expected) in [
            (json!({"city": city}), "#: no keyword of JSON Schema stands here, only `city`; put properties"),
            (json!({"a": 1, "b": 2, "c": 3, "d": 4}), "only `a`, `b`, `c`, ...;"),
            (json!({"city": "string", "days": "integer"}), "only `city`, `days`;"),
            (json!({"title": city, "type": city}), "only `title`, `type`;"),
            (json!({"type": "object", "city": city}), "#: `city` is not a keyword and looks like a property"),
            (
                json!({"type": "object", "city": "string"}),
                "`city` is not a keyword and looks like a property",
            ),
            (json!({"type": "object", "fields": {"city": city}}), "`fields` is not a keyword and looks"),
            (
                json!({"city": city, "required": ["city"]}),
                "`city` is not a keyword and looks like a property",
            ),
            (
                json!({"type": "object", "additionalProperties": false, "city": city}),
                "`city` is not a keyword",
            ),
            (
                json!({"properties": {"a": {"b": city}}}),
                "#/properties/a: no keyword of JSON Schema stands here",
            ),
            (
                json!({"items": {"property": {"a": city}}}),
                "#/items: `property` is not a keyword; did you mean",
            ),
            (json!({"type": "object", "propertis": {"a": city}}), "did you mean `properties`?"),
            (json!({"type": "object", "Properties": {"a": city}}), "did you mean `properties`?"),
            (
                json!({"properties": {"a": city}, "require": ["a"]}),
                "`require` is not a keyword; did you mean `required`?",
            ),
            (json!({"properties": {"a": city}, "requierd": ["a"]}), "did you mean `required`?"),
            (json!({"name": "x", "strict": true, "schema": {"type": "object"}}), "give that alone"),
            (
                json!({"parameters": {"type": "object"}}),
                "if the schema is the value of `parameters`, give that alone",
            ),
            (json!({"$defs": {"a": {"propertys": {"b": city}}}}), "#/$defs/a: `propertys`"),
        ] {
            let message = check(&schema).map_err(|error| error.to_string()).unwrap_err();
            assert!(message.contains(expected), "{schema}: {message}");
        }
    }

    #[test]
    fn keywords_that_do_nothing_are_warned_of() {
        for (schema, expected) in [
            (
                json!({"type": "string", "maxlength": 3}),
                "#: `maxlength` is not a keyword and does nothing; did you mean `maxLength`?",
            ),
            (
                json!({"properties": {"a": {"type": "string", "enums": ["x"]}}}),
                "#/properties/a: `enums` is not a keyword and does nothing; did you mean `enum`?",
            ),
            (
                json!({"properties": {"a": {}}, "b": {"type": "string"}}),
                "#: `b` is not a keyword and does nothing; does it belong under `properties`?",
            ),
        ] {
            assert_eq!(check(&schema).unwrap(), [expected], "{schema}");
        }
    }

    #[test]
    fn schemas_that_say_what_they_mean_are_left_alone() {
        for schema in [
            json!(true),
            json!({}),
            json!({"type": "object"}),
            json!({"type": "object", "description": "No arguments"}),
            json!({"properties": {"properties": {"type": "string"}, "require": {"type": "array"}, "city": {}}}),
            json!({"properties": {"a": {"type": "string", "order": 1, "unit": "m", "x-city": {"type": "string"}}}}),
            json!({"$defs": {"group": {"a": {"type": "string"}}}, "$ref": "#/$defs/group/a"}),
            json!({"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {}, "b": {}}}),
            json!({"type": "object", "default": {"city": "x"}, "examples": [{"city": "x"}], "ui": {"order": ["a"]}}),
            json!({"description": "anything"}),
            json!({"enum": ["a"], "enumNames": ["b"]}),
        ] {
            assert_eq!(check(&schema).unwrap(), [""; 0], "{schema}");
        }
    }
}
