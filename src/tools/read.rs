//! Reading of tool lists, in the forms of OpenAI, MCP, Anthropic, Gemini and Bedrock.

use super::{Error, Tool, arguments::Arguments, keywords};
use crate::{json, json::near::nearest};
use serde_json::{Map, Value, json};

/// Most tools in a set; no context holds more.
const MAX_TOOLS: usize = 4096;
/// Keys of a list of tools: of OpenAI's requests and MCP's replies, of OpenAI's older requests.
const LISTS: [&str; 2] = ["tools", "functions"];
/// Keys of Gemini's list of functions.
const DECLARATIONS: [&str; 2] = ["functionDeclarations", "function_declarations"];
/// Keys of an object around the one with the list: JSON-RPC's, Bedrock's.
const AROUND: [&str; 3] = ["result", "toolConfig", "tool_config"];
/// Keys of the schema of the arguments: OpenAI's and Gemini's, MCP's, Anthropic's, and Gemini's further one.
const SCHEMAS: [&str; 5] =
    ["parameters", "inputSchema", "input_schema", "parametersJsonSchema", "parameters_json_schema"];
/// Further keys that were meant to be one of these.
const MEANT: [&str; 13] = [
    "params",
    "parameter",
    "args",
    "arguments",
    "argument",
    "input",
    "inputs",
    "schema",
    "args_schema",
    "json_schema",
    "properties",
    "required",
    "parameter_definitions",
];
/// Fields of a tool that say nothing of its arguments, although they may be objects.
const OTHERS: [&str; 22] = [
    "type",
    "function",
    "name",
    "title",
    "description",
    "strict",
    "annotations",
    "outputSchema",
    "output_schema",
    "_meta",
    "icons",
    "execution",
    "cache_control",
    "input_examples",
    "examples",
    "allowed_callers",
    "response",
    "responseJsonSchema",
    "response_json_schema",
    "returns",
    "return",
    "metadata",
];

/// Reads the tools of `document`, with warnings about them.
///
/// # Errors
/// The document has no list of tools, or a tool has an invalid field.
pub(super) fn tools(document: Value) -> Result<(Vec<Tool>, Vec<String>), Error> {
    let mut warnings = Vec::new();
    let list = flattened(list(document, &mut warnings)?);
    if list.is_empty() {
        return Err(Error::Empty);
    }
    if list.len() > MAX_TOOLS {
        return Err(Error::TooMany { tools: list.len(), most: MAX_TOOLS });
    }
    let read = |(i, value)| tool(i + 1, value, &mut warnings);
    let tools = list.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
    Ok((tools, warnings))
}

/// The list in `document`.
fn list(document: Value, warnings: &mut Vec<String>) -> Result<Vec<Value>, Error> {
    let mut object = match document {
        Value::Array(list) => return Ok(list),
        Value::Object(object) => object,
        other => return Err(Error::NoList { found: json::type_name(&other) }),
    };
    if object.get("nextCursor").is_some_and(Value::is_string) {
        warnings.push(
            "the list has a `nextCursor`, so it is one page of the server's tools; others follow".into(),
        );
    }
    for key in LISTS {
        match object.shift_remove(key) {
            Some(Value::Array(list)) => return Ok(list),
            Some(Value::Object(tool)) if is_tool(&tool) => return Ok(vec![Value::Object(tool)]),
            _ => {}
        }
    }
    for key in AROUND {
        if let Some(inner @ Value::Object(_)) = object.shift_remove(key) {
            return list(inner, warnings);
        }
    }
    match is_tool(&object) {
        true => Ok(vec![Value::Object(object)]),
        false => Err(Error::NoList { found: "an object" }),
    }
}

fn is_tool(object: &Map<String, Value>) -> bool {
    let names = ["name", "function", "toolSpec", "type"];
    names.iter().chain(&DECLARATIONS).any(|key| object.contains_key(*key))
}

/// The list with Gemini's lists of functions and Bedrock's objects around a tool taken apart.
fn flattened(list: Vec<Value>) -> Vec<Value> {
    let mut flat = Vec::new();
    for mut value in list {
        let declared = value.as_object_mut().and_then(|object| {
            DECLARATIONS.iter().find_map(|key| match object.shift_remove(*key) {
                Some(Value::Array(functions)) => Some(functions),
                _ => None,
            })
        });
        match declared {
            Some(functions) => flat.extend(functions.into_iter().map(from_gemini)),
            None => flat.push(from_bedrock(value)),
        }
    }
    flat
}

/// A function of Gemini's with the names of types as the standard writes them.
fn from_gemini(mut function: Value) -> Value {
    for key in SCHEMAS {
        if let Some(schema) = function.get_mut(key) {
            plain_types(schema);
        }
    }
    function
}

/// Writes `"type": "STRING"` as `"string"` and limits given as text as numbers: Gemini's schemas are protocol
/// buffers.
fn plain_types(schema: &mut Value) {
    match schema {
        Value::Array(list) => list.iter_mut().for_each(plain_types),
        Value::Object(map) => {
            for (word, value) in map.iter_mut() {
                match (word.as_str(), &mut *value) {
                    ("type", Value::String(kind)) => kind.make_ascii_lowercase(),
                    ("enum" | "default" | "example" | "const", _) => {}
                    (_, Value::String(text)) if word.starts_with("min") || word.starts_with("max") => {
                        if let Ok(limit) = text.parse::<u64>() {
                            *value = limit.into();
                        }
                    }
                    (_, inner) => plain_types(inner),
                }
            }
        }
        _ => {}
    }
}

/// The tool in Bedrock's `{"toolSpec": {..., "inputSchema": {"json": {...}}}}`.
fn from_bedrock(mut value: Value) -> Value {
    let Some(Value::Object(mut tool)) =
        value.as_object_mut().and_then(|object| object.shift_remove("toolSpec"))
    else {
        return value;
    };
    if let Some(Value::Object(schema)) = tool.get_mut("inputSchema")
        && let Some(inner) = schema.shift_remove("json")
    {
        tool.insert("inputSchema".into(), inner);
    }
    Value::Object(tool)
}

/// Reads the tool with number `nth` in its list, counted from 1.
fn tool(nth: usize, value: Value, warnings: &mut Vec<String>) -> Result<Tool, Error> {
    let wrong =
        |field: &'static str, problem: String| Error::Field { tool: format!("tool {nth}"), field, problem };
    let Value::Object(mut object) = value else {
        return Err(wrong("", format!("is {}, not an object", json::type_name(&value))));
    };
    // Anthropic's name for a tool of one's own.
    let is_custom =
        |kind: &Value| kind == "custom" && object.get("input_schema").is_some_and(Value::is_object);
    if let Some(kind) = object.get("type")
        && kind != "function"
        && !is_custom(kind)
    {
        return Err(wrong("type", format!("is {kind}; only \"function\" can be called")));
    }
    let wrapped = object.contains_key("function");
    let function = match object.get("function") {
        Some(Value::Object(function)) => function,
        Some(other) => {
            return Err(wrong("function", format!("is {}, not an object", json::type_name(other))));
        }
        None => &object,
    };
    let name = match function.get("name") {
        Some(Value::String(name)) if !name.is_empty() => name.clone(),
        Some(Value::String(_)) => return Err(wrong("name", "is empty".into())),
        Some(other) => return Err(wrong("name", format!("is {}, not a string", json::type_name(other)))),
        None => return Err(wrong("name", "is missing".into())),
    };
    let tool = format!("tool {nth} `{name}`");
    let wrong = |field, problem| Error::Field { tool: tool.clone(), field, problem };
    if let Some(other) = function.get("description").filter(|d| !d.is_string() && !d.is_null()) {
        return Err(wrong("description", format!("is {}, not a string", json::type_name(other))));
    }
    let key = schema_key(function, &tool)?;
    let parameters = schema(function, key, &tool)?;
    if !takes_arguments(&parameters) {
        let has_schema = function.get(key).is_some_and(|schema| !schema.is_null());
        no_other_schema(function, key, has_schema, &tool)?;
        if wrapped {
            no_other_schema(&object, "function", has_schema, &tool)?;
        }
    }
    let found = keywords::check(&Value::Object(parameters.clone()));
    let found = found.map_err(|source| Error::Parameters { tool: name.clone(), source: Box::new(source) })?;
    warnings.extend(found.into_iter().map(|warning| format!("tool `{name}`: {warning}")));
    let source = match wrapped {
        true if key == "parameters" => Value::Object(object),
        true => {
            object.insert("function".into(), openai(&name, &object["function"], &parameters));
            Value::Object(object)
        }
        false if key == "parameters" => {
            object.shift_remove("type");
            json!({"type": "function", "function": object})
        }
        false => json!({"type": "function", "function": openai(&name, &Value::Object(object), &parameters)}),
    };
    Ok(Tool { name, source: json::rounded(source), arguments: Arguments::new(parameters) })
}

/// The key of the schema of `function`'s arguments; `parameters` if there is none.
fn schema_key(function: &Map<String, Value>, tool: &str) -> Result<&'static str, Error> {
    let mut found =
        SCHEMAS.into_iter().filter(|key| function.get(*key).is_some_and(|value| !value.is_null()));
    let Some(key) = found.next() else { return Ok(SCHEMAS[0]) };
    match found.find(|other| function[*other] != function[key]) {
        Some(field) => Err(Error::Field {
            tool: tool.to_owned(),
            field,
            problem: format!("differs from `{key}`, and both are schemas of the arguments; keep one"),
        }),
        None => Ok(key),
    }
}

fn schema(function: &Map<String, Value>, key: &'static str, tool: &str) -> Result<Map<String, Value>, Error> {
    let wrong = |field, problem| Error::Field { tool: tool.to_owned(), field, problem };
    let schema = match function.get(key) {
        Some(Value::Object(schema)) => schema.clone(),
        Some(Value::Null) | None => Map::new(),
        Some(other) => return Err(wrong(key, format!("is {}, not an object", json::type_name(other)))),
    };
    match schema.get("type").filter(|kind| *kind != "object" && !kind.is_object()) {
        Some(kind) => Err(Error::Field {
            tool: tool.to_owned(),
            field: if key == "parameters" { "parameters.type" } else { key },
            problem: match key {
                "parameters" => format!("is {kind}; the arguments of a call are an \"object\""),
                _ => format!("has the type {kind}; the arguments of a call are an \"object\""),
            },
        }),
        None => Ok(schema),
    }
}

fn takes_arguments(schema: &Map<String, Value>) -> bool {
    schema.iter().any(|(word, value)| match word.as_str() {
        "type" | "title" | "description" | "$schema" => false,
        "properties" => value.as_object().is_none_or(|properties| !properties.is_empty()),
        "required" => value.as_array().is_none_or(|required| !required.is_empty()),
        "additionalProperties" => !value.is_boolean(),
        _ => true,
    })
}

/// Refuses a field of a tool without arguments that was meant to describe some. `key` is the field that is read.
fn no_other_schema(
    fields: &Map<String, Value>,
    key: &str,
    has_schema: bool,
    tool: &str,
) -> Result<(), Error> {
    for (field, value) in fields {
        let word = field.as_str();
        let (says_something, may_describe) = match value {
            Value::Object(map) => (!map.is_empty(), !map.is_empty()),
            Value::Array(list) => (!list.is_empty(), list.iter().any(Value::is_object)),
            Value::String(text) => (!text.is_empty(), false),
            Value::Bool(_) | Value::Null | Value::Number(_) => (false, false),
        };
        if !says_something || word == key || OTHERS.contains(&word) {
            continue;
        }
        let meant = SCHEMAS.contains(&word) || MEANT.contains(&word) || nearest(word, &SCHEMAS).is_some();
        if meant || (may_describe && !has_schema) {
            return Err(Error::SchemaKey { tool: tool.to_owned(), field: field.clone() });
        }
    }
    Ok(())
}

/// A function object in OpenAI's form.
fn openai(name: &str, function: &Value, parameters: &Map<String, Value>) -> Value {
    let mut made = Map::new();
    made.insert("name".into(), name.into());
    for key in ["description", "strict"] {
        if let Some(value) = function.get(key).filter(|value| !value.is_null()) {
            made.insert(key.into(), value.clone());
        }
    }
    made.insert("parameters".into(), Value::Object(parameters.clone()));
    Value::Object(made)
}

#[cfg(test)]
mod tests;
