//! Full validators of a document and of each of its subschemas.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use jsonschema::{PatternOptions, Validator};
use referencing::{Draft, Registry};
use serde_json::Value;

use super::exact::{Exact, ExactNode};
use super::exact_keywords::{rounded_schema, with_exact_keywords};
use super::registry::{self, BASE, ReadError};
use crate::json;

/// A validator of values with exact numbers.
type ExactValidator = Validator<Exact>;

/// Backtracking limit of a pattern; a value that exceeds it counts as refused.
const BACKTRACK_LIMIT: usize = 100_000;

/// The validators of a schema and of its subschemas, each built on first use.
pub(crate) struct Validators {
    schema: Value,
    draft: Draft,
    registry: Registry<'static>,
    /// The schema and its registry with wide numbers rounded, if there are any.
    rounded: Option<(Value, Registry<'static>)>,
    root: OnceLock<Result<ExactValidator, String>>,
    parts: Mutex<HashMap<String, Option<Arc<ExactValidator>>>>,
}

impl fmt::Debug for Validators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validators").field("draft", &self.draft).finish_non_exhaustive()
    }
}

impl Validators {
    /// The validators of `schema`; an error if a reference leads outside of it.
    pub(crate) fn new(schema: Value, draft: Draft) -> Result<Validators, ReadError> {
        let registry = registry::registry(&schema, draft)?;
        let rounded = if json::has_wide_numbers(&schema) {
            let rounded = rounded_schema(&schema);
            let registry = registry::registry(&rounded, draft)?;
            Some((rounded, registry))
        } else {
            None
        };
        let (root, parts) = (OnceLock::new(), Mutex::new(HashMap::new()));
        Ok(Validators { schema, draft, registry, rounded, root, parts })
    }

    /// The schema.
    pub(crate) fn schema(&self) -> &Value {
        &self.schema
    }

    /// The schema's draft.
    pub(crate) fn draft(&self) -> Draft {
        self.draft
    }

    /// The registry that resolves the schema's references.
    pub(crate) fn registry(&self) -> &Registry<'static> {
        &self.registry
    }

    /// The validator of the subschema at `pointer`, if one was built.
    pub(crate) fn built_at(&self, pointer: &str) -> Option<Arc<ExactValidator>> {
        self.parts.lock().ok()?.get(pointer).cloned().flatten()
    }

    fn options(&self) -> jsonschema::ValidationOptions<'_, Arc<dyn jsonschema::Retrieve>, Exact> {
        with_exact_keywords(jsonschema::options_for(), self.draft)
            .with_draft(self.draft)
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_LIMIT))
    }

    /// The validator of the whole schema, or the reason why there is none.
    pub(crate) fn root(&self) -> Result<&ExactValidator, &str> {
        let schema = self.rounded.as_ref().map_or(&self.schema, |(schema, _)| schema);
        self.root
            .get_or_init(|| self.options().build(schema).map_err(|e| e.to_string()))
            .as_ref()
            .map_err(String::as_str)
    }

    /// True if the schema at `pointer` accepts `value`, or if it has no validator.
    pub(crate) fn accepts_at(&self, pointer: &str, value: &Value) -> bool {
        if pointer == "#" {
            return self.root().is_ok_and(|v| v.is_valid(ExactNode(value)));
        }
        let Ok(mut parts) = self.parts.lock() else { return true };
        let validator = parts.entry(pointer.to_string()).or_insert_with(|| {
            let reference = serde_json::json!({ "$ref": format!("{BASE}{}", fragment(pointer)) });
            let registry = self.rounded.as_ref().map_or(&self.registry, |(_, registry)| registry);
            self.options().with_registry(registry).build(&reference).ok().map(Arc::new)
        });
        let Some(validator) = validator.clone() else { return true };
        drop(parts);
        validator.is_valid(ExactNode(value))
    }

    /// True if a single keyword of `schema`, which depends on no other, accepts `value`.
    pub(crate) fn keyword_accepts(&self, schema: &Value, word: &str, value: &Value) -> bool {
        let mut alone = serde_json::Map::new();
        let flag = match word {
            "minimum" => "exclusiveMinimum",
            "maximum" => "exclusiveMaximum",
            _ => "",
        };
        for word in [word, flag] {
            if let Some(v) = schema.get(word).filter(|v| word != flag || v.is_boolean()) {
                alone.insert(word.to_string(), v.clone());
            }
        }
        self.options()
            .build(&rounded_schema(&Value::Object(alone)))
            .is_ok_and(|v| v.is_valid(ExactNode(value)))
    }
}

/// A JSON pointer as a URI fragment, percent-encoded.
fn fragment(pointer: &str) -> String {
    let mut out = String::new();
    for (i, byte) in pointer.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte) || i == 0 {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
