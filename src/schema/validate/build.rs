//! The graph of subschemas, built from a document and its report.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::graph::{NodeId, SchemaGraph, SchemaNode};
use crate::schema::read::{Document, Id};
use crate::schema::report::ReportBuilder;
use crate::schema::value::matcher::matcher;

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

/// Keywords with schemas that may apply to the same value.
const ALTERNATIVES: [&str; 6] = ["anyOf", "oneOf", "then", "else", "dependentSchemas", "dependencies"];

impl SchemaGraph {
    /// The graph of `document`. If the document is `dynamic`, only the whole value is checked; otherwise also each
    /// value whose schema has a keyword that `report` marks as checked afterwards.
    pub(crate) fn new(document: &mut Document<'_>, report: &ReportBuilder, dynamic: bool) -> SchemaGraph {
        let ids = HashMap::from([(Document::ROOT, SchemaGraph::ROOT)]);
        let mut builder = Builder { document, report, dynamic, ids, queue: vec![Document::ROOT] };
        let mut nodes = Vec::new();
        while let Some(id) = builder.queue.get(nodes.len()).copied() {
            nodes.push(builder.schema_node(id));
        }
        SchemaGraph { nodes }
    }
}

struct Builder<'b, 'a> {
    document: &'b mut Document<'a>,
    report: &'b ReportBuilder,
    dynamic: bool,
    ids: HashMap<Id, NodeId>,
    /// The subschemas by their index in the graph.
    queue: Vec<Id>,
}

impl<'a> Builder<'_, 'a> {
    /// The index of a subschema in the graph.
    fn node(&mut self, id: Id) -> NodeId {
        *self.ids.entry(id).or_insert_with(|| {
            self.queue.push(id);
            self.queue.len() - 1
        })
    }

    /// The index of the schema `value`, directly below the schema `parent`.
    fn child(&mut self, parent: Id, value: &'a Value) -> NodeId {
        let child = self.document.child(parent, value);
        self.node(child)
    }

    fn schema_node(&mut self, id: Id) -> SchemaNode {
        let pointer = self.document.pointer(id).to_string();
        let check = id == Document::ROOT || (!self.dynamic && self.has_check(id));
        let mut node = SchemaNode { pointer, check, ..SchemaNode::default() };
        let Value::Object(map) = self.document.value(id) else { return node };
        self.add_references(id, map, &mut node);
        // In older drafts a reference hides the keywords beside it.
        if map.contains_key("$ref") && self.document.before_2019() {
            return node;
        }
        node.unique = map.get("uniqueItems") == Some(&Value::Bool(true));
        if let Some(Value::Array(each)) = map.get("allOf") {
            for child in each {
                let child = self.child(id, child);
                node.same.push(child);
            }
        }
        self.add_members(id, map, &mut node);
        self.add_items(id, map, &mut node);
        node
    }

    /// Adds the targets of references.
    fn add_references(&mut self, id: Id, map: &'a Map<String, Value>, node: &mut SchemaNode) {
        if let Some(Value::String(reference)) = map.get("$ref")
            && let Some(target) = self.document.resolve_inside(id, reference)
        {
            node.same.push(self.node(target));
        }
        for keyword in ["$dynamicRef", "$recursiveRef"] {
            if let Some(reference) = self.document.static_reference(map, keyword)
                && self.document.knows(keyword)
                && let Some(target) = self.document.resolve_inside(id, reference)
            {
                node.same.push(self.node(target));
            }
        }
    }

    /// Adds to `node` what `map` says of an object's members, and the schemas of its alternatives, such as `anyOf`.
    fn add_members(&mut self, id: Id, map: &'a Map<String, Value>, node: &mut SchemaNode) {
        if let Some(Value::Object(each)) = map.get("properties") {
            for (key, child) in each {
                let child = self.child(id, child);
                node.properties.insert(key.clone(), child);
            }
        }
        let keys = map.get("required").and_then(Value::as_array).into_iter().flatten();
        node.required = keys.filter_map(Value::as_str).map(str::to_string).collect();
        for child in self.below(id, &ALTERNATIVES) {
            node.perhaps.push(self.node(child));
        }
        let mut all_patterns = true;
        if let Some(Value::Object(each)) = map.get("patternProperties") {
            for (text, child) in each {
                match matcher(text) {
                    Some(regex) => {
                        let child = self.child(id, child);
                        node.patterns.push((regex, child));
                    }
                    None => all_patterns = false,
                }
            }
        }
        if let Some(child) = map.get("additionalProperties").filter(|_| all_patterns) {
            node.additional = Some(self.child(id, child));
        }
    }

    /// Adds the schemas of an array's items.
    fn add_items(&mut self, id: Id, map: &'a Map<String, Value>, node: &mut SchemaNode) {
        let older = matches!(map.get("items"), Some(Value::Array(_)));
        let (prefix, rest) = if older { ("items", "additionalItems") } else { ("prefixItems", "items") };
        if let Some(Value::Array(each)) = map.get(prefix) {
            for child in each {
                let child = self.child(id, child);
                node.prefix.push(child);
            }
        }
        if let Some(child) = map.get(rest) {
            node.items = Some(self.child(id, child));
        }
    }

    /// True if something in the schema `id`, or in one that may apply with it, is checked.
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
                children.extend(self.document.resolve_inside(id, reference));
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
