//! Equality of JSON values, as in JSON Schema.

use std::collections::HashSet;

use serde_json::Value;

use super::decimal::Decimal;
use crate::json;

/// Equality as in JSON Schema: 1 and 1.0 are equal.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (json::number_text(a), json::number_text(b)) {
        (Some(x), Some(y)) => match (Decimal::parse(&x), Decimal::parse(&y)) {
            (Some(x), Some(y)) => x == y,
            _ => x == y,
        },
        (None, None) => match (a, b) {
            (Value::Array(x), Value::Array(y)) => {
                x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(x, y))
            }
            (Value::Object(x), Value::Object(y)) => {
                x.len() == y.len() && x.iter().all(|(k, v)| y.get(k).is_some_and(|w| equal(v, w)))
            }
            _ => a == b,
        },
        _ => false,
    }
}

/// True if no two of `values` are equal.
pub(crate) fn are_distinct(values: &[Value]) -> bool {
    let mut seen = HashSet::new();
    values.iter().all(|value| {
        let mut text = String::new();
        normalize(value, &mut text);
        seen.insert(text)
    })
}

/// Appends a text that is the same for equal values.
fn normalize(value: &Value, out: &mut String) {
    if let Some(number) = Decimal::from_value(value) {
        let Decimal { negative, integer, fraction } = number;
        let sign = if negative { "-" } else { "" };
        out.push_str(&format!("{sign}{integer}.{fraction}"));
        return;
    }
    match value {
        Value::Array(items) => {
            out.push('[');
            for item in items {
                normalize(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (key, member) in members {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                normalize(member, out);
                out.push(',');
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
}
