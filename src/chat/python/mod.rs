//! Python's side of Jinja2: values, operators, methods, filters and tests as a template in
//! `transformers` meets them.
//!
//! `minijinja` parses and runs; its own values follow Python only roughly. So [`rewrite()`] puts
//! calls into the parsed tree where the two differ, and the functions here answer them.
//!
//! A template is hostile until shown otherwise. Every step that walks or makes data costs fuel,
//! and containers know their depth ([`value::MAX_DEPTH`]), so that nothing recurses without end.

mod arguments;
mod cycle;
mod environment;
mod fault;
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
pub(super) use fault::{Raised, fault};
pub(super) use rewrite::rewrite;
pub(super) use value::from_json;
