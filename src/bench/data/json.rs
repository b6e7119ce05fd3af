//! JSON as Python's `json` module reads, compares and writes it.
//!
//! The published scores and rows were made in Python. They contain `NaN`, integers of any length and duplicate keys
//! (the last one counts), and they were compared with `2 == 2.0` and `True == 1`. No crate reads that dialect, so this
//! module does. It accepts everything that `serde_json` accepts. One thing is not as in Python: a number with more digits
//! than a `float` keeps is kept as it is written, and equals only what is the same number.

mod reader;

pub use reader::JsonError;

use crate::json as exact;
use indexmap::IndexMap;
use std::fmt::{self, Write};

/// Members of an object, in the order in which their keys first appeared.
pub type Object = IndexMap<String, Json>;

/// A value as `json.loads` gives it. Equality is Python's `==`.
#[derive(Clone, Debug)]
pub enum Json {
    /// `None`.
    Null,
    /// `True` or `False`.
    Bool(bool),
    /// An `int` of any length, as decimal digits; negative ones start with `-`.
    Int(String),
    /// A `float`, infinities and NaN included.
    Float(f64),
    /// A number with a fraction or an exponent that a `float` would round, as it is written.
    Wide(String),
    /// A `str`. An unpaired surrogate, which Rust's `str` cannot hold, becomes U+FFFD.
    Text(String),
    /// A `list`.
    List(Vec<Json>),
    /// A `dict`.
    Object(Object),
}

impl Json {
    /// The string, if the value is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The members, if the value is an object.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Json::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The number, if the value is one; `true` and `false` are 1 and 0 as in Python.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Json::Bool(bool) => Some(f64::from(u8::from(*bool))),
            Json::Int(literal) | Json::Wide(literal) => literal.parse().ok(),
            Json::Float(float) => Some(*float),
            _ => None,
        }
    }

    /// Name of the value's type with an article, for errors.
    pub fn type_name(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Int(_) | Json::Float(_) | Json::Wide(_) => "a number",
            Json::Text(_) => "a string",
            Json::List(_) => "an array",
            Json::Object(_) => "an object",
        }
    }

    /// Converts to a `serde_json` value; `None` if there is an infinity or NaN in it, which standard JSON lacks,
    /// or a number beyond the range of doubles. Numbers that [`has_wide_numbers`](Json::has_wide_numbers) finds become floats.
    pub fn to_serde(&self) -> Option<serde_json::Value> {
        use serde_json::{Number, Value};
        Some(match self {
            Json::Null => Value::Null,
            Json::Bool(bool) => Value::Bool(*bool),
            Json::Int(digits) => match (digits.parse::<i64>(), digits.parse::<u64>()) {
                (Ok(int), _) => int.into(),
                (_, Ok(int)) => int.into(),
                _ => Value::Number(Number::from_f64(digits.parse().ok()?)?),
            },
            Json::Float(float) => Value::Number(Number::from_f64(*float)?),
            Json::Wide(literal) => Value::Number(Number::from_f64(literal.parse().ok()?)?),
            Json::Text(text) => Value::String(text.clone()),
            Json::List(items) => Value::Array(items.iter().map(Json::to_serde).collect::<Option<_>>()?),
            Json::Object(object) => Value::Object(
                object
                    .iter()
                    .map(|(key, value)| Some((key.clone(), value.to_serde()?)))
                    .collect::<Option<_>>()?,
            ),
        })
    }
}

impl Json {
    /// True if there is a number in it that `serde_json` would round.
    pub fn has_wide_numbers(&self) -> bool {
        match self {
            Json::Int(digits) => exact::is_wide(digits),
            Json::Wide(_) => true,
            Json::List(items) => items.iter().any(Json::has_wide_numbers),
            Json::Object(object) => object.values().any(Json::has_wide_numbers),
            Json::Null | Json::Bool(_) | Json::Float(_) | Json::Text(_) => false,
        }
    }

    /// A number of [`parse_exact`](exact::parse_exact) that is kept as it is written.
    fn of_literal(literal: &str) -> Json {
        match literal.contains(['.', 'e', 'E']) {
            true => Json::Wide(literal.to_owned()),
            false => Json::Int(literal.to_owned()),
        }
    }
}

/// Wide numbers of [`parse_exact`](exact::parse_exact) stay as they are written.
impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Json {
        use serde_json::Value;
        match value {
            Value::Null => Json::Null,
            Value::Bool(bool) => Json::Bool(*bool),
            Value::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() => Json::Float(float),
                _ => Json::Int(number.to_string()),
            },
            Value::String(text) => match exact::wide_number(value) {
                Some(literal) => Json::of_literal(literal),
                None => Json::Text(text.clone()),
            },
            Value::Array(items) => Json::List(items.iter().map(Json::from).collect()),
            Value::Object(object) => {
                Json::Object(object.iter().map(|(key, value)| (key.clone(), value.into())).collect())
            }
        }
    }
}

/// Python's `==` on results of `json.loads`, except for wide numbers. Numbers compare by value across types, booleans are 1 and 0, the order of
/// keys does not count, and NaN equals NaN.
impl PartialEq for Json {
    fn eq(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Null, Json::Null) => true,
            (Json::Text(a), Json::Text(b)) => a == b,
            (Json::List(a), Json::List(b)) => a == b,
            (Json::Object(a), Json::Object(b)) => a == b,
            // `json.loads` returns the same object for every NaN, and containers compare by identity first.
            (Json::Float(a), Json::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
            (Json::Wide(literal), other) | (other, Json::Wide(literal)) => match other {
                Json::Int(other) | Json::Wide(other) => exact::same_number(literal, other),
                // Python reads a number beyond all doubles as infinity.
                Json::Float(float) => float.is_infinite() && literal.parse() == Ok(*float),
                // No other float is equal: it has fewer digits than the number.
                _ => false,
            },
            _ => match (self.whole(), other.whole()) {
                (Some(a), Some(b)) => a == b,
                _ => false,
            },
        }
    }
}

impl Json {
    /// Exact decimal digits of a number without a fraction.
    fn whole(&self) -> Option<String> {
        match self {
            Json::Bool(bool) => Some(u8::from(*bool).to_string()),
            Json::Int(digits) => Some(digits.clone()),
            // `{:.0}` writes every digit of a float of any size; adding 0 makes -0.0 positive.
            Json::Float(float) if float.is_finite() && float.fract() == 0.0 => {
                Some(format!("{:.0}", float + 0.0))
            }
            _ => None,
        }
    }
}

/// Format of `json.dumps(value, ensure_ascii=False)`: a space after `:` and `,`.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(bool) => write!(f, "{bool}"),
            Json::Int(literal) | Json::Wide(literal) => f.write_str(literal),
            Json::Float(float) => f.write_str(&float_repr(*float)),
            Json::Text(text) => f.write_str(&quoted(text)),
            Json::List(items) => {
                f.write_char('[')?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
                }
                f.write_char(']')
            }
            Json::Object(object) => f.write_str(&dumps(object)),
        }
    }
}

/// Writes an object in the format of `json.dumps(object, ensure_ascii=False)`.
pub fn dumps(object: &Object) -> String {
    let members: Vec<String> =
        object.iter().map(|(key, value)| format!("{}: {value}", quoted(key))).collect();
    format!("{{{}}}", members.join(", "))
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is written to memory")
}

/// Format of Python's `repr(float)`: the shortest digits that round-trip, and an exponent with a sign and at least two
/// digits.
fn float_repr(float: f64) -> String {
    if float.is_nan() {
        return "NaN".into();
    }
    if float.is_infinite() {
        return if float > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    // Rust's debug format switches to an exponent at the same magnitudes as Python.
    let text = format!("{float:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => {
            let (sign, size) = match exponent.strip_prefix('-') {
                Some(size) => ('-', size),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{size:0>2}")
        }
    }
}

#[cfg(test)]
mod tests;
