//! Typed reads of metadata, with errors that state the expected value.

use super::Error;
use crate::gguf::{Gguf, Value};

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

    /// An optional string.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'g str>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, other, "a string".into())),
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
