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
    values.iter().all(|value| seen.insert(normal_text(value)))
}

/// A text that is the same for equal values, and for no others.
pub(crate) fn normal_text(value: &Value) -> String {
    let mut text = String::new();
    normalize(value, &mut text);
    text
}

/// Those of `values` that are, or are not, equal to one of `others`, as `wanted` says.
pub(crate) fn retain_equal(values: &mut Vec<&Value>, others: &[&Value], wanted: bool) {
    if others.is_empty() && !wanted {
        return;
    }
    let others: HashSet<String> = others.iter().map(|value| normal_text(value)).collect();
    values.retain(|value| others.contains(&normal_text(value)) == wanted);
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equal_values_and_no_others_have_one_text() {
        let values = [
            json!(1),
            json!(1.0),
            json!("1.0"),
            json!("1."),
            json!(-0.0),
            json!(0),
            json!(null),
            json!("null"),
            json!([1, 2]),
            json!([12]),
            json!([1.0, 2]),
            json!({"a": 1, "b": [1]}),
            json!({"b": [1.0], "a": 1}),
            json!({"a": 1}),
            json!({"a,": 1}),
            json!([]),
            json!({}),
            json!("[]"),
            json!(true),
        ];
        for a in &values {
            for b in &values {
                assert_eq!(normal_text(a) == normal_text(b), equal(a, b), "{a} {b}");
            }
        }
        assert!(!are_distinct(&[json!(1), json!([]), json!(1.0)]));
    }
}
