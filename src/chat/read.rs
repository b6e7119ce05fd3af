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
use serde_json::Value;
use std::{collections::HashSet, fmt};

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
    /// Parses what [`Conversation::parse`] does, and keeps the fields beside the messages that are in `known`.
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
        if let Some((at, literal)) = json::wide_integer(text) {
            let before = &text[..at];
            return Err(Error::Integer {
                line: before.matches('\n').count() + 1,
                column: before.chars().rev().take_while(|&c| c != '\n').count() + 1,
                literal: literal.to_owned(),
            });
        }
        Ok(body)
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
                "tools" => {
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
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        let error = Conversation::parse(json.as_bytes()).unwrap_err();
        match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        }
    }

    #[test]
    fn a_broken_message_is_named_by_its_place_and_field() {
        for (json, message) in [
            (
                "",
                "there are no messages; give at least one, for example {\"role\": \"user\", \"content\": \"...\"}",
            ),
            (
                "[]",
                "there are no messages; give at least one, for example {\"role\": \"user\", \"content\": \"...\"}",
            ),
            (
                "5",
                "the messages are a number; expected an array of messages, or an object with the key `messages`",
            ),
            (
                "{\"model\": 1}",
                "the messages are an object without `messages`; expected an array of messages, or an object with the key `messages`",
            ),
            ("[1]", "messages[0]: expected an object, found a number"),
            ("[{}]", "messages[0].role: missing"),
            (
                r#"[{"role": "robot"}]"#,
                "messages[0].role: unknown role `robot`; known roles: system, developer, user, assistant, tool",
            ),
            (r#"[{"role": "user", "content": "x"}, {"role": "user"}]"#, "messages[1].content: missing"),
            (
                r#"[{"role": "user", "content": 5}]"#,
                "messages[0].content: expected a string or a list of text parts, found a number",
            ),
            (
                r#"[{"role": "user", "content": [{"type": "image_url"}]}]"#,
                "messages[0].content[0].type: a content part of type `image_url` is not supported; only `text` is",
            ),
            (r#"[{"role": "assistant"}]"#, "messages[0].content: missing"),
            (
                r#"[{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{\"a\": }"}}]}]"#,
                "messages[0].tool_calls[0].function.arguments: not valid JSON: expected value at line 1 column 7",
            ),
            (
                r#"[{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}]"#,
                "messages[0].tool_calls[0].function.arguments: expected an object, or text that holds one, found a list",
            ),
            (
                r#"[{"role": "assistant", "tool_calls": [{"function": {"arguments": {}}}]}]"#,
                "messages[0].tool_calls[0].function.name: missing",
            ),
            (
                r#"[{"role": "assistant", "tool_calls": [{"type": "custom"}]}]"#,
                "messages[0].tool_calls[0].type: a tool call of type `custom` is not supported; only `function` is",
            ),
            (
                r#"[{"role": "user", "content": "x"}, {"role": "tool", "content": "y"}]"#,
                "messages[1].role: a `tool` message holds the result of a call, and no assistant message stands before it; put the assistant's message with the call in front",
            ),
            (
                r#"[{"role": "assistant", "content": "", "function_call": {"name": "f"}}]"#,
                "messages[0].function_call: this older form of a call is not read by chat templates; write it as `tool_calls`",
            ),
            (
                r#"[{"role": "user", "content": "x", "role": "tool"}]"#,
                "the messages are not valid JSON: the key \"role\" stands twice in one object at line 1 column 49",
            ),
            (
                r#"{"messages": [{"role": "user", "content": "x"}], "messages": []}"#,
                "the messages are not valid JSON: the key \"messages\" stands twice in one object at line 1 column 59",
            ),
            (
                r#"[{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{\"a\": 1, \"a\": 2}"}}]}]"#,
                "messages[0].tool_calls[0].function.arguments: not valid JSON: the key \"a\" stands twice in one object at line 1 column 16",
            ),
            (
                "{\"messages\": null}",
                "the messages are null; expected an array of messages, or an object with the key `messages`",
            ),
            (
                "[{\"role\": \"user\", \"content\": \"x\"}] x",
                "the messages are not valid JSON: trailing characters at line 1 column 36",
            ),
            (
                "[\n {\"role\": \"user\", \"content\": \"1e99999999999999999999\", \"n\": 12345678901234567890123}]",
                "line 2, column 61: the integer 12345678901234567890123 does not fit in 64 bits and would be rounded; write it as a string",
            ),
        ] {
            assert_eq!(refused(json), message, "{json}");
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_with_the_offset() {
        let error = Conversation::parse(b"[\xff]").unwrap_err();
        assert!(matches!(error, Error::Utf8(json::NotUtf8 { offset: 1, is_utf16: false })), "{error}");
        let error = Conversation::parse(b"\xff\xfe[\0]\0").unwrap_err();
        assert!(error.to_string().contains("UTF-16"), "{error}");
    }

    #[test]
    fn a_byte_order_mark_and_the_habits_of_the_tft_data_are_accepted() {
        let json = "\u{feff}".to_owned()
            + r#"{"messages": [
                {"role": "user", "content": "x"},
                {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{\"b\": 1.0, \"a\": 2}"}}]},
                {"role": "user", "content": "[{\"city\": \"Bern\"}]"},
                {"role": "assistant", "content": null, "tool_calls": [{"name": "g"}], "refusal": null}
            ], "tools": []}"#;
        let read = Conversation::parse(json.as_bytes()).unwrap();
        assert_eq!(read.tools, Some(serde_json::json!([])));
        assert_eq!(read.messages[1].content(), Some(""));
        let arguments = &read.messages[1].tool_calls()[0]["function"]["arguments"];
        assert_eq!(arguments.to_string(), r#"{"b":1.0,"a":2}"#);
        let bare = &read.messages[3].tool_calls()[0];
        assert_eq!(bare.to_string(), r#"{"type":"function","function":{"name":"g","arguments":{}}}"#);
        assert_eq!(read.messages[3].content(), Some(""));
        assert_eq!(read.messages[3].fields()["refusal"], Value::Null);
    }

    #[test]
    fn what_clients_leave_out_or_write_otherwise_is_read_where_its_meaning_is_clear() {
        let json = r#"[{"role": "user", "content": "half \ud83d a pair"},
            {"role": "assistant", "content": null, "refusal": "No."},
            {"role": "user", "content": [{"type": "input_text", "text": "a"}, "b"]},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "Never."}], "refusal": null},
            {"role": "user", "content": ""},
            {"role": "assistant", "content": null},
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": "", "tool_calls": [
                {"id": 7, "type": null, "function": {"name": "f", "arguments": null}},
                {"id": "8", "type": "", "function": {"name": "g", "arguments": "null"}},
                {"type": "function", "function": {"name": "h", "arguments": "{\"a\": \"\\ud83d\"}"}}]},
            {"role": "tool", "tool_call_id": 7},
            {"role": "tool", "tool_call_id": "8", "content": null}]"#;
        let read = Conversation::parse(json.as_bytes()).unwrap();
        let texts: Vec<&str> = read.messages.iter().map(|message| message.content().unwrap()).collect();
        assert_eq!(texts, ["half \u{fffd} a pair", "No.", "a\nb", "Never.", "", "", "x", "", "", ""]);
        let calls = Value::from(read.messages[7].tool_calls().to_vec());
        let call = |name: &str, arguments: Value| serde_json::json!({"name": name, "arguments": arguments});
        assert_eq!(calls[0]["function"], call("f", serde_json::json!({})));
        assert_eq!(calls[1]["function"], call("g", serde_json::json!({})));
        assert_eq!(calls[2]["function"], call("h", serde_json::json!({"a": "\u{fffd}"})));
        assert_eq!((&calls[0]["type"], &calls[1]["type"], &calls[0]["id"]), (&"function".into(), &"function".into(), &"7".into()));
        for (json, message) in [
            (r#"[{"role": "user", "content": null}]"#, "messages[0].content: expected a string or a list"),
            (r#"[{"role": "assistant", "tool_calls": [{"id": [], "function": {"name": "f"}}]}]"#, "messages[0].tool_calls[0].id: expected a string, found a list"),
            (r#"[{"role": "assistant", "refusal": 1}]"#, "messages[0].refusal: expected a string, found a number"),
            (r#"[{"role": "user", "content": [{"type": "text", "text": null}]}]"#, "messages[0].content[0].text: expected a string, found null"),
            ("[{'role': 'user'}]", "the messages are not valid JSON: single quotes are no JSON"),
        ] {
            assert!(refused(json).starts_with(message), "{json}: {}", refused(json));
        }
    }

    #[test]
    fn the_fields_of_a_request_are_kept_if_their_reader_knows_them() {
        let json = r#"{"seed": 1, "model": {"a": [1]}, "stop": null, "user": null,
            "messages": [{"role": "user", "content": "x"}], "tool_choice": {"type": "auto"}}"#;
        let read = RequestBody::parse(json.as_bytes(), &["tool_choice", "seed", "stop"]).unwrap();
        assert_eq!(Value::from(read.fields).to_string(), r#"{"seed":1,"tool_choice":{"type":"auto"}}"#);
        assert_eq!(read.unknown, ["model"]);
    }

    #[test]
    fn text_parts_become_one_text_and_absent_calls_leave_no_key() {
        let json = r#"[{"role": "user", "content": [{"type": "text", "text": "a"}, {"text": "b"}]},
            {"role": "assistant", "content": "c", "tool_calls": null}]"#;
        let read = Conversation::parse(json.as_bytes()).unwrap();
        assert_eq!(read.messages[0].content(), Some("a\nb"));
        assert!(!read.messages[1].fields().contains_key("tool_calls"));
    }
}
