//! JSON Schema of a tool's parameters: what the grammar enforces, what is an annotation, what is refused.
//!
//! Nothing is silently ignored: a keyword that constrains values and that the grammar cannot enforce
//! is an error with the tool, the place and the keyword. A keyword that no draft of the standard
//! gives a meaning for values is an annotation, as the standard says.
//!
//! Two readings are narrower than the standard's, so that a model is not invited to make things up:
//! an object that names its properties takes no others unless its schema says so, and so do the
//! parameters as a whole.

use super::{Error, Tool};
use serde_json::{Map, Value};

/// Keywords that the grammar enforces.
const ENFORCED: &[&str] = &[
    "$ref",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "required",
    "type",
];

/// Keywords that constrain values and that this version cannot enforce, with the way on.
const REFUSED: &[(&str, &str)] = &[
    ("oneOf", "is not enforced by this version; write `anyOf` if the options exclude each other"),
    ("not", "is not enforced by this version; list what is allowed instead, as an `enum` for instance"),
    ("if", "is not enforced by this version; write the cases as an `anyOf`"),
    ("then", "is not enforced by this version; write the cases as an `anyOf`"),
    ("else", "is not enforced by this version; write the cases as an `anyOf`"),
    ("uniqueItems", "is not enforced by this version; take it out, and check the call"),
    ("contains", "is not enforced by this version; take it out, and check the call"),
    ("minContains", "is not enforced by this version; take it out, and check the call"),
    ("maxContains", "is not enforced by this version; take it out, and check the call"),
    ("propertyNames", "is not enforced by this version; write a `patternProperties`"),
    ("dependencies", "is not enforced by this version; take it out, and check the call"),
    ("dependentRequired", "is not enforced by this version; take it out, and check the call"),
    ("dependentSchemas", "is not enforced by this version; take it out, and check the call"),
    ("unevaluatedItems", "is not enforced by this version; write `items`"),
    ("unevaluatedProperties", "is not enforced by this version; write `additionalProperties`"),
    ("$dynamicRef", "is not followed by this version; write a `$ref`"),
    ("$recursiveRef", "is not followed by this version; write a `$ref`"),
];

/// The formats that the standard gives a meaning for strings; another is an annotation.
const STANDARD_FORMATS: &[&str] = &[
    "date-time",
    "date",
    "time",
    "duration",
    "email",
    "idn-email",
    "hostname",
    "idn-hostname",
    "ipv4",
    "ipv6",
    "uri",
    "uri-reference",
    "iri",
    "iri-reference",
    "uuid",
    "uri-template",
    "json-pointer",
    "relative-json-pointer",
    "regex",
];

/// Where a keyword keeps schemas of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nesting {
    /// One schema, or where a draft allows it a list.
    One,
    /// A list of schemas.
    List,
    /// An object whose values are schemas.
    Named,
}

fn nesting(keyword: &str) -> Option<Nesting> {
    Some(match keyword {
        "items" | "additionalItems" | "additionalProperties" => Nesting::One,
        "allOf" | "anyOf" | "prefixItems" => Nesting::List,
        "properties" | "patternProperties" | "$defs" | "definitions" => Nesting::Named,
        _ => return None,
    })
}

/// How a tool's arguments are constrained.
#[derive(Clone, Debug, PartialEq)]
pub enum Arguments {
    /// An object of these keys and no others.
    Keys(Vec<Key>),
    /// An object that only its schema as a whole describes (`anyOf`, `patternProperties`, open keys ...).
    Whole(Value),
}

/// A key of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The key.
    pub name: String,
    /// Whether the object is incomplete without it.
    pub required: bool,
    /// The schema of its value, complete in itself.
    pub value: Value,
    /// Where that schema stands in the tool's parameters, as a JSON pointer.
    pub pointer: String,
}

/// Reads the parameters of `tool`.
///
/// # Errors
/// [`Error::Schema`] for the first keyword that cannot be enforced or has a value of the wrong kind.
pub fn arguments(tool: &Tool) -> Result<Arguments, Error> {
    let root = Value::Object(tool.parameters().clone());
    let reader = Reader { tool: tool.name(), root: &root };
    reader.check(&root, "")?;
    let Value::Object(kept) = closed(&root, true) else { unreachable!("an object stays one") };
    let is_plain = kept.iter().all(|(keyword, value)| match keyword.as_str() {
        "type" | "properties" | "required" | "$defs" | "definitions" => true,
        "additionalProperties" => *value == Value::Bool(false),
        _ => false,
    });
    if !is_plain {
        let mut whole = kept.clone();
        whole.insert("type".into(), "object".into());
        return Ok(Arguments::Whole(document(Value::Object(whole), &kept)));
    }
    keys(&reader, &kept).map(Arguments::Keys)
}

/// The keys of an object that is described by `properties` and `required` alone.
fn keys(reader: &Reader<'_>, object: &Map<String, Value>) -> Result<Vec<Key>, Error> {
    let impossible = |problem: String| Err(reader.wrong("/required", "required", problem));
    let no_keys = Map::new();
    let properties = object.get("properties").and_then(Value::as_object).unwrap_or(&no_keys);
    let required: Vec<&str> = object
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut keys = Vec::new();
    for (name, value) in properties {
        let required = required.contains(&name.as_str());
        if *value == Value::Bool(false) {
            if required {
                return impossible(format!("asks for `{name}`, whose schema takes no value"));
            }
            continue;
        }
        let pointer = format!("/properties/{}", escape(name));
        keys.push(Key { name: name.clone(), required, value: document(value.clone(), object), pointer });
    }
    for name in required {
        if keys.iter().any(|key| key.name == name) {
            continue;
        }
        if reader.root.get("additionalProperties") == Some(&Value::Bool(false)) {
            return impossible(format!("asks for `{name}`, which `additionalProperties` forbids"));
        }
        keys.push(Key {
            name: name.into(),
            required: true,
            value: Value::Bool(true),
            pointer: "/required".into(),
        });
    }
    Ok(keys)
}

/// A schema inside a tool's parameters, complete in itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Where it stands, as a JSON pointer.
    pub pointer: String,
    /// The schema, as the grammar is made from it.
    pub schema: Value,
    /// Its keywords: what to try to take out when it does not compile.
    pub keywords: Vec<String>,
}

/// Every schema inside the parameters of `tool`, inner ones before those that hold them.
pub fn parts(tool: &Tool) -> Vec<Part> {
    let root = Value::Object(tool.parameters().clone());
    let Value::Object(kept) = closed(&root, true) else { unreachable!("an object stays one") };
    let mut found = Vec::new();
    subschemas(&root, "", &mut found);
    found
        .into_iter()
        .map(|(pointer, schema)| Part {
            pointer,
            schema: document(closed(schema, true), &kept),
            keywords: schema.as_object().into_iter().flat_map(|keywords| keywords.keys().cloned()).collect(),
        })
        .collect()
}

fn subschemas<'s>(schema: &'s Value, pointer: &str, found: &mut Vec<(String, &'s Value)>) {
    if let Value::Object(keywords) = schema {
        for (keyword, value) in keywords {
            for (place, inner) in nested(keyword, value) {
                subschemas(inner, &format!("{pointer}/{}{place}", escape(keyword)), found);
            }
        }
    }
    found.push((pointer.to_owned(), schema));
}

/// The schemas that a keyword's value holds, with the rest of their pointers.
fn nested<'s>(keyword: &str, value: &'s Value) -> Vec<(String, &'s Value)> {
    match (nesting(keyword), value) {
        (Some(Nesting::One | Nesting::List), Value::Array(list)) => {
            list.iter().enumerate().map(|(i, schema)| (format!("/{i}"), schema)).collect()
        }
        (Some(Nesting::One), schema) => vec![(String::new(), schema)],
        (Some(Nesting::Named), Value::Object(named)) => {
            named.iter().map(|(name, schema)| (format!("/{}", escape(name)), schema)).collect()
        }
        _ => Vec::new(),
    }
}

/// A reference token of a JSON pointer (RFC 6901, section 3).
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

struct Reader<'s> {
    tool: &'s str,
    root: &'s Value,
}

impl Reader<'_> {
    fn check(&self, schema: &Value, pointer: &str) -> Result<(), Error> {
        let keywords = match schema {
            Value::Object(keywords) => keywords,
            Value::Bool(_) => return Ok(()),
            _ => {
                return Err(self.wrong(
                    pointer,
                    "",
                    "is no schema: an object or a boolean stands here".into(),
                ));
            }
        };
        for (keyword, value) in keywords {
            let at = format!("{pointer}/{}", escape(keyword));
            if let Some((_, way_on)) = REFUSED.iter().find(|(name, _)| name == keyword) {
                // It says nothing, and frameworks write it.
                if keyword == "uniqueItems" && *value == Value::Bool(false) {
                    continue;
                }
                return Err(self.wrong(&at, keyword, (*way_on).into()));
            }
            if let Some(problem) = self.problem(keyword, value) {
                return Err(self.wrong(&at, keyword, problem));
            }
            for (place, inner) in nested(keyword, value) {
                self.check(inner, &format!("{at}{place}"))?;
            }
        }
        if !pointer.is_empty() && keywords.contains_key("$id") && keywords.values().any(holds_ref) {
            let problem = "changes what a `$ref` below it means, which this version does not follow";
            return Err(self.wrong(&format!("{pointer}/$id"), "$id", problem.into()));
        }
        Ok(())
    }

    /// What is wrong with a keyword's value, if llguidance would not say it as well.
    fn problem(&self, keyword: &str, value: &Value) -> Option<String> {
        let expected = match nesting(keyword) {
            Some(Nesting::List) if !value.is_array() => "a list of schemas",
            Some(Nesting::Named) if !value.is_object() => "an object of schemas",
            _ => match (keyword, value) {
                ("required", Value::Array(names)) if names.iter().all(Value::is_string) => return None,
                ("required", _) => "a list of names",
                ("enum", Value::Array(values)) if !values.is_empty() => return None,
                ("enum", _) => "a list of at least one value",
                ("$ref", Value::String(target)) => return self.unresolved(target),
                ("$ref", _) => "a string",
                _ => return None,
            },
        };
        Some(format!("has to be {expected}"))
    }

    fn unresolved(&self, target: &str) -> Option<String> {
        let Some(pointer) = target.strip_prefix('#') else {
            return Some(format!("points outside the parameters ({target}); put the schema under `$defs`"));
        };
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Some(format!("names an anchor ({target}); write a pointer such as `#/$defs/...`"));
        }
        // A pointer in percent-encoding is left for llguidance to follow or to refuse.
        (self.root.pointer(pointer).is_none() && !pointer.contains('%'))
            .then(|| format!("points to nothing ({target})"))
    }

    fn wrong(&self, pointer: &str, keyword: &str, problem: String) -> Error {
        let keyword = if keyword.is_empty() { "schema" } else { keyword };
        Error::Schema { tool: self.tool.into(), pointer: pointer.into(), keyword: keyword.into(), problem }
    }
}

fn holds_ref(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.contains_key("$ref") || object.values().any(holds_ref),
        Value::Array(list) => list.iter().any(holds_ref),
        _ => false,
    }
}

/// `schema` without annotations, its objects closed where they name properties and nothing says otherwise.
///
/// Below `allOf` nothing is closed: its members describe one object together.
fn closed(schema: &Value, close: bool) -> Value {
    let Value::Object(keywords) = schema else { return schema.clone() };
    let mut kept = Map::new();
    for (keyword, value) in keywords {
        let keep = match keyword.as_str() {
            "format" => value.as_str().is_some_and(|format| STANDARD_FORMATS.contains(&format)),
            "$defs" | "definitions" => true,
            name => ENFORCED.contains(&name),
        };
        if !keep {
            continue;
        }
        let close = close && keyword != "allOf";
        let value = match (nesting(keyword), value) {
            (Some(Nesting::Named), Value::Object(named)) => Value::Object(
                named.iter().map(|(name, inner)| (name.clone(), closed(inner, close))).collect(),
            ),
            (Some(Nesting::One | Nesting::List), Value::Array(list)) => {
                Value::Array(list.iter().map(|inner| closed(inner, close)).collect())
            }
            (Some(Nesting::One), inner) => closed(inner, close),
            _ => value.clone(),
        };
        kept.insert(keyword.clone(), value);
    }
    let describes_more =
        ["$ref", "allOf", "anyOf", "additionalProperties"].iter().any(|keyword| kept.contains_key(*keyword));
    let named = kept.get("properties").and_then(Value::as_object);
    let asks_for_others =
        kept.get("required").and_then(Value::as_array).into_iter().flatten().any(|name| {
            name.as_str().is_some_and(|name| named.is_none_or(|named| !named.contains_key(name)))
        });
    if close && named.is_some() && !describes_more && !asks_for_others {
        kept.insert("additionalProperties".into(), Value::Bool(false));
    }
    Value::Object(kept)
}

/// `schema`, a part of the parameters `root`, as a document of its own: where it refers to other
/// parts, they come along.
fn document(schema: Value, root: &Map<String, Value>) -> Value {
    const ROOT: &str = "#/$defs/parameters";
    fn redirect(value: &mut Value) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    match value {
                        Value::String(target) if key == "$ref" => {
                            *target = target.replacen('#', ROOT, 1);
                        }
                        other => redirect(other),
                    }
                }
            }
            Value::Array(list) => list.iter_mut().for_each(redirect),
            _ => {}
        }
    }
    if !holds_ref(&schema) {
        return schema;
    }
    let mut root = Value::Object(root.clone());
    redirect(&mut root);
    let mut document = schema;
    redirect(&mut document);
    if let Value::Object(keywords) = &mut document {
        keywords.shift_remove("definitions");
        keywords.insert("$defs".into(), Value::Object(Map::from_iter([("parameters".to_owned(), root)])));
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::ToolSet;
    use serde_json::json;

    fn read(parameters: Value) -> Result<Arguments, Error> {
        let tools = ToolSet::from_value(json!([{"name": "f", "parameters": parameters}])).unwrap();
        arguments(tools.get("f").unwrap())
    }

    fn refusal(parameters: Value) -> String {
        read(parameters).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_enforced_is_refused_by_tool_pointer_and_keyword() {
        let nested = json!({"properties": {"a/b": {"items": {"oneOf": [{"type": "string"}]}}}});
        assert!(
            refusal(nested).starts_with("tool `f`: `oneOf` at /properties/a~1b/items/oneOf is not enforced")
        );
        for (keyword, _) in REFUSED {
            let message = refusal(json!({"properties": {"a": {*keyword: true}}}));
            assert!(message.contains(&format!("`{keyword}` at /properties/a/{keyword}")), "{message}");
        }
    }

    #[test]
    fn a_property_that_is_called_like_a_keyword_is_a_property() {
        let parameters =
            json!({"properties": {"not": {"type": "string"}, "description": {"type": "integer"}}});
        let Arguments::Keys(keys) = read(parameters).unwrap() else { panic!("plain keys") };
        assert_eq!(keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["not", "description"]);
        assert_eq!(keys[1].value, json!({"type": "integer"}));
    }

    #[test]
    fn annotations_never_reach_the_grammar() {
        let parameters = json!({"title": "T", "description": "d", "properties": {
            "a": {"type": "string", "description": "\"%json", "default": "x", "x-order": 1, "format": "int32"}}});
        let Arguments::Keys(keys) = read(parameters).unwrap() else { panic!("plain keys") };
        assert_eq!(keys[0].value, json!({"type": "string"}));
    }

    #[test]
    fn objects_that_name_their_properties_are_closed_and_others_stay_open() {
        let parameters = json!({"properties": {
            "named": {"type": "object", "properties": {"x": {"type": "integer"}}},
            "open": {"type": "object"},
            "said": {"type": "object", "properties": {}, "additionalProperties": true}}});
        let Arguments::Keys(keys) = read(parameters).unwrap() else { panic!("plain keys") };
        assert_eq!(keys[0].value["additionalProperties"], json!(false));
        assert!(keys[1].value.get("additionalProperties").is_none());
        assert_eq!(keys[2].value["additionalProperties"], json!(true));
    }

    #[test]
    fn references_bring_what_they_point_to() {
        let parameters = json!({
            "properties": {"a": {"$ref": "#/$defs/node"}, "b": {"type": "string"}},
            "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}}});
        let Arguments::Keys(keys) = read(parameters).unwrap() else { panic!("plain keys") };
        assert_eq!(keys[0].value["$ref"], "#/$defs/parameters/$defs/node");
        assert!(keys[0].value.pointer("/$defs/parameters/$defs/node/properties/next/$ref").is_some());
        assert_eq!(keys[1].value, json!({"type": "string"}));
    }

    #[test]
    fn references_that_lead_nowhere_are_refused() {
        for (target, expected) in [
            ("#/$defs/missing", "points to nothing"),
            ("https://example.org/schema.json", "points outside"),
            ("other.json#/a", "points outside"),
            ("#anchor", "names an anchor"),
        ] {
            let message = refusal(json!({"properties": {"a": {"$ref": target}}}));
            assert!(
                message.contains("`$ref` at /properties/a/$ref") && message.contains(expected),
                "{message}"
            );
        }
    }

    #[test]
    fn values_of_the_wrong_kind_are_named() {
        for (parameters, expected) in [
            (json!({"required": "a"}), "`required` at /required has to be a list of names"),
            (json!({"properties": []}), "`properties` at /properties has to be an object of schemas"),
            (json!({"properties": {"a": "string"}}), "`schema` at /properties/a is no schema"),
            (json!({"properties": {"a": {"enum": []}}}), "`enum` at /properties/a/enum has to be"),
            (json!({"properties": {"a": {"anyOf": {}}}}), "`anyOf` at /properties/a/anyOf has to be"),
        ] {
            let message = refusal(parameters);
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_required_key_that_nothing_describes_takes_any_value_unless_it_is_forbidden() {
        let Arguments::Keys(keys) = read(json!({"required": ["a"]})).unwrap() else { panic!("plain keys") };
        assert_eq!((keys[0].required, &keys[0].value), (true, &json!(true)));
        assert!(refusal(json!({"required": ["a"], "additionalProperties": false})).contains("forbids"));
        assert!(refusal(json!({"required": ["a"], "properties": {"a": false}})).contains("takes no value"));
    }

    #[test]
    fn parameters_that_are_more_than_keys_are_taken_whole() {
        for parameters in [
            json!({"properties": {"a": {}}, "additionalProperties": true}),
            json!({"anyOf": [{"required": ["a"]}]}),
            json!({"properties": {"a": {}}, "minProperties": 1}),
        ] {
            assert!(matches!(read(parameters).unwrap(), Arguments::Whole(_)));
        }
    }
}
