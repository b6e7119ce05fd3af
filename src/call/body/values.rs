//! Values of a request's fields, held to their types.

use super::super::{Error, Result};
use crate::json::type_name;
use serde_json::Value;
use std::num::NonZeroUsize;

/// Largest `top_logprobs`.
const MOST_TOP_LOGPROBS: u64 = 20;

/// The error of a field.
pub(in crate::call) fn wrong(field: &str, problem: impl Into<String>) -> Error {
    Error::Field { field: field.to_owned(), problem: problem.into() }
}

/// True or false.
pub(in crate::call) fn flag(field: &str, value: &Value) -> Result<bool> {
    value.as_bool().ok_or_else(|| wrong(field, format!("is {}, not a boolean", type_name(value))))
}

/// A whole number from 1.
pub(in crate::call) fn count(field: &str, value: &Value) -> Result<NonZeroUsize> {
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok()).and_then(NonZeroUsize::new);
    number.ok_or_else(|| wrong(field, format!("is {}; a whole number from 1 is expected", shown(value))))
}

/// A number from 0 to `most`.
pub(in crate::call) fn number(field: &str, value: &Value, most: f64) -> Result<f32> {
    match value.as_f64() {
        Some(number) if (0.0..=most).contains(&number) => Ok(number as f32),
        _ => Err(wrong(field, format!("is {}; a number from 0 to {most} is expected", shown(value)))),
    }
}

/// A number of tokens in the place of each.
///
/// # Errors
/// [`Error::Field`] for anything but a whole number up to 20, OpenAI's limit.
pub fn top_logprobs(field: &str, value: &Value) -> Result<usize> {
    match value.as_u64() {
        Some(most) if most <= MOST_TOP_LOGPROBS => Ok(most as usize),
        _ => {
            let most = MOST_TOP_LOGPROBS;
            Err(wrong(field, format!("is {}; a whole number from 0 to {most} is expected", shown(value))))
        }
    }
}

/// A number as it is written, of other values the type.
fn shown(value: &Value) -> String {
    if value.is_number() { value.to_string() } else { type_name(value).to_owned() }
}
