//! The graph of schemas that certainly apply, with marks where something is checked afterwards.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::schema::emit::grammar::Compiler;
use crate::schema::emit::object::compiled;
use crate::schema::read::document::{Document, Id};
use crate::schema::validate::checks::{Node, Place};

/// Keywords below which a schema may or may not apply.
const CONDITIONAL: [&str; 14] = [
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependencies",
    "contains",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
    "contentSchema",
    "dependentRequired",
];
/// Keywords below which a schema certainly applies to the value or to parts of it.
const CERTAIN: [&str; 7] = [
    "allOf",
    "properties",
    "patternProperties",
    "additionalProperties",
    "items",
    "prefixItems",
    "additionalItems",
];

impl<'a> Compiler<'a, '_> {
    /// Builds the graph; the root comes first.
    pub(crate) fn places(&mut self) -> Vec<Place> {
        let mut nodes: HashMap<Id, Node> = HashMap::from([(Document::ROOT, 0)]);
        let mut queue = vec![Document::ROOT];
        let mut places = Vec::new();
        let mut next = 0;
        while next < queue.len() {
            let id = queue[next];
            next += 1;
            let mut node = |child: Id| {
                *nodes.entry(child).or_insert_with(|| {
                    queue.push(child);
                    queue.len() - 1
                })
            };
            let mut place = Place { pointer: self.document.pointer(id).to_string(), ..Place::default() };
            place.check = id == Document::ROOT || (!self.dynamic && self.has_check(id));
            if let Value::Object(map) = self.document.value(id) {
                let only_ref = map.contains_key("$ref") && self.before_2019();
                if let Some(Value::String(reference)) = map.get("$ref")
                    && let Some(target) = self.target(id, reference)
                {
                    place.same.push(node(target));
                }
                for keyword in ["$dynamicRef", "$recursiveRef"] {
                    if let Some(reference) = self.document.static_reference(map, keyword)
                        && self.knows(keyword)
                        && let Some(target) = self.target(id, reference)
                    {
                        place.same.push(node(target));
                    }
                }
                let value = |word: &str| map.get(word).filter(|_| !only_ref);
                place.unique = value("uniqueItems") == Some(&Value::Bool(true));
                if let Some(Value::Array(each)) = value("allOf") {
                    for child in each {
                        place.same.push(node(self.document.child(id, child)));
                    }
                }
                if let Some(Value::Object(each)) = value("properties") {
                    for (key, child) in each {
                        let child = self.document.child(id, child);
                        place.properties.insert(key.clone(), node(child));
                    }
                }
                let keys = value("required").and_then(Value::as_array).into_iter().flatten();
                place.required = keys.filter_map(Value::as_str).map(str::to_string).collect();
                if !only_ref {
                    let alternatives = ["anyOf", "oneOf", "then", "else", "dependentSchemas", "dependencies"];
                    for child in self.below(id, &alternatives) {
                        place.perhaps.push(node(child));
                    }
                }
                let mut all_patterns = true;
                if let Some(Value::Object(each)) = value("patternProperties") {
                    for (text, child) in each {
                        match compiled(text) {
                            Some(regex) => {
                                let child = self.document.child(id, child);
                                place.patterns.push((regex, node(child)));
                            }
                            None => all_patterns = false,
                        }
                    }
                }
                if let Some(child) = value("additionalProperties").filter(|_| all_patterns) {
                    place.additional = Some(node(self.document.child(id, child)));
                }
                let older = matches!(value("items"), Some(Value::Array(_)));
                let prefix = if older { value("items") } else { value("prefixItems") };
                if let Some(Value::Array(each)) = prefix {
                    for child in each {
                        place.prefix.push(node(self.document.child(id, child)));
                    }
                }
                let rest = if older { value("additionalItems") } else { value("items") };
                if let Some(child) = rest {
                    place.items = Some(node(self.document.child(id, child)));
                }
            }
            places.push(place);
        }
        places
    }

    fn has_check(&mut self, id: Id) -> bool {
        let pointer = self.document.pointer(id);
        if self.report.is_checked(&pointer) {
            return true;
        }
        let mut seen = HashSet::new();
        self.below(id, &CONDITIONAL).into_iter().any(|child| self.reaches_check(child, &mut seen))
    }

    fn reaches_check(&mut self, id: Id, seen: &mut HashSet<Id>) -> bool {
        if !seen.insert(id) {
            return false;
        }
        let pointer = self.document.pointer(id);
        if self.report.is_checked(&pointer) {
            return true;
        }
        let mut children = self.below(id, &CONDITIONAL);
        children.extend(self.below(id, &CERTAIN));
        for keyword in ["$ref", "$dynamicRef", "$recursiveRef"] {
            if let Some(reference) = self.document.value(id).get(keyword).and_then(Value::as_str) {
                children.extend(self.target(id, reference));
            }
        }
        children.into_iter().any(|child| self.reaches_check(child, seen))
    }

    /// The schemas directly below the keywords `words`.
    fn below(&mut self, id: Id, words: &[&str]) -> Vec<Id> {
        let Value::Object(map) = self.document.value(id) else { return Vec::new() };
        let mut out = Vec::new();
        for word in words {
            let named =
                matches!(*word, "properties" | "patternProperties" | "dependentSchemas" | "dependencies");
            match map.get(*word) {
                Some(Value::Array(each)) => {
                    out.extend(each.iter().filter(|c| c.is_object()).map(|c| self.document.child(id, c)));
                }
                Some(Value::Object(each)) if named => {
                    out.extend(each.values().filter(|c| c.is_object()).map(|c| self.document.child(id, c)));
                }
                Some(child @ Value::Object(_)) if *word != "dependentRequired" => {
                    out.push(self.document.child(id, child));
                }
                _ => {}
            }
        }
        out
    }
}
