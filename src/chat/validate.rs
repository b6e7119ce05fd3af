//! Strict validation of messages. Only the forms that templates cannot read are changed.

use super::{Error, FieldError, Message, Role};
use crate::json;
use serde_json::{Map, Value};

/// Most messages accepted: a context of a million tokens holds fewer, since each message takes several tokens.
const MAX_MESSAGES: usize = 1 << 18;

/// Validates the next message and appends it.
pub(super) fn push(messages: &mut Vec<Message>, value: Value) -> Result<(), Error> {
    let index = messages.len();
    if index >= MAX_MESSAGES {
        return Err(Error::TooMany { limit: MAX_MESSAGES });
    }
    let message = message(value).map_err(|error| error.at(index))?;
    // The call may be in the assistant's text, so any assistant message will do.
    if message.role() == Role::Tool && !messages.iter().any(|message| message.role() == Role::Assistant) {
        return Err(MessageError::new(".role", FieldError::Unasked).at(index));
    }
    messages.push(message);
    Ok(())
}

/// A defect in a message whose index is not known yet.
struct MessageError {
    field: String,
    problem: FieldError,
    source: Option<serde_json::Error>,
}

impl MessageError {
    fn new(field: impl Into<String>, problem: FieldError) -> MessageError {
        MessageError { field: field.into(), problem, source: None }
    }

    fn wrong_type(field: impl Into<String>, expected: &'static str, found: &Value) -> MessageError {
        MessageError::new(field, FieldError::Type { expected, found: json_type(found) })
    }

    fn at(self, index: usize) -> Error {
        Error::Field { index, field: self.field, problem: self.problem, source: self.source }
    }
}

fn message(value: Value) -> Result<Message, MessageError> {
    let Value::Object(mut fields) = value else {
        return Err(MessageError::wrong_type("", "an object", &value));
    };
    let role = match fields.get("role") {
        None => return Err(MessageError::new(".role", FieldError::Missing)),
        Some(Value::String(word)) => Role::from_word(word)
            .ok_or_else(|| MessageError::new(".role", FieldError::UnknownRole(word.clone())))?,
        Some(other) => return Err(MessageError::wrong_type(".role", "a string", other)),
    };
    number_to_text(fields.get_mut("tool_call_id"));
    for name in ["name", "tool_call_id", "reasoning_content", "refusal"] {
        match fields.get(name) {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(other) => return Err(MessageError::wrong_type(format!(".{name}"), "a string", other)),
        }
    }
    if fields.get("function_call").is_some_and(|call| !call.is_null()) {
        return Err(MessageError::new(".function_call", FieldError::FunctionCall));
    }
    let has_calls = tool_calls(&mut fields)?;
    content(role, has_calls, &mut fields)?;
    Ok(Message::new(role, fields))
}

/// Writes an id given as a number as text, as templates expect it.
fn number_to_text(id: Option<&mut Value>) {
    if let Some(slot @ Value::Number(_)) = id {
        *slot = slot.to_string().into();
    }
}

/// Validates `content` and joins a list of text parts into one text.
fn content(role: Role, has_calls: bool, fields: &mut Map<String, Value>) -> Result<(), MessageError> {
    let is_text = |key: &str| fields.get(key).is_some_and(Value::is_string);
    let may_be_missing = match role {
        Role::Assistant => has_calls || is_text("reasoning_content") || is_text("refusal"),
        // A tool that gives nothing back.
        Role::Tool => true,
        _ => false,
    };
    let may_be_null = may_be_missing || role == Role::Assistant;
    // OpenAI's models decline in `refusal`, which no template shows, and leave `content` null.
    let silence = match (role, fields.get("refusal")) {
        (Role::Assistant, Some(Value::String(refusal))) => Value::String(refusal.clone()),
        _ => "".into(),
    };
    match fields.get_mut("content") {
        Some(Value::String(_)) => {}
        // Qwen3's templates and others fail on a missing or null content.
        None if may_be_missing => {
            fields.insert("content".into(), silence);
        }
        Some(slot @ Value::Null) if may_be_null => *slot = silence,
        None => return Err(MessageError::new(".content", FieldError::Missing)),
        // Templates that support only text silently skip a list, so they never get one.
        Some(slot @ Value::Array(_)) => *slot = Value::String(joined_parts(slot)?),
        Some(other) => {
            return Err(MessageError::wrong_type(".content", "a string or a list of text parts", other));
        }
    }
    Ok(())
}

fn joined_parts(parts: &Value) -> Result<String, MessageError> {
    let mut texts = Vec::new();
    for (i, part) in parts.as_array().into_iter().flatten().enumerate() {
        let at = |name: &str| format!(".content[{i}]{name}");
        let part = match part {
            Value::Object(part) => part,
            Value::String(text) => {
                texts.push(text.as_str());
                continue;
            }
            other => return Err(MessageError::wrong_type(at(""), "an object with `type` and `text`", other)),
        };
        let key = match part.get("type") {
            None | Some(Value::Null) => "text",
            // OpenAI's Responses interface has its own names for text.
            Some(Value::String(kind)) if ["text", "input_text", "output_text"].contains(&kind.as_str()) => {
                "text"
            }
            Some(Value::String(kind)) if kind == "refusal" => "refusal",
            Some(Value::String(kind)) => {
                return Err(MessageError::new(at(".type"), FieldError::UnknownPart(kind.clone())));
            }
            Some(other) => return Err(MessageError::wrong_type(at(".type"), "a string", other)),
        };
        match part.get(key) {
            Some(Value::String(text)) => texts.push(text.as_str()),
            None => return Err(MessageError::new(at(&format!(".{key}")), FieldError::Missing)),
            Some(other) => return Err(MessageError::wrong_type(at(&format!(".{key}")), "a string", other)),
        }
    }
    Ok(texts.join("\n"))
}

/// Validates `tool_calls` and converts each call to OpenAI's form with its arguments as an object. Returns true
/// if there are any.
fn tool_calls(fields: &mut Map<String, Value>) -> Result<bool, MessageError> {
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
        Some(other) => Err(MessageError::wrong_type(".tool_calls", "a list", other)),
    }
}

fn tool_call(call: &mut Value, at: &str) -> Result<(), MessageError> {
    let Value::Object(fields) = call else {
        return Err(MessageError::wrong_type(at, "an object", call));
    };
    match fields.get_mut("type") {
        None => {}
        Some(Value::String(kind)) if kind == "function" => {}
        Some(kind @ Value::Null) => *kind = "function".into(),
        // Clients that put a stream together may leave it empty.
        Some(Value::String(kind)) if kind.is_empty() => "function".clone_into(kind),
        Some(Value::String(kind)) => {
            return Err(MessageError::new(format!("{at}.type"), FieldError::UnknownCallType(kind.clone())));
        }
        Some(other) => return Err(MessageError::wrong_type(format!("{at}.type"), "a string", other)),
    }
    number_to_text(fields.get_mut("id"));
    if let Some(other) = fields.get("id").filter(|id| !id.is_null() && !id.is_string()) {
        return Err(MessageError::wrong_type(format!("{at}.id"), "a string", other));
    }
    if !fields.contains_key("function") && fields.contains_key("name") {
        let bare = std::mem::take(fields);
        fields.insert("type".into(), "function".into());
        fields.insert("function".into(), Value::Object(bare));
    }
    let function = match fields.get_mut("function") {
        Some(Value::Object(function)) => function,
        None => return Err(MessageError::new(format!("{at}.function"), FieldError::Missing)),
        Some(other) => return Err(MessageError::wrong_type(format!("{at}.function"), "an object", other)),
    };
    let at = format!("{at}.function");
    match function.get("name") {
        Some(Value::String(name)) if name.is_empty() => {
            return Err(MessageError::new(format!("{at}.name"), FieldError::EmptyName));
        }
        Some(Value::String(_)) => {}
        None => return Err(MessageError::new(format!("{at}.name"), FieldError::Missing)),
        Some(other) => return Err(MessageError::wrong_type(format!("{at}.name"), "a string", other)),
    }
    arguments(function.entry("arguments").or_insert_with(|| Map::new().into()), format!("{at}.arguments"))
}

/// Converts arguments given as text to an object.
fn arguments(slot: &mut Value, at: String) -> Result<(), MessageError> {
    if let Value::String(text) = slot {
        // Some servers write a call without arguments as empty text, some as null.
        let text = if matches!(text.trim(), "" | "null") { "{}" } else { text.as_str() };
        let parsed = json::input::parse(text).map_err(|source| MessageError {
            field: at.clone(),
            problem: FieldError::NotJson,
            source: Some(source),
        })?;
        if let Some((_, literal)) = json::wide_integer(text) {
            return Err(MessageError::new(at, FieldError::WideInteger(literal.to_owned())));
        }
        *slot = parsed;
    }
    match slot {
        Value::Object(_) => Ok(()),
        Value::Null => {
            *slot = Map::new().into();
            Ok(())
        }
        other => Err(MessageError::wrong_type(at, "an object, or text that holds one", other)),
    }
}

/// The JSON type of `value`, with its article; arrays are called lists.
pub(super) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "a list",
        other => json::type_name(other),
    }
}
