//! Values of one terminal: null, booleans, numbers, enumerations.

use std::collections::HashSet;

use serde_json::Value;

use super::emitter::Emitter;
use super::members::{Member, Members};
use crate::json;
use crate::schema::normal::Shape;
use crate::schema::options::Meaning;
use crate::schema::terminal::encode::{ANY_CHAR, CANONICAL_CHAR};
use crate::schema::terminal::literal::string_literal;
use crate::schema::terminal::multiple;
use crate::schema::terminal::number::{self, Limits};
use crate::schema::terminal::range::{self, READABLE_DIGITS};
use crate::schema::value::types;

/// Integer digits of the bound next to zero, if all numbers are on one side of zero.
fn near_digits(shape: &Shape<'_>) -> usize {
    let low = shape.low.as_ref().filter(|bound| !bound.value.negative);
    let high = shape.high.as_ref().filter(|bound| bound.value.negative);
    low.into_iter().chain(high).map(|bound| bound.value.integer.len()).max().unwrap_or(0)
}

/// Integer digits of the longest readable bound.
fn bound_digits(shape: &Shape<'_>) -> usize {
    let digits = shape.low.iter().chain(&shape.high).map(|bound| bound.value.integer.len());
    digits.filter(|digits| *digits <= READABLE_DIGITS).max().unwrap_or(0)
}

impl<'a> Emitter<'a> {
    /// An expression for each type that the shape allows.
    pub(super) fn expressions(&mut self, shape: &Shape<'a>) -> Vec<String> {
        if let Some(values) = &shape.values {
            return self.enumerated(values);
        }
        if shape.types == types::ALL && shape.conjunction.items().is_empty() {
            return vec![self.anything()];
        }
        let mut out = Vec::new();
        let left = |v: Value| !shape.excluded.contains(&&v);
        if shape.types & types::NULL != 0 && left(Value::Null) {
            out.push("\"null\"".to_string());
        }
        if shape.types & types::BOOLEAN != 0 {
            for b in [true, false] {
                if left(Value::Bool(b)) {
                    out.push(format!("\"{b}\""));
                }
            }
        }
        if shape.types & (types::INTEGER | types::FRACTION) != 0 {
            out.extend(self.number(shape));
        }
        if shape.types & types::STRING != 0 {
            out.extend(self.string(shape));
        }
        if shape.types & types::ARRAY != 0 {
            out.extend(self.array(shape));
        }
        if shape.types & types::OBJECT != 0 {
            out.extend(self.object(shape));
        }
        out
    }

    pub(super) fn any_number(&mut self) -> String {
        let text = number::any(self.normal.limits());
        self.rules.terminal(format!("/{text}/"))
    }

    pub(super) fn any_string(&mut self) -> String {
        self.rules.terminal(format!("/\"{ANY_CHAR}*\"/"))
    }

    /// The terminal of any key. It is canonical, so that equal keys have equal texts.
    pub(super) fn key_terminal(&mut self) -> String {
        self.rules.terminal(format!("/\"{CANONICAL_CHAR}*\"/"))
    }

    fn number(&mut self, shape: &Shape<'a>) -> Option<String> {
        let limits = self.normal.limits();
        let whole = shape.types & types::FRACTION == 0;
        let mut parts = Vec::new();
        // Exclusions are expressed by digits, so exponents are not allowed with them.
        let plain =
            !shape.not_multiples.is_empty() || shape.excluded.iter().any(|v| json::number_text(v).is_some());
        let base = if shape.low.is_some() || shape.high.is_some() {
            range::range(shape.low.as_ref(), shape.high.as_ref(), whole, limits)?
        } else if whole {
            number::any_integer(limits)
        } else if plain {
            number::plain(limits)
        } else {
            number::any(limits)
        };
        parts.push(self.rules.terminal(format!("/{base}/")));
        // Bounds may lead to longer literals.
        let long =
            Limits { integer: limits.integer.max(near_digits(shape) + 1).max(bound_digits(shape)), ..limits };
        if shape.types & types::INTEGER == 0 {
            let integers = number::every_integer(long);
            parts.push(format!("~{}", self.rules.terminal(format!("/{integers}/"))));
        }
        for (id, divisor) in &shape.multiples {
            match multiple::multiples(divisor, whole, long) {
                Some(text) => parts.push(self.rules.terminal(format!("/{text}/"))),
                None => {
                    self.normal.relax(*id, "multipleOf", "its last digits do not tell a multiple");
                    // Few enough digits that all validators agree, with or without doubles.
                    let places = divisor.fraction.len();
                    let few = Limits { integer: 14_usize.saturating_sub(places), fraction: places, ..limits };
                    if self.normal.meaning == Meaning::Tool && near_digits(shape) <= few.integer + 1 {
                        parts.push(self.rules.terminal(format!("/{}/", number::plain(few))));
                    }
                }
            }
        }
        for value in &shape.excluded {
            if let Some(literal) = json::number_text(value) {
                let same = number::every_spelling(&literal, self.normal.meaning);
                parts.push(format!("~{}", self.rules.terminal(format!("/{same}/"))));
            }
        }
        for divisor in &shape.not_multiples {
            if let Some(text) = multiple::every_multiple(divisor, limits) {
                parts.push(format!("~{}", self.rules.terminal(format!("/{text}/"))));
            }
        }
        Some(self.all_of(parts))
    }

    /// The intersection of the terminals.
    pub(super) fn all_of(&mut self, parts: Vec<String>) -> String {
        if parts.len() == 1 {
            return parts.into_iter().next().expect("there is one");
        }
        self.rules.terminal(parts.join(" & "))
    }

    /// Terminals of enumerated values; strings share one, and so do numbers.
    fn enumerated(&mut self, values: &[&'a Value]) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let (mut strings, mut numbers): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for value in values {
            if let Some(literal) = json::number_text(value) {
                let text = format!("/{}/", number::spellings(&literal, self.normal.meaning));
                if seen.insert(text.clone()) {
                    numbers.push(text);
                }
                continue;
            }
            match value {
                Value::String(text) => {
                    let text = string_literal(text);
                    if seen.insert(text.clone()) {
                        strings.push(text);
                    }
                }
                other => {
                    let text = self.constant(other);
                    if !out.contains(&text) {
                        out.push(text);
                    }
                }
            }
        }
        for group in [strings, numbers] {
            if !group.is_empty() {
                out.push(self.rules.terminal(group.join(" | ")));
            }
        }
        out
    }

    /// An expression for one value; an object's keys may come in any order.
    pub(super) fn constant(&mut self, value: &Value) -> String {
        if let Some(literal) = json::number_text(value) {
            let text = number::spellings(&literal, self.normal.meaning);
            return self.rules.terminal(format!("/{text}/"));
        }
        match value {
            Value::Null => "\"null\"".into(),
            Value::Bool(b) => format!("\"{b}\""),
            Value::Number(_) => unreachable!("every number has a text"),
            Value::String(text) => string_literal(text),
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|v| self.constant(v)).collect();
                let name = self.rules.fresh("c");
                self.rules.add(name.clone(), format!("\"[\" {} \"]\"", items.join(" \", \" ")));
                name
            }
            Value::Object(map) => {
                let members = map
                    .iter()
                    .map(|(key, v)| Member {
                        key: key.as_str().into(),
                        required: true,
                        value: self.constant(v),
                    })
                    .collect();
                self.members(Members { members, ..Members::default() })
                    .expect("nothing forbids the keys of a constant")
            }
        }
    }
}
