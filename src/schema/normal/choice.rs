//! The keywords that choose between schemas for the same value, as alternatives.

use std::collections::HashSet;

use serde_json::Value;

use super::Normalizer;
use super::conjunction::{Choice, Item};
use super::shape::Shape;
use crate::json;
use crate::schema::read::Id;
use crate::schema::value::types;

/// Most alternatives that the branches of one `oneOf` may become when they are made mutually exclusive.
const MAX_EXCLUSIVE: usize = 48;

/// Alternatives, each a conjunction; `exact` if together they are equivalent to the keyword.
pub(crate) struct Alternatives {
    pub(crate) conjunctions: Vec<Vec<Item>>,
    pub(crate) exact: bool,
}

impl<'a> Normalizer<'a> {
    /// The alternatives of a choice.
    pub(crate) fn alternatives(&mut self, id: Id, choice: &Choice) -> Alternatives {
        let Value::Object(map) = self.document.value(id) else {
            return Alternatives { conjunctions: vec![vec![]], exact: true };
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
                Alternatives { conjunctions: options, exact: *choice == Choice::AnyOf }
            }
            Choice::Not => {
                let child = self.document.child(id, &map["not"]);
                match self.negate(child, 0) {
                    Some(options) => Alternatives { conjunctions: options, exact: true },
                    None => Alternatives { conjunctions: vec![vec![]], exact: false },
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
                Alternatives { conjunctions: options, exact }
            }
            Choice::Dependent(keyword, key) => {
                let mut with = vec![Item::Present(key.clone())];
                if let Some(child) = map.get(*keyword).and_then(|m| m.get(&**key)) {
                    with.push(Item::Schema(self.document.child(id, child)));
                }
                Alternatives { conjunctions: vec![vec![Item::Absent(key.clone())], with], exact: true }
            }
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
            let mut seen = HashSet::new();
            shapes.iter().all(|shape| {
                shape.required.contains(key)
                    && self.tags(shape, key).is_some_and(|tags| tags.into_iter().all(|tag| seen.insert(tag)))
            })
        })
    }

    /// The possible strings under `key`, if they are enumerated.
    fn tags(&mut self, shape: &Shape<'a>, key: &str) -> Option<Vec<&'a str>> {
        let items = self.key_items(shape, key);
        let conjunction = self.flatten(&items);
        if conjunction.never {
            return Some(Vec::new());
        }
        self.shape(conjunction).values?.into_iter().map(json::string_text).collect()
    }

    /// The branches of `oneOf`, each combined with the negation of the branches that it overlaps with.
    pub(crate) fn exclusive(&mut self, base: &[Item], branches: &[Vec<Item>]) -> Alternatives {
        let whole: Vec<Vec<Item>> = branches.iter().map(|b| [base, b].concat()).collect();
        let mut shapes: Vec<Option<Shape<'_>>> = Vec::new();
        for option in &whole {
            let conjunction = self.flatten(option);
            shapes.push(if conjunction.never { None } else { Some(self.shape(conjunction)) });
        }
        if self.is_tagged(&shapes) {
            return Alternatives { conjunctions: whole, exact: true };
        }
        if branches.len() > 60 {
            return Alternatives { conjunctions: whole, exact: false };
        }
        let (mut options, mut exact) = (Vec::new(), true);
        for (i, shape) in shapes.iter().enumerate() {
            let Some(shape) = shape else { continue };
            let mut alternatives = vec![whole[i].clone()];
            for (j, other) in shapes.iter().enumerate() {
                let Some(other) = other.as_ref().filter(|_| i != j) else { continue };
                if self.are_shapes_disjoint(shape, other, 0) {
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
            return Alternatives { conjunctions: whole, exact: false };
        }
        Alternatives { conjunctions: options, exact }
    }
}
