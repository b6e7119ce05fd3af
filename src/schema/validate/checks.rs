//! The full validator, applied value by value: the subschemas that certainly apply to a value, and their verdicts.

use serde_json::Value;

use super::graph::SchemaGraph;
use super::violation::Violation;
use crate::json;
use crate::schema::read::{ExactNode, Validators};

/// A schema's validators, and the graph of the subschemas that they are for.
#[derive(Debug)]
pub struct Checks {
    validators: Validators,
    pub(super) graph: SchemaGraph,
}

impl Checks {
    pub(crate) fn new(validators: Validators, graph: SchemaGraph) -> Checks {
        Checks { validators, graph }
    }

    /// The first violation of the schema by the value in `text`, numbers taken as they are written; `None` if it is
    /// valid.
    ///
    /// # Errors
    /// The parser's error.
    pub fn violation_of_text(&self, text: &str) -> Result<Option<Violation>, serde_json::Error> {
        Ok(self.violation(&json::parse_exact(text)?))
    }

    /// The first violation of the schema by `value`; `None` if it is valid.
    pub fn violation(&self, value: &Value) -> Option<Violation> {
        let validator = match self.validators.root() {
            Ok(validator) => validator,
            Err(message) => {
                return Some(Violation {
                    pointer: "#".into(),
                    keyword: "$schema".into(),
                    message: message.into(),
                });
            }
        };
        // Deciding is cheap where collecting errors visits a value once for each path to its schema.
        if validator.is_valid(ExactNode(value)) {
            return None;
        }
        let error = validator.iter_errors(ExactNode(value)).next()?;
        Some(Violation::from_error(&error, self.validators.schema(), "#"))
    }

    /// True if the subschema at `pointer` accepts `value`, or if it has no validator.
    pub(super) fn accepts_at(&self, pointer: &str, value: &Value) -> bool {
        self.validators.accepts_at(pointer, value)
    }

    /// The violation of the subschema at `pointer` by `value`, which it refused.
    pub(super) fn violation_at(&self, pointer: &str, value: &Value) -> Violation {
        let fallback = || Violation {
            pointer: pointer.to_string(),
            keyword: String::new(),
            message: "the value is refused".to_string(),
        };
        if pointer == "#" {
            return self.violation(value).unwrap_or_else(fallback);
        }
        let Some(validator) = self.validators.built_at(pointer) else { return fallback() };
        let Some(error) = validator.iter_errors(ExactNode(value)).next() else { return fallback() };
        Violation::from_error(&error, self.validators.schema(), pointer)
    }
}
