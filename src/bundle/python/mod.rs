//! A client in Python: its system prompt, tools and settings, read from the parsed file. Nothing of it is run.
//!
//! ```text
//! tree       the parsed file
//! scope      names and what they are bound to
//! string     string literals
//! constant   expressions that are constants
//! client     the call of the model, and what is passed to it
//! ```

mod client;
mod constant;
mod node;
mod scope;
mod string;
mod tree;

#[cfg(test)]
mod tests;

#[cfg(test)]
use client::Client;
pub(super) use client::read;

/// A part of the file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::bundle) struct Problem {
    /// Its line, from 1.
    pub(in crate::bundle) line: usize,
    /// The reason, as the end of a sentence.
    pub(in crate::bundle) text: String,
}

impl Problem {
    fn at(node: tree_sitter::Node<'_>, text: impl Into<String>) -> Problem {
        Problem { line: node::line(node), text: text.into() }
    }
}
