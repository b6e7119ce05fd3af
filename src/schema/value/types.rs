//! Sets of JSON types as bits; integers are separate from other numbers.

use serde_json::Value;

use super::decimal::Decimal;
use crate::json;

pub(crate) const NULL: u8 = 1;
pub(crate) const BOOLEAN: u8 = 2;
pub(crate) const INTEGER: u8 = 4;
pub(crate) const FRACTION: u8 = 8;
pub(crate) const STRING: u8 = 16;
pub(crate) const ARRAY: u8 = 32;
pub(crate) const OBJECT: u8 = 64;
pub(crate) const ALL: u8 = 127;

/// The set for a name in `type`.
pub(crate) fn named(word: &str) -> Option<u8> {
    Some(match word {
        "null" => NULL,
        "boolean" => BOOLEAN,
        "integer" => INTEGER,
        "number" => INTEGER | FRACTION,
        "string" => STRING,
        "array" => ARRAY,
        "object" => OBJECT,
        "any" => ALL,
        _ => return None,
    })
}

/// The types that a keyword constrains.
pub(crate) fn constrained_by(word: &str) -> u8 {
    match word {
        "minLength" | "maxLength" | "pattern" | "format" => STRING,
        "minItems" | "maxItems" => ARRAY,
        "minProperties" | "maxProperties" => OBJECT,
        _ => INTEGER | FRACTION,
    }
}

/// The type of a value.
pub(crate) fn type_of(value: &Value) -> u8 {
    match value {
        Value::Null => NULL,
        Value::Bool(_) => BOOLEAN,
        Value::Number(n) => {
            let whole = n.is_i64() || n.is_u64() || n.as_f64().is_some_and(|f| f.fract() == 0.0);
            if whole { INTEGER } else { FRACTION }
        }
        Value::String(_) if json::wide_number(value).is_some() => {
            if Decimal::from_value(value).is_some_and(|n| n.is_integer()) { INTEGER } else { FRACTION }
        }
        Value::String(_) => STRING,
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}
