//! Conjunctions from schemas: `$ref` and `allOf` followed, choices collected.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Normalizer;
use super::conjunction::{Choice, Conjunction, Item};
use crate::json;
use crate::schema::options::Meaning;
use crate::schema::read::{Id, Target, keyword, unavailable};
use crate::schema::report::Status;
use crate::schema::value::types;

impl Normalizer<'_> {
    /// Resolves the references of `items`.
    pub(crate) fn flatten(&mut self, items: &[Item]) -> Conjunction {
        let mut conjunction = Conjunction::default();
        let mut seen = BTreeSet::new();
        for item in items {
            if !self.step(item.schema()) {
                conjunction.never = true;
                return conjunction;
            }
            self.add(item, &mut conjunction, &mut seen);
        }
        if conjunction.types == 0 || conjunction.present.intersection(&conjunction.absent).next().is_some() {
            conjunction.never = true;
        }
        conjunction
    }

    fn add(&mut self, item: &Item, conjunction: &mut Conjunction, seen: &mut BTreeSet<Id>) {
        match item {
            Item::Schema(id) => self.add_schema(*id, conjunction, seen),
            Item::Local(id) => {
                conjunction.locals.insert(*id);
                self.local_types(*id, conjunction);
            }
            Item::Choice(id, choice) => {
                conjunction.choices.insert((*id, choice.clone()));
            }
            Item::Presence(id, choice) => {
                conjunction.presence.insert((*id, choice.clone()));
            }
            Item::Unevaluated(id) => {
                conjunction.unevaluated.insert(*id);
            }
            Item::Types(set) => conjunction.types &= set,
            Item::Present(key) => {
                conjunction.types &= types::OBJECT;
                conjunction.present.insert(key.clone());
            }
            Item::Absent(key) => {
                conjunction.absent.insert(key.clone());
            }
            Item::Property(key, item) => {
                conjunction.properties.insert((key.clone(), (**item).clone()));
            }
            Item::Exclude(id) => {
                conjunction.exclude.insert(*id);
            }
            Item::Violates(id, word) => {
                conjunction.types &= types::constrained_by(word);
                conjunction.violated.insert((*id, word));
            }
        }
    }

    fn add_schema(&mut self, id: Id, conjunction: &mut Conjunction, seen: &mut BTreeSet<Id>) {
        if !seen.insert(id) || !self.step(id) {
            return;
        }
        let map = match self.document.value(id) {
            Value::Bool(true) => return,
            Value::Bool(false) => {
                conjunction.never = true;
                return;
            }
            Value::Object(map) => map,
            other => {
                let found = json::type_name(other);
                self.refuse(id, "", &format!("a schema is an object or a boolean, not {found}"));
                return;
            }
        };
        if let Some(Value::String(reference)) = map.get("$ref") {
            self.follow(id, reference, conjunction, seen);
            if self.document.before_2019() {
                for key in map.keys().filter(|k| *k != "$ref" && !keyword::is_container(k)) {
                    self.mark(id, key, Status::Annotation, "ignored beside $ref in this draft");
                }
                return;
            }
        }
        for dynamic in ["$dynamicRef", "$recursiveRef"] {
            if !self.document.knows(dynamic) {
                continue;
            }
            if let Some(reference) = self.document.static_reference(map, dynamic) {
                self.mark(id, dynamic, Status::Enforced, "");
                self.follow(id, reference, conjunction, seen);
            } else if map.contains_key(dynamic) {
                self.dynamic = true;
                self.relax(id, dynamic, "depends on how the validation got here");
            }
        }
        if let Some(Value::Array(each)) = map.get("allOf") {
            self.mark(id, "allOf", Status::Enforced, "");
            for child in each {
                let child = self.document.child(id, child);
                self.add_schema(child, conjunction, seen);
            }
        }
        self.add_choices(id, map, conjunction);
        if self.document.knows("unevaluatedProperties")
            && (map.contains_key("unevaluatedProperties") || map.contains_key("unevaluatedItems"))
        {
            conjunction.unevaluated.insert(id);
        }
        conjunction.locals.insert(id);
        self.local_types(id, conjunction);
    }

    /// Adds the choices of a schema, or the conditions on keys that they are.
    fn add_choices(&mut self, id: Id, map: &Map<String, Value>, conjunction: &mut Conjunction) {
        let mut choices = Vec::new();
        for (keyword, choice) in
            [("anyOf", Choice::AnyOf), ("oneOf", Choice::OneOf), ("if", Choice::If), ("not", Choice::Not)]
        {
            if map.contains_key(keyword) && self.document.knows(keyword) {
                if choice == Choice::If && !map.contains_key("then") && !map.contains_key("else") {
                    self.mark(id, "if", Status::Annotation, "has neither then nor else");
                } else {
                    choices.push(choice);
                }
            }
        }
        for keyword in ["dependentSchemas", "dependentRequired", "dependencies"] {
            if let Some(Value::Object(each)) = map.get(keyword)
                && self.document.knows(keyword)
            {
                choices.extend(each.keys().map(|k| Choice::Dependent(keyword, k.as_str().into())));
            }
        }
        for choice in choices {
            if self.formula(id, &choice).is_some() {
                conjunction.presence.insert((id, choice));
            } else {
                conjunction.choices.insert((id, choice));
            }
        }
    }

    fn follow(&mut self, id: Id, reference: &str, conjunction: &mut Conjunction, seen: &mut BTreeSet<Id>) {
        match self.document.resolve(id, reference) {
            Target::Inside(target) => {
                self.mark(id, "$ref", Status::Enforced, "");
                self.add_schema(target, conjunction, seen);
            }
            Target::Bundled => self.relax(id, "$ref", "a meta-schema of the standard"),
            Target::Outside => self.refuse(id, "$ref", &unavailable(reference)),
        }
    }

    /// Narrows the types by `type`; for tools without it, by the types that the other keywords constrain.
    fn local_types(&mut self, id: Id, conjunction: &mut Conjunction) {
        let Value::Object(map) = self.document.value(id) else { return };
        let word = |value: &Value| value.as_str().and_then(types::named);
        match map.get("type") {
            Some(Value::Array(words)) => {
                let set = words.iter().filter_map(word).fold(0, |a, b| a | b);
                conjunction.types &= set;
                self.mark(id, "type", Status::Enforced, "");
            }
            Some(value) => match word(value) {
                Some(set) => {
                    conjunction.types &= set;
                    self.mark(id, "type", Status::Enforced, "");
                }
                None => self.refuse(id, "type", &format!("{value} is not a type")),
            },
            None if self.meaning == Meaning::Tool => {
                if let Some(set) = keyword::implied_types(map) {
                    conjunction.types &= set;
                }
            }
            None => {}
        }
    }
}
