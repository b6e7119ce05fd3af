//! The full validator, applied value by value: the subschemas that certainly apply to a value, and their verdicts.

use serde_json::Value;

use super::graph::SchemaGraph;
use super::violation::Violation;
use crate::schema::read::Validators;

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
        let error = validator.iter_errors(value).next()?;
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
        let Some(error) = validator.iter_errors(value).next() else { return fallback() };
        Violation::from_error(&error, self.validators.schema(), pointer)
    }
}
