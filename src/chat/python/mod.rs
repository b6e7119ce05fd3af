//! Python semantics of Jinja2: values, operators, methods, filters and tests as in `transformers`.
//!
//! `minijinja` parses and executes, but its values follow Python only roughly. So [`rewrite()`] replaces the
//! expressions where the two differ with calls of the functions in this module.
//!
//! This layer is ours since no kept crate reaches as far. With its usual set-up, `minijinja` 3.1 with
//! `minijinja-contrib`'s `pycompat` gives 260 of the 280 golden renderings and 641 of the 809 small templates in
//! `tests/fixtures`; `hf-chat-template` 1.0 gives 253 and 546. Three differences cannot be mended through the
//! stable interface: `+` does not escape text beside markup, `for` accepts none, and `x.items` finds a key before
//! the method. Nor do their limits hold: a list nested 99,999 deep overflows the stack when it is printed or
//! compared, and a list that holds itself twice, 99 times over, is printed without end whatever the fuel.
//! Bounding the depth needs containers of our own, hence literals, operators and filters that make them. Nothing
//! else in the crate uses the engine's unstable interface but `chat::template`, and its version is pinned.
//!
//! Templates are untrusted. Every step that reads or creates data costs fuel by its size ([`fuel`]), before it is taken,
//! and containers record their depth ([`value::MAX_DEPTH`]), so that no recursion is unbounded.

mod arguments;
mod changes;
mod contents;
mod cycle;
mod environment;
mod error;
mod filters;
mod format;
mod fuel;
mod items;
mod json;
mod lookup;
mod methods;
mod number;
mod object;
mod operators;
mod predicates;
mod rewrite;
mod select;
mod slices;
mod str_methods;
mod strings;
mod text;
mod value;

pub(super) use environment::environment;
pub(super) use error::{RaisedError, python_error};
pub(super) use number::float_repr;
pub(super) use rewrite::rewrite;
pub(super) use text::is_printable;
pub(super) use value::from_json;
