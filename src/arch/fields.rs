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
pub struct Fields<'a>(pub(crate) &'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn get(&self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    /// A count from 1 to 2^32 - 1, since GGUF stores it as `u32`.
    pub(crate) fn optional_count(&self, field: &str) -> Result<Option<u64>, Error> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.as_u64() {
            Some(count) if (1..=u64::from(u32::MAX)).contains(&count) => Ok(Some(count)),
            _ => Err(self.wrong(field, "a whole number from 1 to 4294967295")),
        }
    }

    pub(crate) fn count(&self, field: &str, default: u64) -> Result<u64, Error> {
        Ok(self.optional_count(field)?.unwrap_or(default))
    }

    pub(crate) fn count_or(&self, field: &str, default: impl FnOnce() -> u64) -> Result<u64, Error> {
        Ok(self.optional_count(field)?.unwrap_or_else(default))
    }

    pub(crate) fn optional_positive(&self, field: &str) -> Result<Option<f64>, Error> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.as_f64() {
            Some(number) if number > 0.0 && (number as f32).is_finite() => Ok(Some(number)),
            _ => Err(self.wrong(field, "a positive number")),
        }
    }

    pub(crate) fn positive(&self, field: &str, default: f64) -> Result<f64, Error> {
        Ok(self.optional_positive(field)?.unwrap_or(default))
    }

    /// A required count.
    pub(crate) fn required_count(&self, field: &str) -> Result<u64, Error> {
        self.optional_count(field)?.ok_or_else(|| self.wrong(field, "a whole number from 1 to 4294967295"))
    }

    /// A count that may be 0.
    pub(crate) fn optional_number(&self, field: &str) -> Result<Option<u64>, Error> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.as_u64().filter(|number| *number <= u64::from(u32::MAX)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(field, "a whole number from 0 to 4294967295")),
        }
    }

    /// A number that may be 0.
    pub(crate) fn optional_real(&self, field: &str) -> Result<Option<f64>, Error> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.as_f64().filter(|number| (*number as f32).is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(field, "a number")),
        }
    }

    /// A list of positive numbers.
    pub(crate) fn positives(&self, field: &str) -> Result<Option<Vec<f64>>, Error> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let number = |value: &Value| value.as_f64().filter(|n| *n > 0.0 && (*n as f32).is_finite());
        let numbers = value.as_array().and_then(|list| list.iter().map(number).collect());
        numbers.map(Some).ok_or_else(|| self.wrong(field, "a list of positive numbers"))
    }

    /// A list of texts.
    pub(crate) fn texts(&self, field: &str) -> Result<Option<Vec<&'a str>>, Error> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let texts = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
        texts.map(Some).ok_or_else(|| self.wrong(field, "a list of texts"))
    }

    /// A list of whole numbers that are not negative.
    pub(crate) fn indices(&self, field: &str) -> Result<Option<Vec<u64>>, Error> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let numbers = value.as_array().and_then(|list| list.iter().map(Value::as_u64).collect());
        numbers.map(Some).ok_or_else(|| self.wrong(field, "a list of whole numbers"))
    }

    pub(crate) fn flag(&self, field: &str) -> Result<bool, Error> {
        Ok(self.optional_flag(field)?.unwrap_or(false))
    }

    pub(crate) fn optional_flag(&self, field: &str) -> Result<Option<bool>, Error> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.wrong(field, "true or false")),
        }
    }

    /// The error of a setting that the file cannot express.
    pub(crate) fn unsupported(&self, field: &str, reason: &'static str) -> Error {
        let found = self.get(field).map_or("absent".to_owned(), shown);
        Error::Feature { field: field.to_owned(), found, reason }
    }

    pub(crate) fn wrong(&self, field: &str, expected: &'static str) -> Error {
        let found = self.get(field).map_or("absent".to_owned(), shown);
        Error::Field { field: field.to_owned(), found, expected }
    }
}

/// The JSON text of a value, shortened if it is long.
fn shown(value: &Value) -> String {
    const MOST: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
