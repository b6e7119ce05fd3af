//! The keywords of one schema, merged into a shape.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::Normalizer;
use super::shape::{ArrayPart, Contains, ObjectPart, Shape};
use crate::json;
use crate::schema::read::{Id, keyword};
use crate::schema::report::Status;
use crate::schema::value::decimal::Decimal;

/// Treatment of a keyword.
enum Outcome {
    /// The shape has all of it.
    Enforced,
    /// It constrains nothing, for this reason.
    Annotation(&'static str),
    /// It is left to the check of the complete value, for this reason.
    Relaxed(&'static str),
    /// Its value has the wrong kind.
    Malformed,
    /// Another place decides and reports it.
    Elsewhere,
}

impl Outcome {
    fn enforced_if(understood: bool) -> Outcome {
        if understood { Outcome::Enforced } else { Outcome::Malformed }
    }
}

/// A keyword in its schema.
struct Keyword<'a> {
    id: Id,
    word: &'a str,
    value: &'a Value,
    schema: &'a Map<String, Value>,
    before_2019: bool,
}

impl Keyword<'_> {
    /// True if `items` is an array, as in older drafts.
    fn has_items_array(&self) -> bool {
        matches!(self.schema.get("items"), Some(Value::Array(_)))
    }
}

/// A shape, and the keywords on members and items of the schema that is merged into it.
struct Merging<'s, 'a> {
    shape: &'s mut Shape<'a>,
    object: ObjectPart<'a>,
    array: ArrayPart<'a>,
}

/// Merges one keyword.
type Merge = for<'a> fn(&Keyword<'a>, &mut Merging<'_, 'a>) -> Outcome;

/// The keywords that a shape is made of.
static KEYWORDS: &[(&str, Merge)] = &[
    // Handled during flattening and expansion of choices.
    ("type", elsewhere),
    ("$ref", elsewhere),
    ("allOf", elsewhere),
    ("anyOf", elsewhere),
    ("oneOf", elsewhere),
    ("not", elsewhere),
    ("if", elsewhere),
    ("then", branch),
    ("else", branch),
    ("dependencies", elsewhere),
    ("dependentRequired", elsewhere),
    ("dependentSchemas", elsewhere),
    ("$dynamicRef", elsewhere),
    ("$recursiveRef", elsewhere),
    ("unevaluatedProperties", elsewhere),
    ("unevaluatedItems", elsewhere),
    ("enum", |k, m| match k.value {
        Value::Array(each) => {
            m.shape.narrow(each.iter().collect());
            Outcome::Enforced
        }
        _ => Outcome::Malformed,
    }),
    ("const", |k, m| {
        m.shape.narrow(vec![k.value]);
        Outcome::Enforced
    }),
    ("minimum", lower_bound),
    ("exclusiveMinimum", lower_bound),
    ("maximum", upper_bound),
    ("exclusiveMaximum", upper_bound),
    ("multipleOf", |k, m| {
        let Some(divisor) = number(k.value) else { return Outcome::Malformed };
        m.shape.multiples.push((k.id, divisor));
        Outcome::Enforced
    }),
    ("minLength", |k, m| at_least(&mut m.shape.min_length, k)),
    ("maxLength", |k, m| at_most(&mut m.shape.max_length, k)),
    ("pattern", |k, m| match k.value {
        Value::String(text) => {
            m.shape.patterns.push((k.id, text));
            Outcome::Enforced
        }
        _ => Outcome::Malformed,
    }),
    ("format", |k, m| match k.value {
        Value::String(text) => {
            // The string's rules set the final status.
            m.shape.formats.push((k.id, text));
            Outcome::Annotation("")
        }
        _ => Outcome::Malformed,
    }),
    ("contentMediaType", content),
    ("contentEncoding", content),
    ("contentSchema", content),
    ("items", |k, m| {
        if k.has_items_array() {
            return prefix_items(k, m);
        }
        m.array.rest = Some(k.value);
        Outcome::Enforced
    }),
    ("prefixItems", prefix_items),
    ("additionalItems", |k, m| {
        if !k.has_items_array() {
            return Outcome::Annotation("only beside an array of items");
        }
        m.array.rest = Some(k.value);
        Outcome::Enforced
    }),
    ("minItems", |k, m| at_least(&mut m.shape.min_items, k)),
    ("maxItems", |k, m| at_most(&mut m.shape.max_items, k)),
    ("uniqueItems", |k, m| {
        if k.value == &Value::Bool(true) {
            m.shape.unique.push(k.id);
        }
        Outcome::Elsewhere
    }),
    ("contains", |k, m| {
        let limit = |word: &str| k.schema.get(word).filter(|_| !k.before_2019);
        let (min, max) = (limit("minContains"), limit("maxContains"));
        m.shape.contains.push(Contains { id: k.id, schema: k.value, min, max });
        Outcome::Elsewhere
    }),
    ("minContains", elsewhere),
    ("maxContains", elsewhere),
    ("properties", |k, m| match k.value {
        Value::Object(each) => {
            m.object.properties = Some(each);
            Outcome::Enforced
        }
        _ => Outcome::Malformed,
    }),
    ("patternProperties", |k, m| match k.value {
        Value::Object(each) => {
            m.object.patterns = each.iter().map(|(k, v)| (k.as_str(), v)).collect();
            Outcome::Enforced
        }
        _ => Outcome::Malformed,
    }),
    ("additionalProperties", |k, m| {
        m.object.additional = Some(k.value);
        Outcome::Enforced
    }),
    ("required", |k, m| match k.value {
        Value::Array(keys) => {
            m.shape.required.extend(keys.iter().filter_map(Value::as_str).map(Rc::from));
            Outcome::Enforced
        }
        _ => Outcome::Malformed,
    }),
    ("minProperties", |k, m| at_least(&mut m.shape.min_properties, k)),
    ("maxProperties", |k, m| at_most(&mut m.shape.max_properties, k)),
    ("propertyNames", |k, m| {
        m.shape.names.push((k.id, k.value));
        Outcome::Enforced
    }),
];

fn elsewhere(_: &Keyword<'_>, _: &mut Merging<'_, '_>) -> Outcome {
    Outcome::Elsewhere
}

fn branch(k: &Keyword<'_>, _: &mut Merging<'_, '_>) -> Outcome {
    if k.schema.contains_key("if") { Outcome::Elsewhere } else { Outcome::Annotation("there is no if") }
}

fn lower_bound(k: &Keyword<'_>, m: &mut Merging<'_, '_>) -> Outcome {
    let Some(value) = number(k.value) else { return Outcome::enforced_if(k.value.is_boolean()) };
    m.shape.above(value, is_exclusive(k, "exclusiveMinimum"));
    Outcome::Enforced
}

fn upper_bound(k: &Keyword<'_>, m: &mut Merging<'_, '_>) -> Outcome {
    let Some(value) = number(k.value) else { return Outcome::enforced_if(k.value.is_boolean()) };
    m.shape.below(value, is_exclusive(k, "exclusiveMaximum"));
    Outcome::Enforced
}

/// True if a bound is exclusive: by its keyword, or by Draft 4's boolean beside it.
fn is_exclusive(k: &Keyword<'_>, exclusive: &str) -> bool {
    k.word == exclusive || k.schema.get(exclusive) == Some(&Value::Bool(true))
}

fn content(k: &Keyword<'_>, _: &mut Merging<'_, '_>) -> Outcome {
    if k.before_2019 {
        Outcome::Relaxed("the text inside the string is not followed")
    } else {
        Outcome::Annotation("")
    }
}

fn prefix_items<'a>(k: &Keyword<'a>, m: &mut Merging<'_, 'a>) -> Outcome {
    let Value::Array(each) = k.value else { return Outcome::Malformed };
    m.array.prefix = each;
    Outcome::Enforced
}

fn at_least(limit: &mut u64, k: &Keyword<'_>) -> Outcome {
    let Some(n) = count(k.value) else { return Outcome::Malformed };
    *limit = (*limit).max(n);
    Outcome::Enforced
}

fn at_most(limit: &mut Option<u64>, k: &Keyword<'_>) -> Outcome {
    let Some(n) = count(k.value) else { return Outcome::Malformed };
    *limit = Some(limit.map_or(n, |old| old.min(n)));
    Outcome::Enforced
}

impl<'a> Normalizer<'a> {
    /// Merges the keywords of the schema `id` into `shape`.
    pub(super) fn merge(&mut self, id: Id, shape: &mut Shape<'a>) {
        let Value::Object(schema) = self.document.value(id) else { return };
        let object = ObjectPart { id, properties: None, patterns: Vec::new(), additional: None };
        let array = ArrayPart { id, prefix: &[], rest: None };
        let mut merging = Merging { shape, object, array };
        let before_2019 = self.document.before_2019();
        for (word, value) in schema {
            let keyword = Keyword { id, word, value, schema, before_2019 };
            match self.merge_keyword(&keyword, &mut merging) {
                Outcome::Enforced => self.mark(id, word, Status::Enforced, ""),
                Outcome::Annotation(note) => self.mark(id, word, Status::Annotation, note),
                Outcome::Relaxed(note) => self.relax(id, word, note),
                Outcome::Malformed => {
                    self.refuse(id, word, &format!("has a value of the wrong kind: {value}"));
                }
                Outcome::Elsewhere => {}
            }
        }
        let Merging { shape, object, array } = merging;
        if object.properties.is_some() || !object.patterns.is_empty() || object.additional.is_some() {
            shape.objects.push(object);
        }
        if !array.prefix.is_empty() || array.rest.is_some() {
            shape.arrays.push(array);
        }
    }

    fn merge_keyword(&self, keyword: &Keyword<'a>, merging: &mut Merging<'_, 'a>) -> Outcome {
        if keyword::is_annotation(keyword.word) {
            return Outcome::Annotation("");
        }
        if !self.document.knows(keyword.word) {
            return Outcome::Annotation("not a keyword of this draft");
        }
        if !matches!(keyword.word, "type" | "enum" | "const" | "$ref" | "allOf") {
            merging.shape.constrained = true;
        }
        match KEYWORDS.iter().find(|(word, _)| *word == keyword.word) {
            Some((_, merge)) => merge(keyword, merging),
            None => Outcome::Annotation("not a keyword that is known"),
        }
    }

    /// Limits the shape to values that violate one keyword of `id`.
    pub(super) fn merge_violation(&mut self, id: Id, word: &'static str, shape: &mut Shape<'a>) {
        let Value::Object(map) = self.document.value(id) else { return };
        let Some(value) = map.get(word) else { return };
        self.mark(id, word, Status::Enforced, "");
        shape.constrained = true;
        let flag = |word: &str| map.get(word) == Some(&Value::Bool(true));
        let more = |n: &mut u64| *n = (*n).max(count(value).unwrap_or(0).saturating_add(1));
        let mut never = false;
        let mut less = |n: &mut Option<u64>| match count(value) {
            Some(0) | None => never = true,
            Some(c) => *n = Some(n.map_or(c - 1, |old| old.min(c - 1))),
        };
        match word {
            "minimum" | "exclusiveMinimum" => {
                let exclusive = word == "minimum" && !flag("exclusiveMinimum");
                if let Some(value) = number(value) {
                    shape.below(value, exclusive);
                }
            }
            "maximum" | "exclusiveMaximum" => {
                let exclusive = word == "maximum" && !flag("exclusiveMaximum");
                if let Some(value) = number(value) {
                    shape.above(value, exclusive);
                }
            }
            "minLength" => less(&mut shape.max_length),
            "maxLength" => more(&mut shape.min_length),
            "minItems" => less(&mut shape.max_items),
            "maxItems" => more(&mut shape.min_items),
            "minProperties" => less(&mut shape.max_properties),
            "maxProperties" => more(&mut shape.min_properties),
            "multipleOf" => shape.not_multiples.push(value),
            "pattern" => shape.not_patterns.extend(value.as_str()),
            "format" => shape.not_formats.extend(value.as_str()),
            _ => {}
        }
        if never {
            shape.types = 0;
            shape.values = Some(Vec::new());
        }
    }
}

fn number(value: &Value) -> Option<Decimal> {
    Decimal::from_value(value)
}

fn count(value: &Value) -> Option<u64> {
    if let Some(literal) = json::wide_number(value) {
        return Some(if literal.starts_with('-') { 0 } else { u64::MAX });
    }
    value.as_u64().or_else(|| value.as_f64().map(|f| f.max(0.0) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_keyword_that_may_refuse_a_value_is_in_the_table() {
        let table: BTreeSet<&str> = KEYWORDS.iter().map(|(word, _)| *word).collect();
        assert_eq!(table, BTreeSet::from(keyword::CONSTRAINTS));
    }
}
