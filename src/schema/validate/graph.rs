//! The graph of subschemas: which of them apply to the values inside a value.

use std::collections::HashMap;
use std::rc::Rc;

/// Index of a subschema in the graph.
pub(super) type NodeId = usize;

/// Most subschemas that are collected for hints; a few hundred are enough, since they only steer.
const MAX_HINTS: usize = 400;

/// A subschema: those for the value's children, and what is checked in the value itself.
#[derive(Debug, Default)]
pub(super) struct SchemaNode {
    /// Its JSON pointer, as a URI fragment.
    pub(super) pointer: String,
    /// Subschemas for the same value: `$ref` and `allOf`.
    pub(super) same: Vec<NodeId>,
    pub(super) properties: HashMap<String, NodeId>,
    pub(super) patterns: Vec<(regex::Regex, NodeId)>,
    pub(super) additional: Option<NodeId>,
    pub(super) prefix: Vec<NodeId>,
    pub(super) items: Option<NodeId>,
    /// Subschemas that may apply to the same value, such as the alternatives of `anyOf`.
    pub(super) perhaps: Vec<NodeId>,
    /// Required keys.
    pub(super) required: Vec<String>,
    /// True if something in this schema is checked when the value is complete.
    pub(super) check: bool,
    /// True for `uniqueItems`.
    pub(super) unique: bool,
}

/// The subschemas that apply to a value or to a part of it; the root comes first.
#[derive(Debug)]
pub(crate) struct SchemaGraph {
    pub(super) nodes: Vec<SchemaNode>,
}

impl SchemaGraph {
    /// The whole schema.
    pub(super) const ROOT: NodeId = 0;

    fn each<'s>(&'s self, ids: &'s [NodeId]) -> impl Iterator<Item = &'s SchemaNode> {
        ids.iter().map(|id| &self.nodes[*id])
    }

    /// JSON pointer of a subschema, as a URI fragment.
    pub(super) fn pointer(&self, id: NodeId) -> &str {
        &self.nodes[id].pointer
    }

    /// True if something in this subschema is checked when the value is complete.
    pub(super) fn is_checked(&self, id: NodeId) -> bool {
        self.nodes[id].check
    }

    /// True if one of the subschemas has `uniqueItems`.
    pub(super) fn is_unique(&self, ids: &[NodeId]) -> bool {
        self.each(ids).any(|node| node.unique)
    }

    /// The keys required by the subschemas.
    pub(super) fn required<'s>(&'s self, ids: &'s [NodeId]) -> impl Iterator<Item = &'s str> {
        self.each(ids).flat_map(|node| node.required.iter().map(String::as_str))
    }

    /// The keys declared by the subschemas.
    pub(super) fn declared<'s>(&'s self, ids: &'s [NodeId]) -> impl Iterator<Item = &'s str> {
        self.each(ids).flat_map(|node| node.properties.keys().map(String::as_str))
    }

    /// All subschemas that may apply where `ids` apply.
    pub(super) fn with_alternatives(&self, ids: &[NodeId]) -> Rc<[NodeId]> {
        let mut out: Vec<NodeId> = Vec::new();
        let mut left: Vec<NodeId> = ids.iter().rev().copied().collect();
        while let Some(id) = left.pop() {
            if out.contains(&id) || out.len() > MAX_HINTS {
                continue;
            }
            out.push(id);
            let node = &self.nodes[id];
            left.extend(node.same.iter().chain(&node.perhaps));
        }
        out.into()
    }

    /// Adds `id` and all subschemas that apply to the same value to `out`.
    pub(super) fn close_over(&self, id: NodeId, out: &mut Vec<NodeId>) {
        if out.contains(&id) {
            return;
        }
        out.push(id);
        self.nodes[id].same.iter().for_each(|id| self.close_over(*id, out));
    }

    /// The subschemas for the value under `key`, in an object to which `ids` apply.
    pub(super) fn for_key(&self, ids: &[NodeId], key: &str) -> Rc<[NodeId]> {
        let mut out = Vec::new();
        for node in self.each(ids) {
            let mut found = false;
            if let Some(id) = node.properties.get(key) {
                self.close_over(*id, &mut out);
                found = true;
            }
            for (regex, id) in &node.patterns {
                if regex.is_match(key) {
                    self.close_over(*id, &mut out);
                    found = true;
                }
            }
            if !found && let Some(id) = node.additional {
                self.close_over(id, &mut out);
            }
        }
        out.into()
    }

    /// The subschemas for the item at `index`, in an array to which `ids` apply.
    pub(super) fn for_item(&self, ids: &[NodeId], index: usize) -> Rc<[NodeId]> {
        let mut out = Vec::new();
        for node in self.each(ids) {
            if let Some(id) = node.prefix.get(index).copied().or(node.items) {
                self.close_over(id, &mut out);
            }
        }
        out.into()
    }
}
