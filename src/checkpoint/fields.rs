//! Typed reads of `config.json`, with errors that name the field.

use serde_json::{Map, Value};

/// Reasons why a `config.json` cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not JSON.
    #[error("not JSON{}", if .0.is_eof() { "; was the download cut short?" } else { "" })]
    Json(#[source] serde_json::Error),
    /// JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// No `architectures`.
    #[error("`architectures` names no model class; supported: {}", supported.join(", "))]
    NoArchitecture {
        /// The supported classes.
        supported: Vec<&'static str>,
    },
    /// An unsupported model class.
    #[error("architecture `{found}` is not supported; supported: {}", supported.join(", "))]
    Architecture {
        /// The first of `architectures`.
        found: String,
        /// The supported classes.
        supported: Vec<&'static str>,
    },
    /// A field of the wrong type or out of its range.
    #[error("`{field}` is {found}, expected {expected}")]
    Field {
        /// The field.
        field: String,
        /// Its JSON text.
        found: String,
        /// The expected value, in words.
        expected: &'static str,
    },
    /// Two fields that contradict each other.
    #[error("{0}")]
    Contradiction(String),
    /// Quantized weights.
    #[error(
        "the weights are quantized already (`quantization_config`, method `{method}`); \
         convert the BF16 checkpoint that they were made from"
    )]
    Quantized {
        /// `quant_method`, such as `gptq`, `awq`, `fp8` or `bitsandbytes`.
        method: String,
    },
    /// A feature of the model that the GGUF file cannot express.
    #[error("`{field}` is {found}, which is not supported: {reason}")]
    Feature {
        /// The field.
        field: String,
        /// Its JSON text.
        found: String,
        /// The reason why the file would be wrong.
        reason: &'static str,
    },
}

/// Typed access to an object's fields; a null field counts as absent.
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl Fields<'_> {
    fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    /// A count from 1 to 2^32 - 1, since GGUF stores it as `u32`.
    pub(super) fn optional_count(&self, field: &str) -> Result<Option<u64>, Error> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.as_u64() {
            Some(count) if (1..=u64::from(u32::MAX)).contains(&count) => Ok(Some(count)),
            _ => Err(self.wrong(field, "a whole number from 1 to 4294967295")),
        }
    }

    pub(super) fn count(&self, field: &str, default: u64) -> Result<u64, Error> {
        Ok(self.optional_count(field)?.unwrap_or(default))
    }

    pub(super) fn count_or(&self, field: &str, default: impl FnOnce() -> u64) -> Result<u64, Error> {
        Ok(self.optional_count(field)?.unwrap_or_else(default))
    }

    pub(super) fn optional_positive(&self, field: &str) -> Result<Option<f64>, Error> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.as_f64() {
            Some(number) if number > 0.0 && (number as f32).is_finite() => Ok(Some(number)),
            _ => Err(self.wrong(field, "a positive number")),
        }
    }

    pub(super) fn positive(&self, field: &str, default: f64) -> Result<f64, Error> {
        Ok(self.optional_positive(field)?.unwrap_or(default))
    }

    pub(super) fn flag(&self, field: &str) -> Result<bool, Error> {
        match self.get(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(field, "true or false")),
        }
    }

    pub(super) fn wrong(&self, field: &str, expected: &'static str) -> Error {
        let found = self.get(field).map_or("absent".to_owned(), Value::to_string);
        Error::Field { field: field.to_owned(), found, expected }
    }
}
