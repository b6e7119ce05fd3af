//! Messages in OpenAI's form, validated strictly and otherwise unchanged.

use super::{Error, Problem, read};
use crate::json;
use serde_json::{Map, Value};

/// Author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions of the application.
    System,
    /// Instructions of the application, under OpenAI's newer name.
    Developer,
    /// The user; in the TFT data also a tool's result.
    User,
    /// The model.
    Assistant,
    /// A tool's result.
    Tool,
}

impl Role {
    /// Every role, in the usual order of a conversation.
    pub const ALL: [Role; 5] = [Role::System, Role::Developer, Role::User, Role::Assistant, Role::Tool];

    /// The role's name in messages and templates.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        }
    }

    fn from_word(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

/// A message: its role, and all fields as the template gets them.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    role: Role,
    fields: Map<String, Value>,
}

impl Message {
    /// A message of plain text.
    pub fn text(role: Role, content: impl Into<String>) -> Message {
        let mut fields = Map::new();
        fields.insert("role".into(), role.as_str().into());
        fields.insert("content".into(), Value::String(content.into()));
        Message { role, fields }
    }

    /// Author of the message.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The text, if there is any.
    pub fn content(&self) -> Option<&str> {
        self.fields.get("content").and_then(Value::as_str)
    }

    /// The tool calls of an assistant message, in OpenAI's form; `arguments` are objects.
    pub fn tool_calls(&self) -> &[Value] {
        self.fields.get("tool_calls").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The message with `content` as its text and without its tool calls.
    pub fn with_content(mut self, content: impl Into<String>) -> Message {
        self.fields.insert("content".into(), Value::String(content.into()));
        self.fields.shift_remove("tool_calls");
        self
    }

    /// All fields, keys in the order of the input.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }
}

/// A list of messages, and the tools that came with them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// The value of `tools`, if the input was an object with that key; not validated here.
    pub tools: Option<Value>,
}

impl Conversation {
    /// Parses a JSON array of messages, or an object with `messages` and optionally `tools`.
    ///
    /// Accepted beyond OpenAI's form are a byte order mark, `arguments` as an object or as text, and assistant
    /// messages with tool calls and without `content`. The template gets arguments as objects, and the text
    /// parts of a content list joined by line feeds. A content that is missing or null beside tool calls
    /// becomes `""`. All other fields are unchanged.
    ///
    /// # Errors
    /// The first defect found, by message and field.
    pub fn parse(input: &[u8]) -> Result<Conversation, Error> {
        let text = json::text(input).map_err(Error::Utf8)?;
        if text.trim().is_empty() {
            return Err(Error::Empty);
        }
        let conversation = read::conversation(text)?;
        if let Some((at, literal)) = wide_integer(text) {
            let before = &text[..at];
            return Err(Error::Integer {
                line: before.matches('\n').count() + 1,
                column: before.chars().rev().take_while(|&c| c != '\n').count() + 1,
                literal: literal.to_owned(),
            });
        }
        Ok(conversation)
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
        Ok(Conversation { messages, tools })
    }

    /// Inserts `text` as a system message before all others.
    pub fn with_system(mut self, text: impl Into<String>) -> Conversation {
        self.messages.insert(0, Message::text(Role::System, text));
        self
    }
}

/// Most messages accepted: a context of a million tokens holds fewer, since each message takes several tokens.
const MAX_MESSAGES: usize = 1 << 18;

/// Validates the next message and appends it.
pub(super) fn push(messages: &mut Vec<Message>, value: Value) -> Result<(), Error> {
    let index = messages.len();
    if index >= MAX_MESSAGES {
        return Err(Error::TooMany { limit: MAX_MESSAGES });
    }
    let message = message(value).map_err(|flaw| flaw.at(index))?;
    // The call may be in the assistant's text, so any assistant message will do.
    if message.role == Role::Tool && !messages.iter().any(|message| message.role == Role::Assistant) {
        return Err(Flaw::new(".role", Problem::Unasked).at(index));
    }
    messages.push(message);
    Ok(())
}

/// A defect in a message whose index is not known yet.
struct Flaw {
    field: String,
    problem: Problem,
    source: Option<serde_json::Error>,
}

impl Flaw {
    fn new(field: impl Into<String>, problem: Problem) -> Flaw {
        Flaw { field: field.into(), problem, source: None }
    }

    fn wrong_type(field: impl Into<String>, expected: &'static str, found: &Value) -> Flaw {
        Flaw::new(field, Problem::Type { expected, found: json_type(found) })
    }

    fn at(self, index: usize) -> Error {
        Error::Field { index, field: self.field, problem: self.problem, source: self.source }
    }
}

fn message(value: Value) -> Result<Message, Flaw> {
    let Value::Object(mut fields) = value else {
        return Err(Flaw::wrong_type("", "an object", &value));
    };
    let role = match fields.get("role") {
        None => return Err(Flaw::new(".role", Problem::Missing)),
        Some(Value::String(word)) => {
            Role::from_word(word).ok_or_else(|| Flaw::new(".role", Problem::UnknownRole(word.clone())))?
        }
        Some(other) => return Err(Flaw::wrong_type(".role", "a string", other)),
    };
    for name in ["name", "tool_call_id", "reasoning_content"] {
        match fields.get(name) {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(other) => return Err(Flaw::wrong_type(format!(".{name}"), "a string", other)),
        }
    }
    if fields.get("function_call").is_some_and(|call| !call.is_null()) {
        return Err(Flaw::new(".function_call", Problem::FunctionCall));
    }
    let has_calls = tool_calls(&mut fields)?;
    content(role, has_calls, &mut fields)?;
    Ok(Message { role, fields })
}

/// Validates `content` and joins a list of text parts into one text.
fn content(role: Role, has_calls: bool, fields: &mut Map<String, Value>) -> Result<(), Flaw> {
    let silent = role == Role::Assistant
        && (has_calls || fields.get("reasoning_content").is_some_and(|thought| thought.is_string()));
    match fields.get_mut("content") {
        Some(Value::String(_)) => {}
        // Qwen3's templates and others fail on a missing or null content.
        None if silent => {
            fields.insert("content".into(), "".into());
        }
        Some(slot @ Value::Null) if silent => *slot = "".into(),
        None => return Err(Flaw::new(".content", Problem::Missing)),
        // Templates that support only text silently skip a list, so they never get one.
        Some(slot @ Value::Array(_)) => *slot = Value::String(joined_parts(slot)?),
        Some(other) => return Err(Flaw::wrong_type(".content", "a string or a list of text parts", other)),
    }
    Ok(())
}

fn joined_parts(parts: &Value) -> Result<String, Flaw> {
    let mut texts = Vec::new();
    for (i, part) in parts.as_array().into_iter().flatten().enumerate() {
        let at = |name: &str| format!(".content[{i}]{name}");
        let Value::Object(part) = part else {
            return Err(Flaw::wrong_type(at(""), "an object with `type` and `text`", part));
        };
        match part.get("type") {
            None => {}
            Some(Value::String(kind)) if kind == "text" => {}
            Some(Value::String(kind)) => {
                return Err(Flaw::new(at(".type"), Problem::UnknownPart(kind.clone())));
            }
            Some(other) => return Err(Flaw::wrong_type(at(".type"), "a string", other)),
        }
        match part.get("text") {
            Some(Value::String(text)) => texts.push(text.as_str()),
            None => return Err(Flaw::new(at(".text"), Problem::Missing)),
            Some(other) => return Err(Flaw::wrong_type(at(".text"), "a string", other)),
        }
    }
    Ok(texts.join("\n"))
}

/// Validates `tool_calls` and converts each call to OpenAI's form with its arguments as an object. Returns true
/// if there are any.
fn tool_calls(fields: &mut Map<String, Value>) -> Result<bool, Flaw> {
    match fields.get_mut("tool_calls") {
        None => Ok(false),
        // Some clients write null or an empty list for no calls. Templates that only check for the key would
        // then look for a first call.
        Some(Value::Null) => {
            fields.shift_remove("tool_calls");
            Ok(false)
        }
        Some(Value::Array(calls)) if calls.is_empty() => {
            fields.shift_remove("tool_calls");
            Ok(false)
        }
        Some(Value::Array(calls)) => {
            for (i, call) in calls.iter_mut().enumerate() {
                tool_call(call, &format!(".tool_calls[{i}]"))?;
            }
            Ok(true)
        }
        Some(other) => Err(Flaw::wrong_type(".tool_calls", "a list", other)),
    }
}

fn tool_call(call: &mut Value, at: &str) -> Result<(), Flaw> {
    let Value::Object(fields) = call else {
        return Err(Flaw::wrong_type(at, "an object", call));
    };
    match fields.get("type") {
        None => {}
        Some(Value::String(kind)) if kind == "function" => {}
        Some(Value::String(kind)) => {
            return Err(Flaw::new(format!("{at}.type"), Problem::UnknownCallType(kind.clone())));
        }
        Some(other) => return Err(Flaw::wrong_type(format!("{at}.type"), "a string", other)),
    }
    if !fields.contains_key("function") && fields.contains_key("name") {
        let bare = std::mem::take(fields);
        fields.insert("type".into(), "function".into());
        fields.insert("function".into(), Value::Object(bare));
    }
    let function = match fields.get_mut("function") {
        Some(Value::Object(function)) => function,
        None => return Err(Flaw::new(format!("{at}.function"), Problem::Missing)),
        Some(other) => return Err(Flaw::wrong_type(format!("{at}.function"), "an object", other)),
    };
    let at = format!("{at}.function");
    match function.get("name") {
        Some(Value::String(name)) if name.is_empty() => {
            return Err(Flaw::new(format!("{at}.name"), Problem::EmptyName));
        }
        Some(Value::String(_)) => {}
        None => return Err(Flaw::new(format!("{at}.name"), Problem::Missing)),
        Some(other) => return Err(Flaw::wrong_type(format!("{at}.name"), "a string", other)),
    }
    arguments(function.entry("arguments").or_insert_with(|| Map::new().into()), format!("{at}.arguments"))
}

/// Converts arguments given as text to an object.
fn arguments(slot: &mut Value, at: String) -> Result<(), Flaw> {
    if let Value::String(text) = slot {
        // Some servers write a call without arguments as empty text.
        let text = if text.trim().is_empty() { "{}" } else { text.as_str() };
        let parsed = json::parse_unique(text).map_err(|source| Flaw {
            field: at.clone(),
            problem: Problem::NotJson,
            source: Some(source),
        })?;
        if let Some((_, literal)) = wide_integer(text) {
            return Err(Flaw::new(at, Problem::WideInteger(literal.to_owned())));
        }
        *slot = parsed;
    }
    match slot {
        Value::Object(_) => Ok(()),
        other => Err(Flaw::wrong_type(at, "an object, or text that holds one", other)),
    }
}

/// The JSON type of `value`, with its article.
pub(super) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The first integer in `text` that does not fit in 64 bits, and its byte offset; `text` is valid JSON.
///
/// `serde_json` would round it to a float, and the model would read another number.
fn wide_integer(text: &str) -> Option<(usize, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += 1;
                while bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let rest = &bytes[at..];
                let end =
                    rest.iter().position(|b| !matches!(b, b'-' | b'+' | b'.' | b'0'..=b'9' | b'e' | b'E'));
                let literal = &text[at..at + end.unwrap_or(rest.len())];
                let whole = literal.bytes().all(|b| b == b'-' || b.is_ascii_digit());
                if whole && literal.parse::<i64>().is_err() && literal.parse::<u64>().is_err() {
                    return Some((at, literal));
                }
                at += literal.len();
            }
            _ => at += 1,
        }
    }
    None
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
    fn text_parts_become_one_text_and_absent_calls_leave_no_key() {
        let json = r#"[{"role": "user", "content": [{"type": "text", "text": "a"}, {"text": "b"}]},
            {"role": "assistant", "content": "c", "tool_calls": null}]"#;
        let read = Conversation::parse(json.as_bytes()).unwrap();
        assert_eq!(read.messages[0].content(), Some("a\nb"));
        assert!(!read.messages[1].fields().contains_key("tool_calls"));
    }
}
