//! The keywords of JSON Schema: annotations, constraints and containers; and the types implied by an untyped
//! schema.

use serde_json::{Map, Value};

use crate::schema::value::types;

/// The keywords whose values are maps of schemas.
pub(crate) const HOLD_NAMED_SCHEMAS: [&str; 6] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];
/// The keywords whose values are a schema or a list of schemas.
pub(crate) const HOLD_SCHEMAS: [&str; 16] = [
    "items",
    "additionalItems",
    "prefixItems",
    "contains",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "not",
    "if",
    "then",
    "else",
    "allOf",
    "anyOf",
    "oneOf",
    "contentSchema",
];
/// Keywords that constrain nothing.
const ANNOTATIONS: [&str; 23] = [
    "title",
    "description",
    "default",
    "example",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$comment",
    "$schema",
    "$id",
    "id",
    "$anchor",
    "$dynamicAnchor",
    "$recursiveAnchor",
    "$vocabulary",
    "$defs",
    "definitions",
    "discriminator",
    "externalDocs",
    "nullable",
    "xml",
    "strict",
];
/// Keywords that may refuse a value.
pub(crate) const CONSTRAINTS: [&str; 46] = [
    "type",
    "enum",
    "const",
    "$ref",
    "$dynamicRef",
    "$recursiveRef",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "multipleOf",
    "minimum",
    "exclusiveMinimum",
    "maximum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "contentMediaType",
    "contentEncoding",
    "contentSchema",
    "items",
    "prefixItems",
    "additionalItems",
    "minItems",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "properties",
    "patternProperties",
    "additionalProperties",
    "required",
    "minProperties",
    "maxProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// True for keywords that constrain nothing.
pub(crate) fn is_annotation(word: &str) -> bool {
    ANNOTATIONS.contains(&word) || word.starts_with("x-") || word.starts_with("x_")
}

/// True for keywords that may refuse a value.
pub(crate) fn is_constraint(word: &str) -> bool {
    CONSTRAINTS.contains(&word)
}

/// True for keywords that contain schemas for others to refer to.
pub(crate) fn is_container(word: &str) -> bool {
    matches!(word, "$defs" | "definitions")
}

/// True for keywords whose values have a name for each schema in them.
pub(crate) fn holds_named_schemas(word: &str) -> bool {
    HOLD_NAMED_SCHEMAS.contains(&word)
}

/// True if `schema` has nothing but annotations.
pub(crate) fn constrains_nothing(schema: &Value) -> bool {
    match schema {
        Value::Bool(accepts) => *accepts,
        Value::Object(map) => map.keys().all(|keyword| is_annotation(keyword)),
        _ => false,
    }
}

/// The types implied by the keywords of an untyped schema: a tool's author wrote `properties` and omitted
/// `type`. `None` if the keywords do not agree.
pub(crate) fn implied_types(map: &Map<String, Value>) -> Option<u8> {
    let mut set = 0;
    for word in map.keys() {
        set |= match word.as_str() {
            "properties"
            | "required"
            | "additionalProperties"
            | "patternProperties"
            | "minProperties"
            | "maxProperties"
            | "propertyNames" => types::OBJECT,
            "items" | "prefixItems" | "minItems" | "maxItems" | "uniqueItems" | "contains"
            | "additionalItems" => types::ARRAY,
            "minLength" | "maxLength" | "pattern" | "format" => types::STRING,
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
                types::INTEGER | types::FRACTION
            }
            "enum" | "const" => return None,
            _ => 0,
        };
    }
    let one = [types::OBJECT, types::ARRAY, types::STRING, types::INTEGER | types::FRACTION];
    one.contains(&set).then_some(set)
}
