//! Conjunctions for the members of an object and the items of an array.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Normalizer;
use super::conjunction::{Choice, Item};
use super::shape::{ObjectPart, Shape};
use crate::schema::options::Meaning;
use crate::schema::read::{Document, Id, keyword};
use crate::schema::report::Status;
use crate::schema::value::matcher::matches;

impl<'a> Normalizer<'a> {
    /// The conjunction for the value under `key`.
    pub(crate) fn key_items(&mut self, shape: &Shape<'a>, key: &str) -> Vec<Item> {
        let mut items = Vec::new();
        if shape.conjunction.absent.contains(key) {
            items.push(Item::Types(0));
        }
        for part in &shape.objects {
            if !self.take_steps(part.id, part.patterns.len()) {
                return vec![Item::Types(0)];
            }
            let mut evaluated = false;
            if let Some(child) = part.properties.and_then(|p| p.get(key)) {
                items.push(Item::Schema(self.document.child(part.id, child)));
                evaluated = true;
            }
            for (text, child) in &part.patterns {
                if matches(text, key) == Some(true) {
                    items.push(Item::Schema(self.document.child(part.id, child)));
                    evaluated = true;
                }
            }
            let unsure = part.patterns.iter().any(|(text, _)| matches(text, key).is_none());
            if !evaluated
                && !unsure
                && let Some(child) = part.additional
            {
                items.push(Item::Schema(self.document.child(part.id, child)));
            }
        }
        for (name, item) in &shape.conjunction.properties {
            if &**name == key {
                items.push(item.clone());
            }
        }
        for id in shape.conjunction.unevaluated.clone() {
            let Some(child) = self.unevaluated(id, "unevaluatedProperties") else { continue };
            let covered = self.covered(id);
            let seen = shape.objects.iter().filter(|p| covered.contains(&p.id)).any(|p| {
                p.additional.is_some()
                    || p.properties.is_some_and(|m| m.contains_key(key))
                    || p.patterns.iter().any(|(text, _)| matches(text, key) != Some(false))
            });
            if !seen {
                items.push(Item::Schema(child));
            }
        }
        items
    }

    /// The schema under `keyword` of `id`, if the grammar can determine what has been evaluated, which requires
    /// that `id` has no choices. `None` otherwise, and for schemas that constrain nothing.
    fn unevaluated(&mut self, id: Id, keyword: &'static str) -> Option<Id> {
        let Value::Object(map) = self.document.value(id) else { return None };
        let child = self.document.child(id, map.get(keyword)?);
        let conjunction = self.flatten(&[Item::Schema(id)]);
        let items = keyword == "unevaluatedItems";
        let contains =
            items && conjunction.locals.iter().any(|l| self.document.value(*l).get("contains").is_some());
        let chooses = !conjunction.choices.is_empty()
            || conjunction
                .presence
                .iter()
                .any(|(_, c)| !matches!(c, Choice::Dependent("dependentRequired", _)));
        let chooses =
            chooses || conjunction.locals.iter().any(|l| self.document.value(*l).get("if").is_some());
        if keyword::constrains_nothing(self.document.value(child)) {
            self.mark(id, keyword, Status::Enforced, "");
            return None;
        }
        if chooses || contains || self.dynamic || conjunction.unevaluated.len() > 1 {
            self.relax(id, keyword, "what is evaluated depends on a choice");
            return None;
        }
        self.mark(id, keyword, Status::Enforced, "");
        Some(child)
    }

    /// The schemas that apply to the same value as `id`, and `id` itself.
    fn covered(&mut self, id: Id) -> BTreeSet<Id> {
        self.flatten(&[Item::Schema(id)]).locals
    }

    /// True if undeclared keys are not generated.
    pub(crate) fn is_closed(&self, shape: &Shape<'a>) -> bool {
        if self.meaning == Meaning::Standard {
            return false;
        }
        let names = shape
            .objects
            .iter()
            .any(|p| p.properties.is_some_and(|m| !m.is_empty()) || !p.patterns.is_empty());
        let root = shape.conjunction.locals.contains(&Document::ROOT);
        let opened = shape.objects.iter().any(|p| p.additional.is_some())
            || shape
                .conjunction
                .unevaluated
                .iter()
                .any(|id| self.document.value(*id).get("unevaluatedProperties").is_some());
        (names || root) && !opened
    }

    /// True if `propertyNames` refuses a declared key.
    pub(crate) fn name_refused(&mut self, shape: &Shape<'a>, key: &str) -> bool {
        shape.names.iter().any(|(id, child)| {
            let child = self.document.child(*id, child);
            let pointer = self.document.pointer(child);
            !self.validators.accepts_at(&pointer, &Value::String(key.to_string()))
        })
    }

    /// The conjunction for the value under an undeclared key that matches the patterns for which `has` is true.
    pub(crate) fn other_items(&mut self, shape: &Shape<'a>, has: &dyn Fn(&str) -> bool) -> Vec<Item> {
        let mut items = Vec::new();
        let evaluates = |part: &ObjectPart<'a>| part.patterns.iter().any(|(text, _)| has(text));
        for part in &shape.objects {
            for (text, child) in &part.patterns {
                if has(text) {
                    items.push(Item::Schema(self.document.child(part.id, child)));
                }
            }
            if !evaluates(part)
                && let Some(child) = part.additional
            {
                items.push(Item::Schema(self.document.child(part.id, child)));
            }
        }
        for id in shape.conjunction.unevaluated.clone() {
            let Some(child) = self.unevaluated(id, "unevaluatedProperties") else { continue };
            let covered = self.covered(id);
            let seen = shape
                .objects
                .iter()
                .filter(|p| covered.contains(&p.id))
                .any(|p| p.additional.is_some() || evaluates(p));
            if !seen {
                items.push(Item::Schema(child));
            }
        }
        items
    }

    /// The conjunction for the item at `index`, or for any item after the prefixes.
    pub(crate) fn item_items(&mut self, shape: &Shape<'a>, index: Option<usize>) -> Vec<Item> {
        let mut out = Vec::new();
        let at = |prefix: &'a [Value]| index.and_then(|i| prefix.get(i));
        for part in &shape.arrays {
            if let Some(child) = at(part.prefix).or(part.rest) {
                out.push(Item::Schema(self.document.child(part.id, child)));
            }
        }
        for id in shape.conjunction.unevaluated.clone() {
            let Some(child) = self.unevaluated(id, "unevaluatedItems") else { continue };
            let covered = self.covered(id);
            let seen = shape
                .arrays
                .iter()
                .filter(|p| covered.contains(&p.id))
                .any(|p| p.rest.is_some() || at(p.prefix).is_some());
            if !seen {
                out.push(Item::Schema(child));
            }
        }
        out
    }
}
