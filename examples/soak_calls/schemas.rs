//! Schemas of the kind that frameworks write.

use super::{hostile, random::Random};
use serde_json::{Map, Value, json};

const NAMES: [&str; 14] = [
    "city",
    "date",
    "party_size",
    "x",
    "größe",
    "名前",
    "a b",
    "quote\"d",
    "back\\slash",
    "emoji😀",
    "$ref",
    "a/b~c",
    "items",
    "</tool_call>",
];
const PATTERNS: [&str; 7] = [
    "^[a-z]{2,6}$",
    "^\\d{3}-\\d{4}$",
    "^(?!no)[a-z]+$",
    "[A-Z]",
    "^(?:yes|no|maybe)$",
    "^\\S+@\\S+$",
    "^$|^#[0-9a-f]{6}$",
];
const FORMATS: [&str; 10] =
    ["date", "date-time", "time", "email", "uuid", "ipv4", "ipv6", "uri", "hostname", "duration"];

/// Random schemas and tools.
pub struct Schemas<'r> {
    pub random: &'r mut Random,
    /// One schema in this many is of a hostile kind; 0 makes none.
    pub hostile: usize,
}

impl Schemas<'_> {
    /// A tool whose parameters are random.
    pub fn tool(&mut self, name: &str) -> Value {
        let mut parameters = self.object(2);
        parameters["$defs"] = json!({"node": {"type": "object", "properties": {
            "value": string(self.random), "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["value"], "additionalProperties": false}});
        json!({"name": name, "description": "a tool", "parameters": parameters})
    }

    /// A schema of the kind that frameworks write, seldom deeper than `depth`, or a hostile one.
    pub fn schema(&mut self, depth: usize) -> Value {
        if self.hostile > 0 && self.random.one_in(self.hostile) {
            return hostile::schema(self, depth);
        }
        let random = &mut *self.random;
        let mut schema = match random.below(if depth == 0 { 9 } else { 15 }) {
            0 => string(random),
            1 => json!({"type": "string", "pattern": random.of(&PATTERNS)}),
            2 => json!({"type": "string", "format": random.of(&FORMATS)}),
            3 => number(random, "integer"),
            4 => number(random, "number"),
            5 => json!({"type": random.of(&["boolean", "null"])}),
            6 => json!({"enum": ["one", "two", 3, 4.5, null, {"k": [true]}, "zwölf \"and\" a half"]}),
            7 => {
                json!({"const": random.of(&[&json!("fixed"), &json!(17), &json!([1, 2]), &json!({"a": null})])})
            }
            8 => json!({"type": ["string", "null"], "maxLength": 5}),
            9 | 10 => self.object(depth - 1),
            11 => self.array(depth - 1),
            12 => {
                let (one, other) = (self.schema(depth - 1), self.schema(depth - 1));
                json!({self.random.of(&["anyOf", "anyOf", "oneOf"]): [one, other, {"type": "null"}]})
            }
            13 => json!({"allOf": [self.schema(depth - 1), {"description": "both"}]}),
            _ => json!({"$ref": "#/$defs/node"}),
        };
        if self.random.one_in(4) {
            schema["description"] = json!("any \"text\" </tool_call> \u{1} \\ ü");
            schema["x-order"] = json!(1);
        }
        schema
    }

    fn array(&mut self, depth: usize) -> Value {
        let low = self.random.below(3);
        let mut array = json!({"type": "array", "minItems": low, "maxItems": low + self.random.below(4)});
        if self.random.one_in(4) {
            array["prefixItems"] = json!([self.schema(depth), {"type": "boolean"}]);
        }
        array["items"] = self.schema(depth);
        if self.random.one_in(4) {
            array["uniqueItems"] = json!(true);
            array["minItems"] = json!(0);
        }
        array
    }

    fn object(&mut self, depth: usize) -> Value {
        let mut properties = Map::new();
        for _ in 0..self.random.below(6) {
            let value = self.schema(depth);
            properties.insert((*self.random.of(&NAMES)).to_owned(), value);
        }
        let required: Vec<&String> = properties.keys().filter(|_| self.random.one_in(2)).collect();
        let mut object = json!({"type": "object", "properties": properties, "required": required});
        match self.random.below(6) {
            0 => object["additionalProperties"] = json!(false),
            1 => object["additionalProperties"] = self.schema(0),
            2 => object["additionalProperties"] = json!(true),
            3 => object["patternProperties"] = json!({"^x-": {"type": "integer"}}),
            _ => {}
        }
        if self.random.one_in(8) && properties_of(&object) > 1 {
            object["minProperties"] = json!(1);
        }
        object
    }
}

pub fn string(random: &mut Random) -> Value {
    let low = random.below(4);
    match random.below(4) {
        0 => json!({"type": "string"}),
        1 => json!({"type": "string", "minLength": low}),
        2 => json!({"type": "string", "minLength": low, "maxLength": low + random.below(20)}),
        _ => json!({"type": "string", "not": {"enum": ["", "none"]}}),
    }
}

fn number(random: &mut Random, kind: &str) -> Value {
    let low = random.below(100) as i64 - 50;
    let mut schema = json!({ "type": kind });
    if random.one_in(2) {
        schema[*random.of(&[&"minimum", &"exclusiveMinimum"])] = json!(low);
    }
    if random.one_in(2) {
        schema[*random.of(&[&"maximum", &"exclusiveMaximum"])] = json!(low + 5 + random.below(1_000) as i64);
    }
    if random.one_in(3) {
        schema["multipleOf"] = random.of(&[&json!(2), &json!(5), &json!(7), &json!(3)]).clone();
    }
    schema
}

fn properties_of(object: &Value) -> usize {
    object["properties"].as_object().map_or(0, Map::len)
}
