//! The negation of a schema, as alternatives.

use serde_json::Value;

use super::Normalizer;
use super::conjunction::Item;
use crate::schema::options::Meaning;
use crate::schema::read::{Id, keyword};
use crate::schema::terminal::encode::Spelling;
use crate::schema::terminal::format::{self, Format};
use crate::schema::terminal::{multiple, pattern};
use crate::schema::value::types;

/// Keywords that can be negated by another limit.
const NEGATED_BY_LIMIT: [&str; 10] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
];
/// Most alternatives of a negation.
const MAX_ALTERNATIVES: usize = 16;

/// Alternatives, each a conjunction.
type Conjunctions = Vec<Vec<Item>>;

impl<'a> Normalizer<'a> {
    /// The negation of a schema as alternatives; `None` if no grammar can express it.
    pub(super) fn negate(&mut self, id: Id, depth: usize) -> Option<Conjunctions> {
        if depth > 6 || !self.step(id) {
            return None;
        }
        let map = match self.document.value(id) {
            Value::Bool(true) => return Some(vec![]),
            Value::Bool(false) => return Some(vec![vec![]]),
            Value::Object(map) => map,
            _ => return None,
        };
        let only_ref = map.contains_key("$ref") && self.document.before_2019();
        let mut out = Conjunctions::new();
        for (keyword, value) in map {
            if only_ref && keyword != "$ref" {
                continue;
            }
            out.extend(self.negate_keyword(id, keyword, value, depth)?);
        }
        if out.len() > MAX_ALTERNATIVES { None } else { Some(out) }
    }

    /// The values that violate one keyword of the schema `id`.
    fn negate_keyword(&mut self, id: Id, word: &str, value: &'a Value, depth: usize) -> Option<Conjunctions> {
        Some(match word {
            "type" => vec![vec![Item::Types(types::ALL & !named_types(value)?)]],
            "enum" | "const" if self.document.knows(word) => {
                negated_values(id, self.document.value(id), value)?
            }
            "required" => value
                .as_array()?
                .iter()
                .filter_map(Value::as_str)
                .map(|key| vec![Item::Types(types::OBJECT), Item::Absent(key.into())])
                .collect(),
            "properties" => self.negate_properties(id, value, depth)?,
            "allOf" => {
                let mut out = Conjunctions::new();
                for child in value.as_array()? {
                    let child = self.document.child(id, child);
                    out.extend(self.negate(child, depth + 1)?);
                }
                out
            }
            "anyOf" => self.negate_any_of(id, value, depth)?,
            "not" => vec![vec![Item::Schema(self.document.child(id, value))]],
            "format" => match format::format(value.as_str()?, Meaning::Standard) {
                Format::Exact(_) => vec![vec![Item::Violates(id, "format")]],
                Format::Unknown => vec![],
                Format::Wider(_) | Format::Unwritten => return None,
            },
            "pattern" => {
                pattern::written(value.as_str()?, Spelling::Json).ok()?;
                vec![vec![Item::Violates(id, "pattern")]]
            }
            "multipleOf" => {
                multiple::every_multiple(value, self.limits())?;
                vec![vec![Item::Violates(id, "multipleOf")]]
            }
            // Draft 4's boolean beside the bound.
            "exclusiveMinimum" | "exclusiveMaximum" if value.is_boolean() => vec![],
            _ if self.document.knows(word) && NEGATED_BY_LIMIT.contains(&word) => {
                let word = NEGATED_BY_LIMIT.iter().find(|w| **w == word)?;
                vec![vec![Item::Violates(id, word)]]
            }
            "$ref" => {
                let target = self.document.resolve_inside(id, value.as_str()?)?;
                self.negate(target, depth + 1)?
            }
            "if" => self.negate_if(id, value, depth)?,
            "then" | "else" => vec![],
            "additionalProperties"
            | "items"
            | "additionalItems"
            | "propertyNames"
            | "unevaluatedItems"
            | "unevaluatedProperties"
                if keyword::constrains_nothing(value) =>
            {
                vec![]
            }
            "uniqueItems" if value == &Value::Bool(false) => vec![],
            _ if keyword::is_annotation(word) => vec![],
            _ if self.document.knows(word) && keyword::is_constraint(word) => return None,
            _ => vec![],
        })
    }

    fn negate_properties(&mut self, id: Id, value: &'a Value, depth: usize) -> Option<Conjunctions> {
        let mut out = Conjunctions::new();
        for (key, child) in value.as_object()? {
            let child = self.document.child(id, child);
            for option in self.negate(child, depth + 1)? {
                let mut items = vec![Item::Present(key.as_str().into())];
                items.extend(option.into_iter().map(|i| Item::Property(key.as_str().into(), Box::new(i))));
                out.push(items);
            }
        }
        Some(out)
    }

    fn negate_any_of(&mut self, id: Id, value: &'a Value, depth: usize) -> Option<Conjunctions> {
        let mut product: Conjunctions = vec![vec![]];
        for child in value.as_array()? {
            let child = self.document.child(id, child);
            let options = self.negate(child, depth + 1)?;
            product = combined(&product, &options);
            if product.len() > MAX_ALTERNATIVES {
                return None;
            }
        }
        Some(product)
    }

    fn negate_if(&mut self, id: Id, value: &'a Value, depth: usize) -> Option<Conjunctions> {
        let schema = self.document.value(id);
        let condition = self.document.child(id, value);
        let mut out = Conjunctions::new();
        if let Some(then) = schema.get("then") {
            let then = self.document.child(id, then);
            for mut items in self.negate(then, depth + 1)? {
                items.push(Item::Schema(condition));
                out.push(items);
            }
        }
        if let Some(otherwise) = schema.get("else") {
            let otherwise = self.document.child(id, otherwise);
            let (not, other) = (self.negate(condition, depth + 1)?, self.negate(otherwise, depth + 1)?);
            out.extend(combined(&not, &other));
        }
        Some(out)
    }
}

/// Each conjunction of `a` with each of `b`.
fn combined(a: &[Vec<Item>], b: &[Vec<Item>]) -> Conjunctions {
    a.iter().flat_map(|x| b.iter().map(move |y| [x.as_slice(), y].concat())).collect()
}

/// The types in the value of `type`; `None` if it is malformed.
fn named_types(value: &Value) -> Option<u8> {
    match value {
        Value::String(word) => types::named(word),
        Value::Array(words) => {
            let each = words.iter().filter_map(|word| word.as_str().and_then(types::named));
            Some(each.fold(0, |a, b| a | b))
        }
        _ => None,
    }
}

/// The negation of the `enum` or `const` with this value in `schema`.
fn negated_values(id: Id, schema: &Value, value: &Value) -> Option<Conjunctions> {
    let is_scalar = |v: &Value| !v.is_array() && !v.is_object();
    let (listed, single) = (schema.get("enum"), schema.get("const"));
    let expressible = match value {
        Value::Array(each) if listed.is_some() => each.iter().all(is_scalar),
        other => is_scalar(other),
    };
    (expressible && !(listed.is_some() && single.is_some())).then(|| vec![vec![Item::Exclude(id)]])
}
