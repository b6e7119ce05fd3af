//! The profile in a GGUF file: one key for each of its values, behind a prefix of our own.

use super::{
    Error, KEYS, Profile, Result, SystemText, Thinking, ToolChoice, VERSION, json_form::key_order_word,
};
use crate::{
    gguf::{self, Gguf, Value},
    json::{self, Exact},
    mmap::Map,
};
use serde::Serialize;
use serde_json::Value as Json;
use std::path::Path;

/// Beginning of every key of a profile in a GGUF file.
pub const PREFIX: &str = "edgecall.profile.";

/// True for a key of a GGUF file that belongs to the profile.
pub fn is_profile_key(key: &str) -> bool {
    key.starts_with(PREFIX)
}

impl Profile {
    /// Reads the profile of the GGUF file at `path`; `None` if it has none. A file that cannot be read, or whose metadata
    /// is damaged, counts as one without: whoever loads the model says what is wrong with it.
    ///
    /// # Errors
    /// A profile that cannot be used.
    pub fn read_file(path: &Path) -> Result<Option<Profile>> {
        let Ok(file) = Map::open(path) else { return Ok(None) };
        match gguf::values_with_prefix(&file, PREFIX) {
            Ok(values) => Profile::from_metadata(&values),
            Err(_) => Ok(None),
        }
    }

    /// The profile of a parsed file; `None` if it has none.
    ///
    /// # Errors
    /// A profile that cannot be used.
    pub fn from_gguf(gguf: &Gguf) -> Result<Option<Profile>> {
        Profile::from_metadata(&gguf.metadata)
    }

    /// The profile in `metadata`, among other keys; `None` if it has none.
    ///
    /// # Errors
    /// A version that is missing or unknown, or the first key that cannot be used.
    pub fn from_metadata(metadata: &[(String, Value)]) -> Result<Option<Profile>> {
        let pairs = || metadata.iter().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)));
        if pairs().next().is_none() {
            return Ok(None);
        }
        // A later version may have other keys, so it comes first.
        match pairs().find(|(key, _)| *key == "version") {
            Some((_, value)) if value.as_u64() == Some(VERSION.into()) => {}
            Some((_, value)) => {
                let found = value.as_u64().map_or_else(|| a_type(value).to_owned(), |n| n.to_string());
                return Err(Error::Version { found, known: VERSION });
            }
            None => return Err(Error::value("version", "is missing")),
        }
        let mut profile = Profile::default();
        for (key, value) in pairs() {
            match KEYS.iter().find(|known| **known == key) {
                Some(&known) => profile.set(known, to_json(known, value)?)?,
                None => profile.set(key, Json::Null)?,
            }
        }
        profile.check()?;
        Ok(Some(profile))
    }

    /// The keys and values of a GGUF file that hold this profile; none if it leaves everything open.
    ///
    /// # Errors
    /// As [`Profile::check`].
    pub fn to_metadata(&self) -> Result<Vec<(String, Value)>> {
        self.check()?;
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let mut pairs = Vec::new();
        let mut add = |key: &str, value: Option<Value>| {
            pairs.extend(value.map(|value| (format!("{PREFIX}{key}"), value)));
        };
        let text = |text: &str| Some(Value::String(text.to_owned()));
        // The check keeps these far below 2^32.
        let count = |number: std::num::NonZeroUsize| Value::U32(number.get().try_into().unwrap_or(u32::MAX));
        add("version", Some(Value::U32(VERSION)));
        match &self.system {
            Some(SystemText::Text(system)) => add("system", text(system)),
            Some(SystemText::Task(task)) => add("task", text(task)),
            None => {}
        }
        add("tools", self.tools.as_ref().map(|tools| json_text(&Exact(tools))));
        add("tool_choice", self.tool_choice.as_ref().and_then(|choice| text(&choice_text(choice))));
        add("parallel", self.parallel.map(count));
        add("thinking", self.thinking.map(Thinking::word).and_then(text));
        add("temperature", self.sampling.temperature.map(Value::F32));
        add("top_k", self.sampling.top_k.map(count));
        add("top_p", self.sampling.top_p.map(Value::F32));
        add("min_p", self.sampling.min_p.map(Value::F32));
        add("seed", self.sampling.seed.map(Value::U64));
        add("max_tokens", self.max_tokens.map(count));
        add("dialect", self.dialect.as_deref().and_then(text));
        add("key_order", self.key_order.map(key_order_word).and_then(text));
        let arguments = Some(&self.template_arguments).filter(|arguments| !arguments.is_empty());
        add("template_arguments", arguments.map(json_text));
        Ok(pairs)
    }
}

fn json_text(value: &impl Serialize) -> Value {
    Value::String(serde_json::to_string(value).expect("a JSON value is written to memory"))
}

/// The word of a tool choice; the JSON of one that names a tool.
fn choice_text(choice: &ToolChoice) -> String {
    match choice.to_value() {
        Json::String(word) => word,
        object => object.to_string(),
    }
}

/// The JSON form of a value. Tools, template arguments and a named tool are JSON in a string.
fn to_json(key: &'static str, value: &Value) -> Result<Json> {
    match value {
        Value::String(text) => {
            let is_json = matches!(key, "tools" | "template_arguments")
                || key == "tool_choice" && text.starts_with('{');
            if !is_json {
                return Ok(Json::String(text.clone()));
            }
            super::check::within(key, text.len(), super::MAX_JSON_BYTES)?;
            json::input::parse_exact(text).map_err(|source| Error::JsonValue { key, source })
        }
        Value::F32(number) => finite(key, f64::from(*number)),
        Value::F64(number) => finite(key, *number),
        value => match value.as_u64() {
            Some(number) => Ok(Json::from(number)),
            None => Err(Error::value(key, format!("is {}, which it cannot be", a_type(value)))),
        },
    }
}

fn finite(key: &'static str, number: f64) -> Result<Json> {
    match number.is_finite() {
        true => Ok(Json::from(number)),
        false => Err(Error::value(key, format!("is {number}, which is no finite number"))),
    }
}

/// The type of a value with its article.
fn a_type(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "a bool",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::F32(_) | Value::F64(_) => "a fraction",
        _ => "a negative number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::{Array, Header};

    fn pair(key: &str, value: Value) -> (String, Value) {
        (format!("{PREFIX}{key}"), value)
    }

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    fn refusal(pairs: &[(&str, Value)]) -> String {
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| pair(key, value.clone())).collect();
        let error = Profile::from_metadata(&pairs).unwrap_err();
        match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    }

    #[test]
    fn a_profile_in_a_file_is_read_as_it_was_written() {
        for json in [
            r#"{"system": "Du bist <b>hier</b>.\n", "tool_choice": "auto", "thinking": "auto", "seed": 18446744073709551615}"#,
            r#"{"task": "", "tools": {"tools": [{"name": "f", "parameters": {"properties": {"n": {"const":
               100000000000000000000.5}}}}]}, "tool_choice": {"function": {"name": "f"}}, "parallel": 3,
               "temperature": 0.7, "top_k": 40, "top_p": 0.9, "min_p": 0.1, "max_tokens": 16777216, "dialect":
               "llama3", "key_order": "any", "template_arguments": {"a": [1, "b", null], "c": 0.1}}"#,
        ] {
            let profile = Profile::from_json(json.as_bytes()).unwrap();
            let bytes = Header::new(profile.to_metadata().unwrap()).encode();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.gguf");
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(Profile::read_file(&path).unwrap(), Some(profile));
        }
    }

    #[test]
    fn no_keys_are_no_profile_and_an_empty_one_has_no_keys() {
        assert_eq!(Profile::from_metadata(&[("general.name".into(), text("a"))]).unwrap(), None);
        assert_eq!(Profile::default().to_metadata().unwrap(), []);
        assert_eq!(Profile::read_file(Path::new("/nonexistent")).unwrap(), None);
    }

    #[test]
    fn what_a_file_cannot_mean_is_refused_by_its_key() {
        let version = || ("version", Value::U32(1));
        for (pairs, expected) in [
            (vec![("task", text("a"))], "`version` is missing"),
            (
                vec![("version", Value::U32(2)), ("new", text("a"))],
                "version 2, and this program knows version 1",
            ),
            (vec![("version", text("1"))], "version a string"),
            (vec![version(), ("tusk", text("a"))], "no key `tusk`, did you mean `task`?"),
            (vec![version(), ("tools", text("[{]"))], "`tools` is not valid JSON: key must be"),
            (vec![version(), ("tools", Value::U8(1))], "`tools` cannot be used"),
            (vec![version(), ("tool_choice", text("{"))], "`tool_choice` is not valid JSON"),
            (vec![version(), ("temperature", Value::F32(f32::NAN))], "`temperature` is NaN"),
            (vec![version(), ("temperature", Value::F32(-1.0))], "`temperature` is -1"),
            (vec![version(), ("max_tokens", Value::I32(-1))], "`max_tokens` is a negative number"),
            (vec![version(), ("system", Value::Array(Array::U8(vec![])))], "`system` is an array"),
            (vec![version(), ("system", text("a")), ("task", text("b"))], "`task` stands beside `system`"),
            (vec![version(), ("template_arguments", text("3"))], "`template_arguments` is a number"),
        ] {
            let message = refusal(&pairs);
            assert!(message.contains(expected), "{pairs:?}: {message}");
        }
    }
}
