//! Nodes of the syntax tree: places, texts and parts.

use tree_sitter::Node;

/// Line of the node's first character, from 1.
pub(super) fn line(node: Node<'_>) -> usize {
    node.start_position().row + 1
}

/// The node's text.
pub(super) fn text<'s>(node: Node<'_>, source: &'s str) -> &'s str {
    source.get(node.byte_range()).unwrap_or_default()
}

/// The beginning of the node's text for a message, on one line.
pub(super) fn shown(node: Node<'_>, source: &str) -> String {
    const MAX_SHOWN: usize = 60;
    let mut chars = text(node, source).chars().map(|c| if c.is_control() { ' ' } else { c });
    let shown: String = chars.by_ref().take(MAX_SHOWN).collect();
    if chars.next().is_some() { shown + "..." } else { shown }
}

/// The children that are no punctuation and no comments.
pub(super) fn parts<'t>(node: Node<'t>) -> Vec<Node<'t>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).filter(|child| child.kind() != "comment").collect()
}

/// The node's child in `field`.
pub(super) fn field<'t>(node: Node<'t>, field: &str) -> Option<Node<'t>> {
    node.child_by_field_name(field)
}
