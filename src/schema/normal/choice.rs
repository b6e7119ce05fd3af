//! The keywords that choose between schemas for the same value, as alternatives; and the negation of a schema.

use serde_json::Value;

use crate::schema::Meaning;
use crate::schema::emit::grammar::Compiler;
use crate::schema::normal::conjunction::{Choice, Item, types};
use crate::schema::normal::shape::Shape;
use crate::schema::read::document::{Id, Target};
use crate::schema::terminal::format::{self, Format};
use crate::schema::terminal::pattern;

/// Keywords that can be negated by another limit.
const BREAKABLE: [&str; 10] = [
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
/// Most alternatives that the branches of one `oneOf` may become when they are made mutually exclusive.
const MAX_EXCLUSIVE: usize = 48;

/// Alternatives, each a conjunction; `exact` if together they are equivalent to the keyword.
pub(crate) struct Options {
    pub(crate) options: Vec<Vec<Item>>,
    pub(crate) exact: bool,
}

impl<'a> Compiler<'a, '_> {
    /// The alternatives of a choice.
    pub(crate) fn options(&mut self, id: Id, choice: &Choice) -> Options {
        let Value::Object(map) = self.document.value(id) else {
            return Options { options: vec![vec![]], exact: true };
        };
        match choice {
            Choice::AnyOf | Choice::OneOf => {
                let mut options = Vec::new();
                if let Some(Value::Array(each)) = map.get(choice.keyword()) {
                    for child in each {
                        options.push(vec![Item::Schema(self.document.child(id, child))]);
                    }
                }
                // The branches of oneOf may or may not exclude each other, depending on the rest of the
                // conjunction.
                Options { options, exact: *choice == Choice::AnyOf }
            }
            Choice::Not => {
                let child = self.document.child(id, &map["not"]);
                match self.negate(child, 0) {
                    Some(options) => Options { options, exact: true },
                    None => Options { options: vec![vec![]], exact: false },
                }
            }
            Choice::If => {
                let condition = self.document.child(id, &map["if"]);
                let mut part =
                    |keyword: &str| map.get(keyword).map(|c| Item::Schema(self.document.child(id, c)));
                let (then, otherwise) = (part("then"), part("else"));
                let mut first = vec![Item::Schema(condition)];
                first.extend(then);
                let mut options = vec![first];
                let negation = self.negate(condition, 0).filter(|n| n.len() <= 8);
                let exact = negation.is_some();
                for mut rest in negation.unwrap_or_else(|| vec![vec![]]) {
                    rest.extend(otherwise.clone());
                    options.push(rest);
                }
                Options { options, exact }
            }
            Choice::Dependent(keyword, key) => {
                let mut with = vec![Item::Present(key.clone())];
                if let Some(child) = map.get(*keyword).and_then(|m| m.get(&**key)) {
                    with.push(Item::Schema(self.document.child(id, child)));
                }
                Options { options: vec![vec![Item::Absent(key.clone())], with], exact: true }
            }
        }
    }

    /// The negation of a schema as alternatives; `None` if no grammar can express it.
    pub(crate) fn negate(&mut self, id: Id, depth: usize) -> Option<Vec<Vec<Item>>> {
        if depth > 6 {
            return None;
        }
        let map = match self.document.value(id) {
            Value::Bool(true) => return Some(vec![]),
            Value::Bool(false) => return Some(vec![vec![]]),
            Value::Object(map) => map,
            _ => return None,
        };
        let only_ref = map.contains_key("$ref") && self.before_2019();
        let mut out: Vec<Vec<Item>> = Vec::new();
        for (keyword, value) in map {
            if only_ref && keyword != "$ref" {
                continue;
            }
            match keyword.as_str() {
                "type" => {
                    let set = match value {
                        Value::String(word) => types::named(word)?,
                        Value::Array(words) => words
                            .iter()
                            .filter_map(|w| w.as_str().and_then(types::named))
                            .fold(0, |a, b| a | b),
                        _ => return None,
                    };
                    out.push(vec![Item::Types(types::ALL & !set)]);
                }
                "enum" | "const" if self.knows(keyword) => {
                    let simple = |v: &Value| !v.is_array() && !v.is_object();
                    let fine = match value {
                        Value::Array(each) if keyword == "enum" => each.iter().all(simple),
                        other => simple(other),
                    };
                    if !fine || (map.contains_key("enum") && map.contains_key("const")) {
                        return None;
                    }
                    out.push(vec![Item::Exclude(id)]);
                }
                "required" => {
                    for key in value.as_array()?.iter().filter_map(Value::as_str) {
                        out.push(vec![Item::Types(types::OBJECT), Item::Absent(key.into())]);
                    }
                }
                "properties" => {
                    for (key, child) in value.as_object()? {
                        let child = self.document.child(id, child);
                        for option in self.negate(child, depth + 1)? {
                            let mut items = vec![Item::Present(key.as_str().into())];
                            items.extend(
                                option.into_iter().map(|i| Item::Property(key.as_str().into(), Box::new(i))),
                            );
                            out.push(items);
                        }
                    }
                }
                "allOf" => {
                    for child in value.as_array()? {
                        let child = self.document.child(id, child);
                        out.extend(self.negate(child, depth + 1)?);
                    }
                }
                "anyOf" => {
                    let mut product: Vec<Vec<Item>> = vec![vec![]];
                    for child in value.as_array()? {
                        let child = self.document.child(id, child);
                        let options = self.negate(child, depth + 1)?;
                        product = product
                            .iter()
                            .flat_map(|base| options.iter().map(move |o| [base.as_slice(), o].concat()))
                            .collect();
                        if product.len() > 16 {
                            return None;
                        }
                    }
                    out.extend(product);
                }
                "not" => out.push(vec![Item::Schema(self.document.child(id, value))]),
                "format" => match format::format(value.as_str()?, Meaning::Standard) {
                    Format::Exact(_) => out.push(vec![Item::Against(id, "format")]),
                    Format::Unknown => {}
                    Format::Wider(_) | Format::Unwritten => return None,
                },
                "pattern" => {
                    pattern::written(value.as_str()?).ok()?;
                    out.push(vec![Item::Against(id, "pattern")]);
                }
                "multipleOf" => {
                    self.other_multiples(value)?;
                    out.push(vec![Item::Against(id, "multipleOf")]);
                }
                // Draft 4's boolean beside the bound.
                "exclusiveMinimum" | "exclusiveMaximum" if value.is_boolean() => {}
                word if self.knows(word) && BREAKABLE.contains(&word) => {
                    let word = BREAKABLE.iter().find(|w| **w == word)?;
                    out.push(vec![Item::Against(id, word)]);
                }
                "$ref" => match self.document.resolve(id, value.as_str()?) {
                    Target::Inside(target) => out.extend(self.negate(target, depth + 1)?),
                    _ => return None,
                },
                "if" => {
                    let condition = self.document.child(id, value);
                    if let Some(then) = map.get("then") {
                        let then = self.document.child(id, then);
                        for mut items in self.negate(then, depth + 1)? {
                            items.push(Item::Schema(condition));
                            out.push(items);
                        }
                    }
                    if let Some(otherwise) = map.get("else") {
                        let otherwise = self.document.child(id, otherwise);
                        let (not, other) =
                            (self.negate(condition, depth + 1)?, self.negate(otherwise, depth + 1)?);
                        out.extend(
                            not.iter().flat_map(|n| other.iter().map(move |o| [n.as_slice(), o].concat())),
                        );
                    }
                }
                "then" | "else" => {}
                "additionalProperties"
                | "items"
                | "additionalItems"
                | "propertyNames"
                | "unevaluatedItems"
                | "unevaluatedProperties"
                    if self.is_nothing(value) => {}
                "uniqueItems" if value == &Value::Bool(false) => {}
                word if crate::schema::read::keyword::is_annotation(word) => {}
                word if self.knows(word) && crate::schema::read::keyword::is_constraint(word) => return None,
                _ => {}
            }
        }
        if out.len() > 16 { None } else { Some(out) }
    }

    /// True if a schema constrains nothing.
    fn is_nothing(&self, schema: &Value) -> bool {
        match schema {
            Value::Bool(b) => *b,
            Value::Object(map) => map.keys().all(|k| crate::schema::read::keyword::is_annotation(k)),
            _ => false,
        }
    }

    /// True if all shapes are objects with a common required key whose values are distinct.
    fn is_tagged(&mut self, shapes: &[Option<Shape<'a>>]) -> bool {
        let shapes: Vec<&Shape<'a>> = shapes.iter().flatten().collect();
        let Some(first) = shapes.first() else { return true };
        if shapes.len() < 3 || shapes.iter().any(|s| s.types != types::OBJECT) {
            return false;
        }
        first.required.iter().any(|key| {
            let mut seen = std::collections::HashSet::new();
            shapes.iter().all(|shape| {
                shape.required.contains(key)
                    && self.tags(shape, key).is_some_and(|tags| tags.into_iter().all(|tag| seen.insert(tag)))
            })
        })
    }

    /// The possible strings under `key`, if they are enumerated.
    fn tags(&mut self, shape: &Shape<'a>, key: &str) -> Option<Vec<&'a str>> {
        let items = self.key_items(shape, key);
        let flat = self.flatten(&items);
        if flat.never {
            return Some(Vec::new());
        }
        self.shape(flat).values?.into_iter().map(Value::as_str).collect()
    }

    /// The branches of `oneOf`, each combined with the negation of the branches that it overlaps with.
    pub(crate) fn exclusive(&mut self, base: &[Item], branches: &[Vec<Item>]) -> Options {
        let whole: Vec<Vec<Item>> = branches.iter().map(|b| [base, b].concat()).collect();
        let mut shapes: Vec<Option<Shape<'_>>> = Vec::new();
        for option in &whole {
            let flat = self.flatten(option);
            shapes.push(if flat.never { None } else { Some(self.shape(flat)) });
        }
        if self.is_tagged(&shapes) {
            return Options { options: whole, exact: true };
        }
        if branches.len() > 60 {
            return Options { options: whole, exact: false };
        }
        let (mut options, mut exact) = (Vec::new(), true);
        for (i, shape) in shapes.iter().enumerate() {
            let Some(shape) = shape else { continue };
            let mut alternatives = vec![whole[i].clone()];
            for (j, other) in shapes.iter().enumerate() {
                let Some(other) = other.as_ref().filter(|_| i != j) else { continue };
                if self.apart(shape, other, 0) {
                    continue;
                }
                let negated = match branches[j].as_slice() {
                    [Item::Schema(id)] => self.negate(*id, 0),
                    _ => None,
                };
                match negated {
                    Some(negated) if alternatives.len() * negated.len() <= MAX_EXCLUSIVE => {
                        alternatives = alternatives
                            .iter()
                            .flat_map(|base| negated.iter().map(|n| [base.as_slice(), n].concat()))
                            .filter(|items| !self.flatten(items).never)
                            .collect();
                    }
                    _ => exact = false,
                }
            }
            options.extend(alternatives);
        }
        if options.len() > 4 * MAX_EXCLUSIVE {
            return Options { options: whole, exact: false };
        }
        Options { options, exact }
    }
}
