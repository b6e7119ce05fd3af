//! The JSON form of a profile: one object, whose keys are those of the GGUF file without their prefix.

use super::{
    Error, MAX_JSON_BYTES, Profile, Result, SystemText, Thinking, ToolChoice, VERSION, check::MAX_TEMPERATURE,
};
use crate::{
    json::{self, Exact, near::nearest, type_name},
    schema::KeyOrder,
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value, json};
use std::num::NonZeroUsize;

/// Keys of a profile, in the order in which they are written.
pub const KEYS: &[&str] = &[
    "version",
    "system",
    "task",
    "tools",
    "tool_choice",
    "parallel",
    "thinking",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "seed",
    "max_tokens",
    "dialect",
    "key_order",
    "template_arguments",
];

impl Profile {
    /// Reads the JSON form. A key that is null counts as missing, and a missing version as [`VERSION`].
    ///
    /// # Errors
    /// The key that is unknown or whose value cannot be used; see [`Profile::check`].
    pub fn from_json(text: &[u8]) -> Result<Profile> {
        if text.len() > MAX_JSON_BYTES {
            return Err(Error::TooLong { key: "profile", bytes: text.len(), most: MAX_JSON_BYTES });
        }
        let text = json::text(text).map_err(Error::Utf8)?;
        Profile::from_value(json::input::parse_exact(text).map_err(|source| Error::Json { source })?)
    }

    /// Reads the JSON form from a value that [`parse_exact`](json::input::parse_exact) made.
    ///
    /// # Errors
    /// As [`Profile::from_json`].
    pub fn from_value(document: Value) -> Result<Profile> {
        let Value::Object(object) = document else {
            return Err(Error::NotObject { found: type_name(&document) });
        };
        check_version(object.get("version"))?;
        let mut profile = Profile::default();
        for (key, value) in object.into_iter().filter(|(_, value)| !value.is_null()) {
            profile.set(&key, value)?;
        }
        profile.check()?;
        Ok(profile)
    }

    /// Takes over one key of the JSON form; null takes the key away. The values are checked by [`Profile::check`].
    ///
    /// # Errors
    /// An unknown key, a value of the wrong type, `system` beside `task`.
    pub fn set(&mut self, key: &str, value: Value) -> Result<()> {
        let Some(&key) = KEYS.iter().find(|known| **known == key) else {
            return Err(Error::UnknownKey {
                key: key.chars().take(100).collect(),
                meant: nearest(key, KEYS),
                keys: KEYS,
            });
        };
        if value.is_null() {
            self.unset(key);
            return Ok(());
        }
        // Only the tools keep numbers as they are written.
        let value = if key == "tools" { value } else { json::rounded(value) };
        match key {
            "version" => check_version(Some(&value))?,
            "system" => self.set_system(SystemText::Text(text(key, value)?))?,
            "task" => self.set_system(SystemText::Task(text(key, value)?))?,
            "tools" => self.tools = Some(value),
            "tool_choice" => self.tool_choice = Some(tool_choice(&value)?),
            "parallel" => self.parallel = Some(count(key, &value)?),
            "thinking" => self.thinking = Some(thinking(&value)?),
            "temperature" => self.sampling.temperature = Some(number(key, &value, MAX_TEMPERATURE)?),
            "top_k" => self.sampling.top_k = Some(count(key, &value)?),
            "top_p" => self.sampling.top_p = Some(number(key, &value, 1.0)?),
            "min_p" => self.sampling.min_p = Some(number(key, &value, 1.0)?),
            "seed" => match value.as_u64() {
                Some(seed) => self.sampling.seed = Some(seed),
                None => {
                    return Err(Error::value(
                        key,
                        format!("is {}; a whole number from 0 is expected", shown(&value)),
                    ));
                }
            },
            "max_tokens" => self.max_tokens = Some(count(key, &value)?),
            "dialect" => self.dialect = Some(text(key, value)?),
            "key_order" => {
                self.key_order = Some(match value.as_str() {
                    Some("any") => KeyOrder::Any,
                    Some("schema") => KeyOrder::Schema,
                    _ => {
                        return Err(Error::value(
                            key,
                            format!("is {}; any or schema is expected", shown(&value)),
                        ));
                    }
                });
            }
            _ => match value {
                Value::Object(arguments) => self.template_arguments = arguments,
                other => return Err(Error::value(key, format!("is {}, not an object", type_name(&other)))),
            },
        }
        Ok(())
    }

    fn set_system(&mut self, system: SystemText) -> Result<()> {
        let is_other = match (&self.system, &system) {
            (Some(SystemText::Text(_)), SystemText::Task(_))
            | (Some(SystemText::Task(_)), SystemText::Text(_)) => true,
            (Some(_) | None, _) => false,
        };
        if is_other {
            return Err(Error::value("task", "stands beside `system`; one of the two is the system message"));
        }
        self.system = Some(system);
        Ok(())
    }

    fn unset(&mut self, key: &str) {
        match (key, &self.system) {
            ("system", Some(SystemText::Text(_))) | ("task", Some(SystemText::Task(_))) => self.system = None,
            ("tools", _) => self.tools = None,
            ("tool_choice", _) => self.tool_choice = None,
            ("parallel", _) => self.parallel = None,
            ("thinking", _) => self.thinking = None,
            ("temperature", _) => self.sampling.temperature = None,
            ("top_k", _) => self.sampling.top_k = None,
            ("top_p", _) => self.sampling.top_p = None,
            ("min_p", _) => self.sampling.min_p = None,
            ("seed", _) => self.sampling.seed = None,
            ("max_tokens", _) => self.max_tokens = None,
            ("dialect", _) => self.dialect = None,
            ("key_order", _) => self.key_order = None,
            ("template_arguments", _) => self.template_arguments = Map::new(),
            _ => {}
        }
    }

    /// The JSON form, indented, with a line feed at the end.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a profile is written to memory");
        text.push('\n');
        text
    }
}

/// The JSON form; keys that the profile leaves open are left out.
impl Serialize for Profile {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("version", &VERSION)?;
        match &self.system {
            Some(SystemText::Text(text)) => map.serialize_entry("system", text)?,
            Some(SystemText::Task(text)) => map.serialize_entry("task", text)?,
            None => {}
        }
        entry(&mut map, "tools", self.tools.as_ref().map(Exact))?;
        entry(&mut map, "tool_choice", self.tool_choice.as_ref().map(ToolChoice::to_value))?;
        entry(&mut map, "parallel", self.parallel)?;
        entry(&mut map, "thinking", self.thinking.map(Thinking::word))?;
        entry(&mut map, "temperature", self.sampling.temperature)?;
        entry(&mut map, "top_k", self.sampling.top_k)?;
        entry(&mut map, "top_p", self.sampling.top_p)?;
        entry(&mut map, "min_p", self.sampling.min_p)?;
        entry(&mut map, "seed", self.sampling.seed)?;
        entry(&mut map, "max_tokens", self.max_tokens)?;
        entry(&mut map, "dialect", self.dialect.as_ref())?;
        entry(&mut map, "key_order", self.key_order.map(key_order_word))?;
        entry(
            &mut map,
            "template_arguments",
            Some(&self.template_arguments).filter(|arguments| !arguments.is_empty()),
        )?;
        map.end()
    }
}

fn entry<M: SerializeMap>(
    map: &mut M,
    key: &str,
    value: Option<impl Serialize>,
) -> std::result::Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(key, &value))
}

impl ToolChoice {
    /// OpenAI's form: a word, or an object that names a function.
    pub fn to_value(&self) -> Value {
        match self {
            ToolChoice::Required => "required".into(),
            ToolChoice::Auto => "auto".into(),
            ToolChoice::None => "none".into(),
            ToolChoice::Named(name) => json!({"type": "function", "function": {"name": name}}),
        }
    }
}

/// The value of `key_order`.
pub(super) fn key_order_word(order: KeyOrder) -> &'static str {
    match order {
        KeyOrder::Any => "any",
        KeyOrder::Schema => "schema",
    }
}

fn check_version(version: Option<&Value>) -> Result<()> {
    match version {
        None | Some(Value::Null) => Ok(()),
        Some(version) if version.as_u64() == Some(VERSION.into()) => Ok(()),
        Some(version) => Err(Error::Version { found: shown(version), known: VERSION }),
    }
}

fn text(key: &'static str, value: Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(Error::value(key, format!("is {}, not a string", type_name(&other)))),
    }
}

fn tool_choice(value: &Value) -> Result<ToolChoice> {
    let name = value.get("function").and_then(|function| function.get("name")).and_then(Value::as_str);
    match (value.as_str(), name) {
        (Some("required"), _) => Ok(ToolChoice::Required),
        (Some("auto"), _) => Ok(ToolChoice::Auto),
        (Some("none"), _) => Ok(ToolChoice::None),
        (None, Some(name)) => Ok(ToolChoice::Named(name.to_owned())),
        _ => Err(Error::value(
            "tool_choice",
            format!(
                "is {}; required, auto, none, or {{\"type\": \"function\", \"function\": {{\"name\": ...}}}} is \
                 expected",
                shown(value)
            ),
        )),
    }
}

fn thinking(value: &Value) -> Result<Thinking> {
    let word = value.as_str();
    let known = Thinking::ALL.into_iter().find(|thinking| word == Some(thinking.word()));
    known.ok_or_else(|| Error::value("thinking", format!("is {}; on, off or auto is expected", shown(value))))
}

fn count(key: &'static str, value: &Value) -> Result<NonZeroUsize> {
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok()).and_then(NonZeroUsize::new);
    number.ok_or_else(|| Error::value(key, format!("is {}; a whole number from 1 is expected", shown(value))))
}

fn number(key: &'static str, value: &Value, most: f32) -> Result<f32> {
    match value.as_f64() {
        Some(number) if (0.0..=f64::from(most)).contains(&number) => Ok(number as f32),
        _ => Err(Error::value(key, format!("is {}; a number from 0 to {most} is expected", shown(value)))),
    }
}

/// Numbers and short words as they are written, of other values the type.
fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::String(word) if word.len() <= 40 => format!("`{}`", word.escape_debug()),
        other => type_name(other).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"{
  "version": 1,
  "task": "Book tables.",
  "tools": [{"name": "f", "parameters": {"type": "object", "properties": {"a": {"maximum": 100000000000000000000}}}}],
  "tool_choice": {"type": "function", "function": {"name": "f"}},
  "parallel": 2,
  "thinking": "off",
  "temperature": 0.7,
  "top_k": 20,
  "top_p": 0.8,
  "min_p": 0.05,
  "seed": 18446744073709551615,
  "max_tokens": 300,
  "dialect": "hermes",
  "key_order": "schema",
  "template_arguments": {"date": "today", "depth": 3}
}"#;

    fn refusal(text: &str) -> String {
        let error = Profile::from_json(text.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), crate::kind::Kind::Data);
        match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    }

    #[test]
    fn a_profile_that_is_written_and_read_again_is_the_same() {
        let profile = Profile::from_json(FULL.as_bytes()).unwrap();
        let text = profile.to_json();
        assert_eq!(Profile::from_json(text.as_bytes()).unwrap(), profile);
        assert!(text.contains("100000000000000000000"), "a wide number keeps its digits: {text}");
        assert!(text.contains("\"temperature\": 0.7,"), "{text}");
        let keys: Vec<&str> =
            KEYS.iter().copied().filter(|key| text.contains(&format!("  \"{key}\":"))).collect();
        assert_eq!(keys.len(), KEYS.len() - 1, "all but `system`, which `task` stands for: {keys:?}");
        let positions: Vec<_> = keys.iter().map(|key| text.find(&format!("\n  \"{key}\":"))).collect();
        assert!(positions.is_sorted(), "{text}");
    }

    #[test]
    fn null_is_as_good_as_missing_and_takes_a_key_away() {
        assert!(Profile::from_json(br#"{"system": null, "tools": null}"#).unwrap().is_empty());
        let mut profile = Profile::from_json(FULL.as_bytes()).unwrap();
        for key in KEYS {
            profile.set(key, Value::Null).unwrap();
        }
        assert!(profile.is_empty());
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_its_key() {
        for (text, expected) in [
            ("[]", "an array, not an object"),
            ("{", "not valid JSON: EOF"),
            (r#"{"a": 1, "a": 2}"#, "stands twice"),
            (r#"{"temprature": 1}"#, "no key `temprature`, did you mean `temperature`?"),
            ("{\"\\u001b[2J\": 1}", "no key `\\u{1b}[2J`; its keys are version, system"),
            (r#"{"version": 2, "else": 1}"#, "version 2, and this program knows version 1"),
            (r#"{"version": "1"}"#, "version `1`"),
            (r#"{"system": 3}"#, "`system` is a number"),
            (r#"{"system": "a", "task": "b"}"#, "`task` stands beside `system`"),
            (r#"{"task": "a", "system": "b"}"#, "`task` stands beside `system`"),
            (r#"{"tools": 7}"#, "`tools` cannot be used: "),
            (r#"{"tools": [{"name": 3}]}"#, "`name` is a number"),
            (r#"{"tools": [{"name": "f"}], "tool_choice": {"function": {"name": "g"}}}"#, "`g`"),
            (r#"{"tool_choice": "f"}"#, "`tool_choice` is `f`; required, auto"),
            (r#"{"parallel": 0}"#, "`parallel` is 0; a whole number from 1"),
            (r#"{"parallel": 65}"#, "`parallel` is 65; a whole number from 1 to 64"),
            (r#"{"thinking": true}"#, "`thinking` is a boolean; on, off or auto"),
            (r#"{"temperature": -0.5}"#, "`temperature` is -0.5; a number from 0 to 100"),
            (r#"{"temperature": 1e999}"#, "number out of range"),
            (r#"{"top_p": 1.5}"#, "`top_p` is 1.5; a number from 0 to 1"),
            (r#"{"top_k": 1.5}"#, "`top_k` is 1.5"),
            (r#"{"seed": -1}"#, "`seed` is -1"),
            (
                r#"{"max_tokens": 99999999999}"#,
                "`max_tokens` is 99999999999; a whole number from 1 to 16777216",
            ),
            (r#"{"dialect": "x"}"#, "`dialect` is `x`; known are hermes"),
            (r#"{"key_order": "x"}"#, "`key_order` is `x`; any or schema"),
            (r#"{"template_arguments": []}"#, "`template_arguments` is an array"),
        ] {
            let message = refusal(text);
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn sizes_are_limited() {
        let text = |bytes: usize| format!(r#"{{"system": "{}"}}"#, "a".repeat(bytes));
        assert!(Profile::from_json(text(super::super::MAX_SYSTEM_BYTES).as_bytes()).is_ok());
        assert!(refusal(&text(super::super::MAX_SYSTEM_BYTES + 1)).contains("`system` has 1048577 bytes"));
        assert!(refusal(&text(MAX_JSON_BYTES)).contains("`profile` has"));
        let many = format!(r#"{{"template_arguments": {{"a": "{}"}}}}"#, "a".repeat(1 << 18));
        assert!(refusal(&many).contains("`template_arguments` has"));
        let deep = format!("{{\"tools\": {}1{}}}", "[".repeat(4096), "]".repeat(4096));
        assert!(refusal(&deep).contains("recursion limit"));
    }
}
