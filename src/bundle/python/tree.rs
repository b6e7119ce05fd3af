//! The syntax tree of a file. The parser has no recursion, so no nesting exhausts the stack.

use super::{Problem, string};
use tree_sitter::{Node, Parser, Tree};

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
