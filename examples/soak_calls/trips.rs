//! Round trips: calls with odd values are written, taken by the grammar, read, and written again.

use super::random::Random;
use anyhow::{Context, Result, ensure};
use edgecall::{
    call,
    dialect::{Arguments, Dialect, Encoding, JsonStyle, turn::Turn},
    json,
    runtime::Compiler,
    schema::{
        KeyOrder,
        notation::{Notation, Reading},
    },
    tools::{ToolCall, ToolSet},
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const NAMES: [&str; 6] = ["find", "Calendar.create_event", "a-b_c", "書く", "f \"g\" &", "x/y"];
const KEYS: [&str; 12] =
    ["city", "n", "größe", "名前", "a b", "a.b", "quote\"d", "x-1", "type", "description", "😀", "<k>"];
/// Texts are a few of these.
const PARTS: [&str; 56] = [
    "",
    "",
    "x",
    " ",
    "\n",
    "\r\n",
    "\t",
    "'",
    "\"",
    "\\",
    "\\n",
    "\\'",
    "`",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ",",
    ", ",
    ": ",
    "=",
    "<",
    ">",
    "&",
    "&amp;",
    "&quot;",
    "</parameter>",
    "</parameter",
    "</param>",
    "</arg_value>",
    "</function>",
    "</tool_call>",
    "<tool_call>",
    "</｜DSML｜parameter>",
    "<|\"|>",
    "<escape>",
    "<|im_end|>",
    "<![CDATA[",
    "]]>",
    "null",
    "None",
    "true",
    "False",
    "42",
    "-1.5e3",
    "[1, 2]",
    "{\"k\": null}",
    "😀",
    "👩‍👩‍👧",
    "é",
    "東京",
    "\u{85}\u{2028}",
    "\u{200d}\u{feff}",
    "\u{7}\u{7f}",
];

/// The fate of one round trip.
pub enum Fate {
    /// The call came back.
    Exact,
    /// The format cannot write the call.
    Unsaid,
}

/// Writes a random call, and reads it.
///
/// # Errors
/// A call that does not come back as it was.
pub fn trip(compiler: &Compiler, dialect: &Arc<Dialect>, seed: u64) -> Result<Fate> {
    let mut random = Random::new(seed);
    let name = *random.of(&[&NAMES[0], &NAMES[1], &NAMES[2], &NAMES[random_index(seed)]]);
    let (mut arguments, mut properties) = (Map::new(), Map::new());
    for _ in 0..random.below(5) {
        let key = match random.one_in(3) {
            true => KEYS[random.below(KEYS.len())],
            false => KEYS[random.below(4)],
        };
        let (value, schema) = value(&mut random, 2);
        properties.insert(key.to_owned(), schema);
        arguments.insert(key.to_owned(), value);
    }
    let required: Vec<&String> = properties.keys().filter(|_| random.one_in(2)).collect();
    let parameters = json!({"type": "object", "properties": properties, "required": required});
    let tools = ToolSet::from_value(json!([{"name": name, "parameters": parameters}]))?;
    let shown = || format!("{} {}", json::spaced(&tools.sources()), json::spaced(&arguments));

    let written = dialect.write(&ToolCall::new(name, arguments.clone()));
    let taken = taken(compiler, dialect, &tools, &written);
    if unwritable(dialect, &tools, name, &arguments)? {
        return Ok(Fate::Unsaid);
    }
    // The grammar has keys and characters that are not escaped.
    let is_other = match &dialect.arguments {
        Arguments::Json(style) => *style == JsonStyle::Ascii && written.contains("\\u"),
        Arguments::Members(_) => ["\\x", "\\u", "\\U"].iter().any(|escape| written.contains(escape)),
    };
    if !is_other {
        ensure!(taken == Ok(true), "the grammar refuses {written}: {taken:?}\n{}", shown());
    }
    let read =
        dialect.read_call_with(&written, Some(&tools)).with_context(|| format!("{written}\n{}", shown()))?;
    ensure!(read.name() == name, "another name: {written}\n{read}");
    ensure!(*read.arguments() == arguments, "read as other values: {written}\n{read}\n{}", shown());
    let again = dialect.write(&read);
    ensure!(again == written, "written otherwise: {written}\n{again}");
    Ok(Fate::Exact)
}

fn random_index(seed: u64) -> usize {
    (seed % NAMES.len() as u64) as usize
}

/// True if the format cannot write the call.
fn unwritable(
    dialect: &Arc<Dialect>,
    tools: &ToolSet,
    name: &str,
    arguments: &Map<String, Value>,
) -> Result<bool> {
    if Turn::new(tools, dialect, KeyOrder::Any).is_err() {
        return Ok(true);
    }
    let notation = dialect.notation()?;
    let Notation::Members(members) = &notation else { return Ok(false) };
    // A template that escapes nothing writes such texts as others.
    let is_plain = matches!(&dialect.arguments, Arguments::Members(members)
        if members.values.string.encoding == Encoding::PythonString { escaped: false });
    let texts = arguments.values().filter_map(Value::as_str);
    if is_plain && texts.into_iter().any(|text| text.contains(['\'', '\\'])) {
        return Ok(true);
    }
    let tool = tools.get(name).context("no such tool")?;
    Ok(match tool.compiled_in(KeyOrder::Any, &notation) {
        Ok(compiled) => {
            let reading = Reading { members: members.clone(), types: compiled.key_types.clone() };
            reading.unwritable(arguments).is_some()
        }
        Err(_) => true,
    })
}

/// True if the grammar takes `text` as a whole turn; else how much of it.
fn taken(compiler: &Compiler, dialect: &Arc<Dialect>, tools: &ToolSet, text: &str) -> Result<bool, String> {
    let turn = Turn::new(tools, dialect, KeyOrder::Any).map_err(|error| error.to_string())?;
    let mut constraint = call::constraint(compiler, &turn).map_err(|error| error.to_string())?;
    for (at, byte) in text.bytes().enumerate() {
        if !constraint.accept(i32::from(byte)).map_err(|error| error.to_string())? {
            return Err(format!("up to {:?}", String::from_utf8_lossy(&text.as_bytes()[..at])));
        }
    }
    constraint.may_end().map_err(|error| error.to_string())
}

fn text(random: &mut Random) -> String {
    (0..random.below(4)).map(|_| PARTS[random.below(PARTS.len())]).collect()
}

/// A value, and a schema that it satisfies.
fn value(random: &mut Random, depth: usize) -> (Value, Value) {
    match random.below(if depth == 0 { 10 } else { 14 }) {
        0..=4 => {
            let text = text(random);
            let schema = match random.below(8) {
                0 => json!({}),
                1 => json!({"type": ["string", "null"]}),
                2 => json!({"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "boolean"}]}),
                3 => json!({"const": text}),
                4 => json!({"enum": ["other", text, 7]}),
                5 => json!({"type": "string", "maxLength": 300}),
                _ => json!({"type": "string"}),
            };
            (text.into(), schema)
        }
        5 => (json!(random.below(100_000) as i64 - 50_000), json!({"type": "integer"})),
        6 => ((random.below(20_000) as f64 / 8.0 - 1_000.0).into(), json!({"type": "number"})),
        7 => (random.one_in(2).into(), json!({"type": "boolean"})),
        8 => (Value::Null, json!({"type": ["string", "null"]})),
        9 => (Value::Null, json!({"type": "null"})),
        10 | 11 => {
            let items: Vec<Value> = (0..random.below(4)).map(|_| value(random, depth - 1).0).collect();
            let schema = if random.one_in(4) { json!({}) } else { json!({"type": "array"}) };
            (items.into(), schema)
        }
        _ => {
            let members: Map<String, Value> = (0..random.below(4))
                .map(|_| (KEYS[random.below(KEYS.len())].to_owned(), value(random, depth - 1).0))
                .collect();
            let schema = if random.one_in(4) { json!({}) } else { json!({"type": "object"}) };
            (members.into(), schema)
        }
    }
}
