//! The syntax tree of a file. The parser has no recursion, so no nesting exhausts the stack.

use super::{Problem, string};
use tree_sitter::{Node, Parser, Tree};

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

/// Parses `source`.
///
/// # Errors
/// The first place that is not Python.
pub(super) fn parse(source: &str) -> Result<Tree, Problem> {
    let mut parser = Parser::new();
    let unusable = |text: &str| Problem { line: 1, text: text.to_owned() };
    parser
        .set_language(&tree_sitter_python::LANGUAGE.into())
        .map_err(|_| unusable("cannot be parsed: the parser has no Python"))?;
    let tree = parser.parse(source, None).ok_or_else(|| unusable("cannot be parsed"))?;
    match tree.root_node().has_error() {
        true => check(&tree, source).map(|()| tree),
        false => Ok(tree),
    }
}

/// Looks for the first error in a tree that has some.
fn check(tree: &Tree, source: &str) -> Result<(), Problem> {
    let mut stack = vec![tree.root_node()];
    while let Some(node) = stack.pop() {
        if node.is_error() || node.is_missing() {
            return Err(Problem::at(node, "is not Python"));
        }
        // Python refuses a field without an expression; it is read as the text that it was meant to be.
        if !node.has_error() || string::is_empty_field(node, source) {
            continue;
        }
        let mut cursor = node.walk();
        let children: Vec<Node<'_>> = node.children(&mut cursor).collect();
        stack.extend(children.into_iter().rev());
    }
    Ok(())
}
