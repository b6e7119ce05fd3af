//! Streaming parser of messages. Each is validated while it is read, and the first invalid one ends the
//! parsing: a hundred megabytes of something else are not first converted to values.

use super::{
    Conversation, Error, RequestBody, results,
    validate::{json_type, push},
};
use crate::json::{self, Unique};
use serde::{
    Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    ops::Range,
};

impl Conversation {
    /// Parses a JSON array of messages, or an object with `messages` and optionally `tools`.
    ///
    /// Accepted beyond OpenAI's form are a byte order mark, `arguments` as an object or as text, and assistant
    /// messages with tool calls and without `content`. The template gets arguments as objects, and the text
    /// parts of a content list joined by line feeds. A content that is missing or null beside tool calls
    /// becomes `""`, and beside `refusal` its text. Results stand in the order of their calls, by `tool_call_id`. All
    /// other fields are unchanged.
    ///
    /// # Errors
    /// The first defect found, by message and field.
    pub fn parse(input: &[u8]) -> Result<Conversation, Error> {
        Ok(RequestBody::parse(input, &[])?.conversation)
    }

    /// Validates a parsed document; see [`Conversation::parse`].
    ///
    /// # Errors
    /// The first defect found, by message and field.
    pub fn from_value(document: Value) -> Result<Conversation, Error> {
        let (list, tools) = match document {
            Value::Object(mut object) => match object.shift_remove("messages") {
                Some(list) => (list, object.shift_remove("tools").filter(|tools| !tools.is_null())),
                None => return Err(Error::NotMessages { found: "an object without `messages`".into() }),
            },
            other => (other, None),
        };
        let Value::Array(list) = list else {
            return Err(Error::NotMessages { found: json_type(&list).into() });
        };
        if list.is_empty() {
            return Err(Error::Empty);
        }
        let mut messages = Vec::new();
        list.into_iter().try_for_each(|value| push(&mut messages, value))?;
        results::in_order(&mut messages)?;
        Ok(Conversation { messages, tools })
    }
}

impl RequestBody {
    /// Parses what [`Conversation::parse`] does, and keeps the fields beside the messages that are in `known`. Numbers of
    /// tools and schemas are kept as they are written.
    ///
    /// # Errors
    /// As [`Conversation::parse`].
    pub fn parse(input: &[u8], known: &[&str]) -> Result<RequestBody, Error> {
        let text = json::text(input).map_err(Error::Utf8)?;
        if text.trim().is_empty() {
            return Err(Error::Empty);
        }
        let text = &*json::input::whole_surrogates(text);
        let mut body = body(text, known)?;
        results::in_order(&mut body.conversation.messages)?;
        let exact = if json::has_wide_literals(text) { exact_fields(text) } else { Vec::new() };
        let mut start = 0;
        for (range, _) in &exact {
            refuse_wide(text, start..range.start)?;
            start = range.end;
        }
        refuse_wide(text, start..text.len())?;
        for (range, name) in exact {
            let Ok(value) = json::parse_exact(&text[range]) else { continue };
            match (name, &mut body.conversation.tools) {
                (TOOLS, Some(tools)) => *tools = value,
                _ => {
                    if let Some(field) = body.fields.get_mut(name) {
                        *field = value;
                    }
                }
            }
        }
        Ok(body)
    }
}

/// Name of the list of tools.
const TOOLS: &str = "tools";
/// Fields that hold JSON Schemas: their numbers may be of any size, as in a file of tools.
const EXACT: [&str; 5] = [TOOLS, "functions", "response_format", "json_schema", "guided_json"];

/// Ranges in `text` of the values of [`EXACT`], in order. `text` is a valid document.
fn exact_fields(text: &str) -> Vec<(Range<usize>, &'static str)> {
    let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) else {
        // A list of messages.
        return Vec::new();
    };
    let range = |(name, value): (&String, &&RawValue)| {
        let name = EXACT.into_iter().find(|exact| *exact == name)?;
        // The value is a part of the text.
        let start = value.get().as_ptr() as usize - text.as_ptr() as usize;
        Some((start..start + value.get().len(), name))
    };
    let mut found: Vec<_> = fields.iter().filter_map(range).collect();
    found.sort_unstable_by_key(|(range, _)| range.start);
    found
}

/// Refuses an integer past 64 bits in a part of `text` that begins and ends outside of strings and numbers.
fn refuse_wide(text: &str, part: Range<usize>) -> Result<(), Error> {
    match json::wide_integer(&text[part.clone()]) {
        None => Ok(()),
        Some((at, literal)) => {
            let before = &text[..part.start + at];
            Err(Error::Integer {
                line: before.matches('\n').count() + 1,
                column: before.chars().rev().take_while(|&c| c != '\n').count() + 1,
                literal: literal.to_owned(),
            })
        }
    }
}

/// Parses a JSON array of messages, or an object with `messages` and `tools`.
///
/// # Errors
/// As [`Conversation::parse`].
fn body(text: &str, known: &[&str]) -> Result<RequestBody, Error> {
    let mut found = Found { known, body: RequestBody::default(), has_list: false, error: None };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer.deserialize_any(Document(&mut found)).and_then(|()| deserializer.end());
    // The parser's own error then only says that parsing was stopped.
    if let Some(error) = found.error {
        return Err(error);
    }
    read.map_err(|source| Error::Json { source: json::input::explained(text, source) })?;
    if !found.has_list {
        return Err(Error::NotMessages { found: "an object without `messages`".into() });
    }
    if found.body.conversation.messages.is_empty() {
        return Err(Error::Empty);
    }
    Ok(found.body)
}

struct Found<'k> {
    known: &'k [&'k str],
    body: RequestBody,
    has_list: bool,
    error: Option<Error>,
}

impl Found<'_> {
    /// Stops the parsing with an error that is not the parser's.
    fn refuse<T, E: de::Error>(&mut self, error: Error) -> Result<T, E> {
        self.error = Some(error);
        Err(E::custom("no messages"))
    }

    fn no_list<T, E: de::Error>(&mut self, found: &Value) -> Result<T, E> {
        self.refuse(Error::NotMessages { found: json_type(found).into() })
    }

    fn messages<'de, A: SeqAccess<'de>>(&mut self, mut items: A) -> Result<(), A::Error> {
        self.has_list = true;
        while let Some(Unique(value)) = items.next_element()? {
            if let Err(error) = push(&mut self.body.conversation.messages, value) {
                return self.refuse(error);
            }
        }
        Ok(())
    }
}

/// Visitor methods for anything but a list of messages, for both visitors below.
macro_rules! no_list {
    () => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("messages")
        }

        fn visit_unit<E: de::Error>(self) -> Result<(), E> {
            self.0.no_list(&Value::Null)
        }

        fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
            self.0.no_list(&Value::Bool(value))
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
            self.0.no_list(&value.into())
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
            self.0.no_list(&value.into())
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
            self.0.no_list(&value.into())
        }

        fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
            self.0.no_list(&value.into())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<(), A::Error> {
            self.0.messages(items)
        }
    };
}

/// Visitor of the whole document.
struct Document<'f, 'k>(&'f mut Found<'k>);

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    no_list!();

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            match key.as_str() {
                _ if seen.contains(&key) => {
                    return Err(de::Error::custom(format!("the key {key:?} stands twice in one object")));
                }
                "messages" => entries.next_value_seed(List(self.0))?,
                TOOLS => {
                    let Unique(tools) = entries.next_value()?;
                    self.0.body.conversation.tools = Some(tools).filter(|tools| !tools.is_null());
                }
                name if self.0.known.contains(&name) => {
                    let Unique(value) = entries.next_value()?;
                    if !value.is_null() {
                        self.0.body.fields.insert(key.clone(), value);
                    }
                }
                name => {
                    if entries.next_value::<Option<IgnoredAny>>()?.is_some() {
                        self.0.body.unknown.push(name.to_owned());
                    }
                }
            }
            seen.insert(key);
        }
        Ok(())
    }
}

/// Visitor of the value of `messages`.
struct List<'f, 'k>(&'f mut Found<'k>);

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    no_list!();

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.0.no_list(&Value::Object(serde_json::Map::new()))
    }
}

#[cfg(test)]
mod tests;
