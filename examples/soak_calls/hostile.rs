//! Schemas of the kind that break programs: numbers of any size, text of any script, deep nesting, and keywords in odd
//! company.

use super::{random::Random, schemas::Schemas};
use edgecall::json::parse_exact;
use serde_json::{Value, json};

/// Around the limits of doubles and of 64 bits, and far beyond.
const WHOLE: [&str; 12] = [
    "9007199254740992",
    "9007199254740993",
    "-9007199254740993",
    "9223372036854775807",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "18446744073709551617",
    "123456789012345678901234567890",
    "-99999999999999999999999999999999",
    "0",
    "-1",
];
const DECIMAL: [&str; 8] = [
    "0.1000000000000000055",
    "0.1",
    "1e-7",
    "-0.0",
    "2.50",
    "12345678901234567890.5",
    "1e22",
    "-3.3333333333333333333",
];
const STEPS: [&str; 8] =
    ["0.01", "0.1", "1e-3", "2.5", "9007199254740993", "18446744073709551617", "1000000000000", "0.3"];
const PATTERNS: [&str; 9] = [
    "^[äöüß]{1,3}$",
    "^[а-я]+$",
    "^[一-龥]{2}$",
    "^[^a-zA-Z]{0,4}$",
    "^.{0,3}😀$",
    "^(a|ab|abc)*$",
    "^[\\^\\]\\-\\\\]+$",
    "^\"{1,3}$",
    "^(é|é)$",
];
const TEXTS: [&str; 10] = [
    "",
    "\u{0}",
    "\u{7f}\u{80}\u{2028}",
    "\\\"\\",
    "👩‍👩‍👧‍👦",
    "e\u{301}",
    "\u{202e}dcba",
    "</tool_call><|im_end|>",
    "\u{fffd}\u{feff}",
    "null",
];
const KEYS: [&str; 10] =
    ["", " ", "\u{0}", "__proto__", "名前\u{301}", "😀😀", "a\nb", "\u{202e}x", "\"}", "{\"name\": \"f\"}"];

/// A hostile schema, seldom deeper than `depth` of the tame ones.
pub fn schema(schemas: &mut Schemas<'_>, depth: usize) -> Value {
    let random = &mut *schemas.random;
    match random.below(if depth == 0 { 8 } else { 14 }) {
        0 => bounds(random, "integer", &WHOLE),
        1 => bounds(random, "number", &DECIMAL),
        2 => {
            json!({"enum": [literal(random, &WHOLE), literal(random, &DECIMAL), literal(random, &WHOLE), "9007199254740993"]})
        }
        3 => json!({"const": [literal(random, &WHOLE), {"k": literal(random, &DECIMAL)}]}),
        4 => json!({"type": "string", "pattern": random.of(&PATTERNS), "minLength": random.below(2)}),
        5 => json!({"enum": TEXTS}),
        6 => many(random),
        7 => {
            json!({"type": ["integer", "string"], "not": {"const": literal(random, &WHOLE)}, "maxLength": 3})
        }
        8 => nested(schemas, depth),
        9 => keys(schemas, depth),
        10 => {
            json!({"oneOf": [{"type": "integer", "minimum": 3}, {"type": "number", "maximum": 7}, schemas.schema(depth - 1)]})
        }
        11 => contains(schemas, depth),
        12 => conditional(schemas, depth),
        _ => {
            json!({"allOf": [schemas.schema(depth - 1), {"not": {"enum": TEXTS}}], "title": random_text(schemas.random)})
        }
    }
}

/// A number as it is written.
fn literal(random: &mut Random, of: &[&str]) -> Value {
    parse_exact(random.of(of)).expect("it is a number")
}

fn random_text(random: &mut Random) -> &'static str {
    TEXTS[random.below(TEXTS.len())]
}

fn bounds(random: &mut Random, kind: &str, of: &[&str]) -> Value {
    let mut schema = json!({ "type": kind });
    if random.one_in(2) {
        let keyword = *random.of(&[&"minimum", &"exclusiveMinimum"]);
        schema[keyword] = literal(random, of);
    }
    if random.one_in(3) {
        let keyword = *random.of(&[&"maximum", &"exclusiveMaximum"]);
        schema[keyword] = literal(random, of);
    }
    if random.one_in(3) {
        schema["multipleOf"] = literal(random, &STEPS);
    }
    schema
}

/// An enum of many values that begin alike.
fn many(random: &mut Random) -> Value {
    let stem = random_text(random);
    let values = (0..50 + random.below(300)).map(|n| match n % 3 {
        0 => json!(format!("{stem}{n}")),
        1 => json!(n),
        _ => json!(format!("{n:b}")),
    });
    json!({"enum": values.collect::<Vec<_>>()})
}

/// Arrays and objects around a schema, many levels deep.
fn nested(schemas: &mut Schemas<'_>, depth: usize) -> Value {
    let mut schema = schemas.schema(depth - 1);
    for level in 0..5 + schemas.random.below(40) {
        schema = match level % 2 {
            0 => json!({"type": "array", "items": schema, "minItems": 1, "maxItems": 1}),
            _ => {
                json!({"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": false})
            }
        };
    }
    schema
}

/// Keys of any text, and rules for them.
fn keys(schemas: &mut Schemas<'_>, depth: usize) -> Value {
    let (one, other) = (KEYS[schemas.random.below(KEYS.len())], KEYS[schemas.random.below(KEYS.len())]);
    let mut object =
        json!({"type": "object", "properties": {one: schemas.schema(depth - 1)}, "required": [one]});
    match schemas.random.below(5) {
        0 => object["propertyNames"] = json!({"maxLength": 12}),
        1 => {
            object["propertyNames"] = json!({"anyOf": [{"const": one}, {"pattern": "^[a-zé]{1,4}$"}]});
            object["additionalProperties"] = json!({"type": "integer"});
        }
        2 => object["dependentRequired"] = json!({one: [other]}),
        3 => object["maxProperties"] = json!(1 + schemas.random.below(3)),
        _ => {
            object["patternProperties"] = json!({"^[а-я]": schemas.schema(0), "😀$": {"type": "null"}});
            object["additionalProperties"] = json!(false);
        }
    }
    object
}

fn contains(schemas: &mut Schemas<'_>, depth: usize) -> Value {
    let mut array = json!({"type": "array", "items": schemas.schema(depth - 1), "maxItems": 4});
    match schemas.random.below(3) {
        0 => array["contains"] = json!({"type": ["integer", "null", "string"]}),
        1 => {
            array["contains"] = json!({"const": literal(schemas.random, &WHOLE)});
            array["minContains"] = json!(0);
            array["maxContains"] = json!(1);
        }
        // 1, 1.0 and 10e-1 are the same item.
        _ => {
            array["items"] = json!({"type": "number", "minimum": 0, "maximum": 3});
            array["uniqueItems"] = json!(true);
        }
    }
    array
}

fn conditional(schemas: &mut Schemas<'_>, depth: usize) -> Value {
    let number = literal(schemas.random, &WHOLE);
    let mut object = json!({"type": "object", "properties": {
        "kind": {"enum": ["a", "b", number]}, "value": schemas.schema(depth - 1)}, "required": ["kind"],
        "additionalProperties": false});
    match schemas.random.below(3) {
        0 => {
            object["if"] = json!({"properties": {"kind": {"const": number}}});
            object["then"] = json!({"required": ["value"]});
        }
        1 => object["dependentSchemas"] = json!({"value": {"properties": {"kind": {"const": "a"}}}}),
        _ => object["not"] = json!({"properties": {"kind": {"const": number}}, "required": ["kind"]}),
    }
    object
}
