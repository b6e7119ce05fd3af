//! Tools in the form that templates expect.

use serde_json::{Map, Value, json};

/// Deepest schema that is rewritten.
const MAX_DEPTH: usize = 24;
/// Most bytes that references add to a tool.
const MAX_INLINED: usize = 64 << 10;

/// Keywords with schemas by name, with one schema, and with a list of schemas.
const BY_NAME: [&str; 2] = ["properties", "patternProperties"];
const ONE: [&str; 3] = ["items", "additionalProperties", "not"];
const LISTS: [&str; 4] = ["anyOf", "oneOf", "allOf", "prefixItems"];

/// `tools` with a description and parameters each, single types, and references replaced by what they name. With `fills`,
/// every parameter has a description, and every object says what else it may hold.
pub(super) fn tools(tools: &[Value], fills: bool) -> Vec<Value> {
    tools.iter().map(|tool| normal_tool(tool, fills)).collect()
}

fn normal_tool(tool: &Value, fills: bool) -> Value {
    let mut tool = match tool.get("function") {
        Some(_) => tool.clone(),
        None => json!({"type": "function", "function": tool}),
    };
    let Some(function) = tool.get_mut("function").and_then(Value::as_object_mut) else { return tool };
    if !function.get("description").is_some_and(Value::is_string) {
        function.insert("description".into(), "".into());
    }
    let given = function.get("parameters").cloned().unwrap_or_default();
    let mut work = Work { root: &given, left: MAX_INLINED, fills };
    let mut parameters = match work.schema(&given, 0) {
        Value::Object(parameters) => parameters,
        _ => Map::new(),
    };
    parameters.shift_remove("$defs");
    parameters.shift_remove("definitions");
    parameters.entry("type").or_insert_with(|| "object".into());
    parameters.entry("properties").or_insert_with(|| json!({}));
    function.insert("parameters".into(), Value::Object(parameters));
    tool
}

struct Work<'s> {
    root: &'s Value,
    /// Bytes that references may still add.
    left: usize,
    fills: bool,
}

impl Work<'_> {
    fn schema(&mut self, schema: &Value, depth: usize) -> Value {
        let given = match schema {
            Value::Object(given) if depth < MAX_DEPTH => given,
            // `true` takes everything, and templates know objects only.
            Value::Object(_) | Value::Bool(_) => return json!({}),
            other => return other.clone(),
        };
        if let Some(named) = self.named(given) {
            let mut inlined = self.schema(&named, depth + 1);
            if let Value::Object(inlined) = &mut inlined {
                // What stands beside a reference counts, too.
                let beside = given.iter().filter(|(key, _)| *key != "$ref");
                inlined.extend(beside.map(|(key, value)| (key.clone(), value.clone())));
            }
            return inlined;
        }
        let mut out = Map::new();
        for (key, value) in given {
            let value = match (key.as_str(), value) {
                ("type", Value::Array(types)) => single(types),
                ("$ref", _) => continue,
                (word, Value::Object(schemas)) if BY_NAME.contains(&word) => {
                    let each =
                        |(name, inner): (&String, &Value)| (name.clone(), self.parameter(inner, depth + 1));
                    Value::Object(schemas.iter().map(each).collect())
                }
                (word, inner) if ONE.contains(&word) && !inner.is_boolean() => self.schema(inner, depth + 1),
                (word, Value::Array(schemas)) if LISTS.contains(&word) => {
                    schemas.iter().map(|inner| self.schema(inner, depth + 1)).collect()
                }
                (_, value) => value.clone(),
            };
            out.insert(key.clone(), value);
        }
        if self.fills && out.get("type").is_some_and(|kind| kind == "object") && depth > 0 {
            out.entry("additionalProperties").or_insert_with(|| json!({"type": "string"}));
        }
        Value::Object(out)
    }

    /// The schema of a parameter.
    fn parameter(&mut self, schema: &Value, depth: usize) -> Value {
        let mut schema = self.schema(schema, depth);
        if let Value::Object(map) = &mut schema
            && self.fills
        {
            map.entry("description").or_insert_with(|| "".into());
        }
        schema
    }

    /// The schema that a reference inside the document names, as long as there is room for it.
    fn named(&mut self, schema: &Map<String, Value>) -> Option<Value> {
        let reference = schema.get("$ref")?.as_str()?;
        let named = self.root.pointer(reference.strip_prefix('#')?)?;
        let bytes = named.to_string().len();
        self.left = self.left.checked_sub(bytes)?;
        Some(named.clone())
    }
}

/// The first type that is not null.
fn single(types: &[Value]) -> Value {
    let first = types.iter().find(|kind| *kind != "null").or(types.first());
    first.cloned().unwrap_or_else(|| "string".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_get_what_templates_expect() {
        let given = [
            json!({"name": "f"}),
            json!({"type": "function", "function": {"name": "g", "parameters": {
                "properties": {"a": {"type": ["null", "string"]}, "b": true, "c": {"$ref": "#/$defs/d", "description": "C"}},
                "$defs": {"d": {"type": "array", "items": {"$ref": "#/$defs/e"}}, "e": {"enum": [1]}},
            }}}),
        ];
        assert_eq!(
            Value::Array(tools(&given, false)),
            json!([
                {"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object", "properties": {}}}},
                {"type": "function", "function": {"name": "g", "description": "", "parameters": {
                    "type": "object",
                    "properties": {"a": {"type": "string"}, "b": {},
                                   "c": {"type": "array", "items": {"enum": [1]}, "description": "C"}},
                }}},
            ])
        );
    }

    #[test]
    fn references_that_name_themselves_end() {
        let node =
            json!({"type": "object", "properties": {"l": {"$ref": "#/$defs/n"}, "r": {"$ref": "#/$defs/n"}}});
        let given = json!({"name": "f", "parameters": {"$ref": "#/$defs/n", "$defs": {"n": node}}});
        let text = tools(&[given], true)[0].to_string();
        assert!(text.len() < 4 * MAX_INLINED, "{}", text.len());
    }
}
