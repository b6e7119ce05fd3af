//! Typed reads of metadata, with errors that state the expected value.

use super::Error;
use crate::gguf::{Array, Gguf, Value};

/// The keys of one prefix: `qwen3`, or `tokenizer.ggml`.
pub(super) struct Keys<'g> {
    gguf: &'g Gguf,
    prefix: &'g str,
}

impl<'g> Keys<'g> {
    pub(super) fn new(gguf: &'g Gguf, prefix: &'g str) -> Keys<'g> {
        Keys { gguf, prefix }
    }

    pub(super) fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    pub(super) fn value(&self, name: &str) -> Option<&'g Value> {
        self.gguf.value(&self.key(name))
    }

    /// A required `u32` from `least` to `most`.
    pub(super) fn count(&self, name: &str, least: u32, most: u32) -> Result<u64, Error> {
        let expected = || format!("a u32 from {least} to {most}");
        match self.optional_count(name, least, most)? {
            Some(count) => Ok(count),
            None => Err(Error::MissingKey { key: self.key(name), expected: expected() }),
        }
    }

    /// An optional `u32` from `least` to `most`.
    pub(super) fn optional_count(&self, name: &str, least: u32, most: u32) -> Result<Option<u64>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(&Value::U32(count)) if (least..=most).contains(&count) => Ok(Some(count.into())),
            Some(other) => Err(self.wrong(name, other, format!("a u32 from {least} to {most}"))),
        }
    }

    /// Checks that an optional `u32` is `expected`; `why` explains the number in the error.
    pub(super) fn same(&self, name: &str, expected: u64, why: &str) -> Result<(), Error> {
        match self.value(name) {
            None => Ok(()),
            Some(Value::U32(count)) if u64::from(*count) == expected => Ok(()),
            Some(other) => Err(self.wrong(name, other, format!("a u32 of {expected}, {why}"))),
        }
    }

    /// An optional `f32` for which `fits` is true; `expected` describes such numbers in the error.
    pub(super) fn number(
        &self,
        name: &str,
        fits: impl Fn(f32) -> bool,
        expected: &str,
    ) -> Result<Option<f32>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(&Value::F32(number)) if fits(number) => Ok(Some(number)),
            Some(other) => Err(self.wrong(name, other, format!("an f32, {expected}"))),
        }
    }

    /// An optional bool.
    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(&Value::Bool(truth)) => Ok(Some(truth)),
            Some(other) => Err(self.wrong(name, other, "a bool".into())),
        }
    }

    /// An optional array of `count` bools, or one bool for all of them.
    pub(super) fn truths(&self, name: &str, count: u64) -> Result<Option<Vec<bool>>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(&Value::Bool(truth)) => Ok(Some(vec![truth; count as usize])),
            Some(Value::Array(Array::Bool(truths))) if truths.len() as u64 == count => {
                Ok(Some(truths.clone()))
            }
            Some(other) => Err(self.wrong(name, other, format!("{count} bools, one for each layer"))),
        }
    }

    /// An optional string.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'g str>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, other, "a string".into())),
        }
    }

    /// A number, or one for each layer, as one for each layer; `None` if the key is absent.
    pub(super) fn each(&self, name: &str, blocks: u64, most: u32) -> Result<Option<Vec<u64>>, Error> {
        let expected = || format!("a u32 of at most {most}, or {blocks} of them");
        let Some(value) = self.value(name) else { return Ok(None) };
        let numbers: Vec<i64> = match value {
            Value::U32(number) => vec![i64::from(*number); blocks as usize],
            Value::Array(Array::U32(numbers)) => numbers.iter().map(|&number| number.into()).collect(),
            Value::Array(Array::I32(numbers)) => numbers.iter().map(|&number| number.into()).collect(),
            other => return Err(self.wrong(name, other, expected())),
        };
        let fits = |number: &i64| (0..=i64::from(most)).contains(number);
        if numbers.len() as u64 != blocks {
            return Err(self.wrong(name, value, expected()));
        }
        match numbers.iter().position(|number| !fits(number)) {
            None => Ok(Some(numbers.into_iter().map(|number| number as u64).collect())),
            Some(index) => Err(Error::Element {
                key: self.key(name),
                index,
                found: numbers[index].to_string(),
                expected: format!("a number from 0 to {most}"),
            }),
        }
    }

    pub(super) fn wrong(&self, name: &str, found: &Value, expected: String) -> Error {
        Error::Key { key: self.key(name), found: shown(found), expected }
    }
}

/// A value for a message: its type, and the value itself if it is short.
pub(crate) fn shown(value: &Value) -> String {
    let kind = value.type_name();
    match value {
        Value::String(text) if text.chars().count() > 60 => format!("a string of {} bytes", text.len()),
        Value::String(text) => format!("the string \"{}\"", text.escape_debug()),
        Value::Array(array) => format!("an array of {} values", array.len()),
        Value::Bool(truth) => format!("the bool {truth}"),
        Value::F32(n) => format!("the f32 {n}"),
        Value::F64(n) => format!("the f64 {n}"),
        Value::I8(n) => format!("the {kind} {n}"),
        Value::I16(n) => format!("the {kind} {n}"),
        Value::I32(n) => format!("the {kind} {n}"),
        Value::I64(n) => format!("the {kind} {n}"),
        Value::U8(n) => format!("the {kind} {n}"),
        Value::U16(n) => format!("the {kind} {n}"),
        Value::U32(n) => format!("the {kind} {n}"),
        Value::U64(n) => format!("the {kind} {n}"),
    }
}
