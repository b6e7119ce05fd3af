//! Calls to the text of a turn, as the model's template writes it.

use super::{Arguments, Dialect, KeyForm, Members, NameForm, Piece, TextPlace, ValueType, encode, head};
use crate::{json, tools::ToolCall};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// A call to write.
#[derive(Clone, Debug)]
pub struct WrittenCall<'c> {
    /// The tool's name.
    pub name: Cow<'c, str>,
    /// The arguments, in the order to write. A number may be one of [`json::parse_literal`].
    pub arguments: Cow<'c, Map<String, Value>>,
    /// The call's id, for dialects that show it; `None` writes a made-up one.
    pub id: Option<Cow<'c, str>>,
}

impl<'c> From<&'c ToolCall> for WrittenCall<'c> {
    /// The call with its numbers as the model wrote them.
    fn from(call: &'c ToolCall) -> WrittenCall<'c> {
        let arguments = match json::parse_literal(call.arguments_text()) {
            Ok(Value::Object(arguments)) => Cow::Owned(arguments),
            _ => Cow::Borrowed(call.arguments()),
        };
        WrittenCall { name: call.name().into(), arguments, id: None }
    }
}

/// An assistant's turn to write.
#[derive(Clone, Debug, Default)]
pub struct Turn<'t> {
    /// The thought before everything else.
    pub thought: Option<&'t str>,
    /// The text beside the calls.
    pub text: Option<&'t str>,
    /// The calls.
    pub calls: &'t [WrittenCall<'t>],
    /// Number of calls in earlier turns of the conversation.
    pub earlier_calls: usize,
}

/// Values for the slots of a text.
struct Slots<'s> {
    call: &'s WrittenCall<'s>,
    previous: Option<&'s WrittenCall<'s>>,
    /// Position in the turn.
    position: usize,
    number: usize,
}

impl Dialect {
    /// Writes a call as the model would, by itself in a turn.
    pub fn write(&self, call: &ToolCall) -> String {
        self.write_calls(&[call.into()], 0)
    }

    /// The text of `calls` in one turn, without the token that ends the turn.
    pub fn write_calls(&self, calls: &[WrittenCall<'_>], earlier_calls: usize) -> String {
        self.write_calls_from(&self.first, calls, earlier_calls)
    }

    /// The text of `calls`, which begins with `first`.
    fn write_calls_from(&self, first: &[Piece], calls: &[WrittenCall<'_>], earlier_calls: usize) -> String {
        let mut out = String::new();
        for (position, call) in calls.iter().enumerate() {
            let previous = position.checked_sub(1).map(|before| &calls[before]);
            let around = match (&self.next, position) {
                (Some(next), 1..) => next.as_slice(),
                // A format for single calls has no text between two.
                (None, 1..) => break,
                _ => first,
            };
            let slots = Slots { call, previous, position, number: self.number(position, earlier_calls) };
            write_pieces(&mut out, around, &slots);
            out.push_str(&self.arguments.write(&call.arguments));
        }
        if let Some(last) = calls.last().filter(|_| self.next.is_some()).or(calls.first()) {
            let position = calls.len() - 1;
            let number = self.number(position, earlier_calls);
            write_pieces(&mut out, &self.last, &Slots { call: last, previous: None, position, number });
        }
        out
    }

    /// The text of a turn up to the token that ends it.
    pub fn write_turn(&self, turn: &Turn<'_>) -> String {
        let mut out = String::new();
        match (&self.thought, turn.thought) {
            (Some(around), Some(thought)) => out.extend([around.open.as_str(), thought, &around.close]),
            (Some(around), None) => out.push_str(&around.none),
            (None, _) => {}
        }
        let calls = |first: &[Piece]| self.write_calls_from(first, turn.calls, turn.earlier_calls);
        match (&self.text, turn.text.filter(|text| !text.is_empty())) {
            (TextPlace::Before { open, close }, Some(text)) => {
                let calls = calls(&head::behind_text(&self.first));
                out.extend([open.as_str(), text, close.as_str(), &calls]);
            }
            (TextPlace::Behind, Some(text)) => out.extend([calls(&self.first).as_str(), text]),
            _ => out.push_str(&calls(&self.first)),
        }
        out
    }

    fn number(&self, position: usize, earlier_calls: usize) -> usize {
        let Some(count) = self.count else { return position };
        let before = if count.conversation { earlier_calls } else { 0 };
        (count.start as usize).saturating_add(before).saturating_add(position)
    }
}

fn write_pieces(out: &mut String, pieces: &[Piece], slots: &Slots<'_>) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Optional { text, written } => out.push_str(if *written { text } else { "" }),
            Piece::Name(form) => out.push_str(&form.write(&slots.call.name)),
            Piece::Id { length, previous } => {
                let (call, position) = match slots.previous.filter(|_| *previous) {
                    Some(call) => (call, slots.position - 1),
                    None => (slots.call, slots.position),
                };
                match &call.id {
                    Some(id) => out.push_str(id),
                    None => out.push_str(&made_up(position, *length as usize)),
                }
            }
            Piece::Count => out.push_str(&slots.number.to_string()),
            // Only the text around a value has a key.
            Piece::OptionalId { .. } | Piece::Key => {}
        }
    }
}

/// An id for the call at `position` in its turn.
fn made_up(position: usize, length: usize) -> String {
    let number = position.to_string();
    let zeros = length.saturating_sub("call".len() + number.len());
    let mut id = format!("call{}{number}", "0".repeat(zeros));
    id.truncate(length);
    id
}

impl NameForm {
    /// The name as it stands in the text.
    pub fn write(self, name: &str) -> Cow<'_, str> {
        match self {
            NameForm::Plain => Cow::Borrowed(name),
            NameForm::Json => {
                let quoted = json::spaced(&name);
                Cow::Owned(quoted[1..quoted.len() - 1].to_owned())
            }
            NameForm::Xml => Cow::Owned(encode::xml(name)),
        }
    }
}

impl KeyForm {
    /// The key as it stands in the text.
    pub fn write(self, key: &str) -> Cow<'_, str> {
        match self {
            KeyForm::Plain | KeyForm::Identifier => Cow::Borrowed(key),
            KeyForm::Xml => Cow::Owned(encode::xml(key)),
            KeyForm::Json => Cow::Owned(json::spaced(&key)),
        }
    }
}

impl Arguments {
    /// The text of the arguments.
    pub fn write(&self, arguments: &Map<String, Value>) -> String {
        match self {
            Arguments::Json(style) => encode::json_text(&Value::Object(arguments.clone()), *style),
            Arguments::Members(members) => members.write(arguments),
        }
    }
}

impl Members {
    fn write(&self, arguments: &Map<String, Value>) -> String {
        let mut members: Vec<(&String, &Value)> = arguments.iter().collect();
        if self.sorted {
            encode::by_lower_case(&mut members);
        }
        let (mut out, mut any) = (String::new(), false);
        for (key, value) in members {
            let form = self.values.get(ValueType::from_value(value));
            let Some(text) = form.encoding.write(value) else { continue };
            out.push_str(if any { &self.separator } else { &self.open });
            any = true;
            let key = self.key.write(key);
            out.push_str(&key);
            around_value(&mut out, &form.before, &key);
            out.push_str(&text);
            around_value(&mut out, &form.after, &key);
        }
        out.push_str(if any { &self.close } else { "" });
        out
    }
}

/// Writes the text on one side of a value.
fn around_value(out: &mut String, pieces: &[Piece], key: &str) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Optional { text, written: true } => out.push_str(text),
            Piece::Key => out.push_str(key),
            _ => {}
        }
    }
}
