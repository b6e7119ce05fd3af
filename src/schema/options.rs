//! Options for compiling a schema.

use referencing::Draft;

/// Semantics of what a schema leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Meaning {
    /// The standard's: everything is allowed that is not forbidden.
    #[default]
    Standard,
    /// A tool's parameters: an object whose undeclared keys are not generated.
    Tool,
}

/// Order of the keys in generated objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KeyOrder {
    /// Any order.
    #[default]
    Any,
    /// The order in the schema.
    Schema,
}

/// Options for compiling a schema.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Semantics of what the schema leaves open.
    pub meaning: Meaning,
    /// Order of the keys.
    pub key_order: KeyOrder,
    /// The draft if `$schema` names none; `None` is 2020-12, and older forms are accepted.
    pub draft: Option<Draft>,
}
