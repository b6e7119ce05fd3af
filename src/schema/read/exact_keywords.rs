//! Keywords on numbers that compare decimal digits, for the full validator.
//!
//! The validator itself holds numbers as doubles. So it gets a schema in which wide numbers are rounded
//! ([`rounded_schema`]), and its keywords on numbers are replaced by those here, which read numbers as they are written.

use std::collections::HashSet;

use jsonschema::json::Node;
use jsonschema::{Keyword, ValidationError, ValidationOptions};
use referencing::Draft;
use serde_json::{Map, Value};

use super::exact::{Exact, ExactNode};
use super::keyword::HOLD_NAMED_SCHEMAS;
use crate::json;
use crate::schema::value::decimal::Decimal;
use crate::schema::value::normal_text;

/// Keywords whose value is a number to compare with.
const BOUNDS: [&str; 5] = ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"];
/// Start of the name under which a schema keeps the number as it is written, beside the keyword with the double.
const EXACT: &str = "\u{10ffff}";
/// Digits that every double tells apart. Longer fractions are compared as decimals and as doubles, since other
/// programs read them as doubles.
const SAFE_DIGITS: usize = 15;

/// `schema` for the validator: wide numbers rounded, and those of the keywords here kept beside them as well.
pub(super) fn rounded_schema(schema: &Value) -> Value {
    let mut schema = schema.clone();
    round_in_schema(&mut schema);
    schema
}

fn round_in_schema(schema: &mut Value) {
    let Value::Object(map) = schema else {
        if let Value::Array(each) = schema {
            each.iter_mut().for_each(round_in_schema);
        } else {
            json::round(schema);
        }
        return;
    };
    for word in BOUNDS {
        if let Some(exact) = map.get(word).filter(|value| json::wide_number(value).is_some()) {
            map.insert(format!("{EXACT}{word}"), exact.clone());
        }
    }
    for (word, value) in map {
        match (word.as_str(), value) {
            // The keywords here read these as they are.
            ("const" | "enum", _) => {}
            (word, Value::Object(named)) if HOLD_NAMED_SCHEMAS.contains(&word) => {
                named.values_mut().for_each(round_in_schema);
            }
            (word, _) if word.starts_with(EXACT) => {}
            (_, value) => round_in_schema(value),
        }
    }
}

/// Replaces the keywords on numbers.
pub(super) fn with_exact_keywords<'i, R>(
    options: ValidationOptions<'i, R, Exact>,
    draft: Draft,
) -> ValidationOptions<'i, R, Exact> {
    let mut options = options.with_keyword("enum", |_, value, _| {
        Ok(Box::new(Enumerated::new(value.as_array().map_or(&[], Vec::as_slice), false)))
    });
    if draft != Draft::Draft4 {
        options = options.with_keyword("const", |_, value, _| {
            Ok(Box::new(Enumerated::new(std::slice::from_ref(value), true)))
        });
    }
    for word in BOUNDS {
        options =
            options.with_keyword(word, move |map, value, _| Ok(Box::new(Bounded::new(word, map, value))));
    }
    options
}

/// `enum` and `const`.
struct Enumerated {
    values: HashSet<String>,
    is_const: bool,
    /// The values in words.
    shown: String,
}

impl Enumerated {
    fn new(values: &[Value], is_const: bool) -> Enumerated {
        Enumerated { values: values.iter().map(normal_text).collect(), is_const, shown: listed(values) }
    }
}

impl<'i> Keyword<'i, Exact> for Enumerated {
    fn validate(&self, instance: ExactNode<'i>) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) {
            return Ok(());
        }
        Err(ValidationError::custom(match self.is_const {
            true => format!("{} was expected", self.shown),
            false => format!("{} is not one of {}", json::shown(instance.0), self.shown),
        }))
    }

    fn is_valid(&self, instance: ExactNode<'i>) -> bool {
        self.values.contains(&normal_text(instance.0))
    }
}

/// The allowed values in words: all of them, or the first two.
fn listed(values: &[Value]) -> String {
    let shown: Vec<_> = values.iter().take(3).map(json::shown).collect();
    match (shown.as_slice(), values.len()) {
        ([], _) => String::new(),
        ([only], _) => only.to_string(),
        ([a, b], _) => format!("{a} or {b}"),
        ([a, b, c, ..], 3) => format!("{a}, {b} or {c}"),
        ([a, b, ..], n) => format!("{a}, {b} or {} other candidates", n - 2),
    }
}

/// A bound or a divisor.
struct Bounded {
    word: &'static str,
    exclusive: bool,
    /// `None` if the keyword has no number, as Draft 4's boolean beside the bound.
    limit: Option<Readings>,
    shown: String,
}

impl Bounded {
    fn new(word: &'static str, map: &Map<String, Value>, value: &Value) -> Bounded {
        let value = map.get(&format!("{EXACT}{word}")).unwrap_or(value);
        let flag = match word {
            "minimum" => "exclusiveMinimum",
            "maximum" => "exclusiveMaximum",
            _ => "",
        };
        let exclusive = word.starts_with("exclusive") || map.get(flag) == Some(&Value::Bool(true));
        Bounded { word, exclusive, limit: Readings::new(value), shown: json::shown(value).into_owned() }
    }

    fn accepts(&self, number: &Decimal, limit: &Decimal) -> bool {
        match self.word {
            "multipleOf" => number.is_multiple_of(limit),
            "minimum" | "exclusiveMinimum" => number > limit || (!self.exclusive && number == limit),
            _ => number < limit || (!self.exclusive && number == limit),
        }
    }
}

impl<'i> Keyword<'i, Exact> for Bounded {
    fn validate(&self, instance: ExactNode<'i>) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) {
            return Ok(());
        }
        let relation = match self.word {
            "multipleOf" => "not a multiple of",
            word if word.ends_with("inimum") && self.exclusive => "less than or equal to the minimum of",
            word if word.ends_with("inimum") => "less than the minimum of",
            _ if self.exclusive => "greater than or equal to the maximum of",
            _ => "greater than the maximum of",
        };
        Err(ValidationError::custom(format!("{} is {relation} {}", json::shown(instance.0), self.shown)))
    }

    fn is_valid(&self, instance: ExactNode<'i>) -> bool {
        let Some(limit) = &self.limit else { return true };
        if !instance.is_number() {
            return true;
        }
        let Some(number) = Readings::new(instance.0) else { return false };
        // A fraction as a divisor means decimal digits: 19.99 is a multiple of 0.01.
        let decimal_only = self.word == "multipleOf" && !limit.exact.is_integer();
        let rounds = (number.double.is_some() || limit.double.is_some()) && !decimal_only;
        self.accepts(&number.exact, &limit.exact)
            && (!rounds || self.accepts(number.as_double(), limit.as_double()))
    }
}

/// A number as its digits say, and as a program reads it that holds long fractions as doubles.
struct Readings {
    exact: Decimal,
    /// `None` if it is the same.
    double: Option<Decimal>,
}

impl Readings {
    fn new(value: &Value) -> Option<Readings> {
        let text = json::number_text(value)?;
        let exact = Decimal::parse(&text)?;
        let is_long = text.contains(['.', 'e', 'E']) && exact.digits() > SAFE_DIGITS;
        let double = exact.as_double().filter(|double| is_long && *double != exact);
        Some(Readings { exact, double })
    }

    fn as_double(&self) -> &Decimal {
        self.double.as_ref().unwrap_or(&self.exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(schema: &str, instance: &str) -> Result<(), String> {
        let schema = rounded_schema(&json::parse_exact(schema).unwrap());
        let options = with_exact_keywords(jsonschema::options_for::<Exact>(), Draft::Draft202012);
        let validator = options.build(&schema).unwrap();
        let instance = json::parse_exact(instance).unwrap();
        let verdict = validator.validate(ExactNode(&instance)).map_err(|error| error.to_string());
        assert_eq!(verdict.is_ok(), validator.is_valid(ExactNode(&instance)), "{schema} {instance}");
        verdict
    }

    #[test]
    fn numbers_past_64_bits_are_compared_by_all_of_their_digits() {
        for (schema, right, wrong) in [
            (r#"{"const": 18446744073709551617}"#, "18446744073709551617", "18446744073709551616"),
            (
                r#"{"enum": [1, {"a": [-9223372036854775809]}]}"#,
                r#"{"a": [-9223372036854775809]}"#,
                r#"{"a": [-9223372036854775808]}"#,
            ),
            (r#"{"minimum": 18446744073709551617}"#, "18446744073709551617", "18446744073709551616"),
            (r#"{"exclusiveMaximum": 18446744073709551617}"#, "18446744073709551616", "18446744073709551617"),
            (r#"{"multipleOf": 64}"#, "18446744073709551616", "18429401940180491777884"),
            (r#"{"type": "integer"}"#, "18446744073709551617", "18446744073709551617.5"),
            (r#"{"type": "number"}"#, "18446744073709551617", "\"18446744073709551617\""),
            (
                r#"{"uniqueItems": true}"#,
                "[18446744073709551616, 18446744073709551617]",
                "[18446744073709551617, 18446744073709551617.0]",
            ),
            (
                r#"{"properties": {"const": {"maximum": 1e-400}, "minimum": {"const": 1}}}"#,
                r#"{"const": 0, "minimum": 1.0}"#,
                r#"{"const": 1e-399}"#,
            ),
            (r#"{"not": {"const": 9007199254740993}}"#, "9007199254740992", "9007199254740993"),
            (r#"{"exclusiveMinimum": 0.3}"#, "0.31", "0.30000000000000001"),
            (r#"{"multipleOf": 0.01}"#, "19.99", "19.995"),
        ] {
            assert_eq!(verdict(schema, right), Ok(()), "{schema} {right}");
            assert!(verdict(schema, wrong).is_err(), "{schema} {wrong}");
        }
    }

    #[test]
    fn what_a_wide_number_violates_is_said_with_its_digits() {
        let message = verdict(r#"{"maximum": 18446744073709551616}"#, "18446744073709551617").unwrap_err();
        assert_eq!(message, "18446744073709551617 is greater than the maximum of 18446744073709551616");
        let message = verdict(r#"{"enum": [1, 2, 3, 4, 5]}"#, "6").unwrap_err();
        assert_eq!(message, "6 is not one of 1, 2 or 3 other candidates");
    }
}
