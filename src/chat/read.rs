//! Streaming parser of messages. Each is validated while it is read, and the first invalid one ends the
//! parsing: a hundred megabytes of something else are not first converted to values.

use super::{
    Conversation, Error,
    message::{self, json_type},
};
use crate::json::Unique;
use serde::{
    Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use std::{collections::HashSet, fmt};

/// Parses a JSON array of messages, or an object with `messages` and `tools`.
///
/// # Errors
/// As [`Conversation::parse`].
pub(super) fn conversation(text: &str) -> Result<Conversation, Error> {
    let mut found = Found::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer.deserialize_any(Document(&mut found)).and_then(|()| deserializer.end());
    // The parser's own error then only says that parsing was stopped.
    if let Some(flaw) = found.flaw {
        return Err(flaw);
    }
    read.map_err(|source| Error::Json { source })?;
    if !found.has_list {
        return Err(Error::NotMessages { found: "an object without `messages`".into() });
    }
    if found.conversation.messages.is_empty() {
        return Err(Error::Empty);
    }
    Ok(found.conversation)
}

#[derive(Default)]
struct Found {
    conversation: Conversation,
    has_list: bool,
    flaw: Option<Error>,
}

impl Found {
    /// Stops the parsing with an error that is not the parser's.
    fn refuse<T, E: de::Error>(&mut self, flaw: Error) -> Result<T, E> {
        self.flaw = Some(flaw);
        Err(E::custom("no messages"))
    }

    fn no_list<T, E: de::Error>(&mut self, found: &Value) -> Result<T, E> {
        self.refuse(Error::NotMessages { found: json_type(found).into() })
    }

    fn messages<'de, A: SeqAccess<'de>>(&mut self, mut items: A) -> Result<(), A::Error> {
        self.has_list = true;
        while let Some(Unique(value)) = items.next_element()? {
            if let Err(flaw) = message::push(&mut self.conversation.messages, value) {
                return self.refuse(flaw);
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
struct Document<'f>(&'f mut Found);

impl<'de> Visitor<'de> for Document<'_> {
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
                "tools" => {
                    let Unique(tools) = entries.next_value()?;
                    self.0.conversation.tools = Some(tools).filter(|tools| !tools.is_null());
                }
                // A request's other fields are ignored.
                _ => drop(entries.next_value::<IgnoredAny>()?),
            }
            seen.insert(key);
        }
        Ok(())
    }
}

/// Visitor of the value of `messages`.
struct List<'f>(&'f mut Found);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    no_list!();

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.0.no_list(&Value::Object(serde_json::Map::new()))
    }
}
