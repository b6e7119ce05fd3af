//! Python semantics of Jinja2: values, operators, methods, filters and tests as in `transformers`.
//!
//! `minijinja` parses and executes, but its values follow Python only roughly. So [`rewrite()`] replaces the
//! expressions where the two differ with calls of the functions in this module.
//!
//! Templates are untrusted. Every step that reads or creates data costs fuel, and containers record their depth
//! ([`value::MAX_DEPTH`]), so that no recursion is unbounded.

mod arguments;
mod cycle;
mod environment;
mod error;
mod filters;
mod format;
mod items;
mod json;
mod lookup;
mod methods;
mod number;
mod operators;
mod predicates;
mod rewrite;
mod select;
mod strings;
mod text;
mod value;

pub(super) use environment::environment;
pub(super) use error::{RaisedError, python_error};
pub(super) use rewrite::rewrite;
pub(super) use value::from_json;
