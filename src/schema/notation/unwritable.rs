//! Values and keys that a notation cannot write.

use super::{
    key_types::{ITEMS, KeyTypes, inside},
    members::{Elements, KINDS, Members},
    style::Style,
    text::untyped,
    transcoder::Reading,
    value::{Form, ValueSyntax},
};
use crate::{json, schema::value::types};
use serde_json::{Map, Value};

impl Reading {
    /// The reason why `arguments` cannot be written and read again; `None` if they can.
    pub fn unwritable(&self, arguments: &Map<String, Value>) -> Option<String> {
        let reason = |(key, value): (&String, &Value)| {
            if self.members.key(key).is_none() {
                return Some(format!("the key {}", json::spaced(key)));
            }
            let types = self.types.types(None, Some(key));
            match (&self.members.elements, value) {
                (Some(elements), Value::Array(_) | Value::Object(_)) => {
                    elements.unwritable_as(value, types, Some((&self.types, &inside(None, key))))
                }
                _ => self.members.unwritable(key, value, types),
            }
        };
        arguments.iter().find_map(reason)
    }
}

impl Members {
    /// The part of `value` that cannot be written under `key`, whose values have one of `types`; `None` if all of it can.
    pub(in crate::schema) fn unwritable(&self, key: &str, value: &Value, types: u8) -> Option<String> {
        let kind = KINDS.iter().position(|set| set & types::type_of(value) != 0)?;
        let syntax = self.value(kind);
        match &syntax.form {
            Form::Omitted => Some(json::spaced(value)),
            Form::Styled(style) => style.unwritable(value),
            Form::Elements { .. } => self.elements.as_ref()?.unwritable(value),
            Form::Raw | Form::Trimmed | Form::Cdata => {
                let text = json::string_text(value)?;
                let types = self.told_from_string(key, types);
                // What begins as a list or an object might be one.
                let [array, object] = self.container_starts();
                let begins = |set: u8, start: &str| types & set != 0 && text.starts_with(start);
                let odd = begins(types::ARRAY, array) || begins(types::OBJECT, object);
                let writes = !odd && self.writes(text, syntax, types, &syntax.after(key));
                (!writes).then(|| json::spaced(&text))
            }
        }
    }

    /// Those of `types` whose values stand behind the same text as strings, so that only the values tell them apart.
    pub(in crate::schema) fn told_from_string(&self, key: &str, types: u8) -> u8 {
        let before = self.value(0).before(key);
        let same = (0..KINDS.len()).filter(|kind| self.value(*kind).before(key) == before);
        types & same.fold(0, |all, kind| all | KINDS[kind])
    }

    /// The texts that arrays and objects begin with, where they have something in them.
    pub(in crate::schema) fn container_starts(&self) -> [&str; 2] {
        let start = |kind: usize, other: &'static str| match &self.values[kind].form {
            Form::Elements { open } => open,
            _ => other,
        };
        [start(4, "["), start(5, "{")]
    }

    /// True if the string `text` is read back as it is written in front of `after`, where values of `types` may stand, too.
    pub(in crate::schema) fn writes(&self, text: &str, syntax: &ValueSyntax, types: u8, after: &str) -> bool {
        let style = match &self.value(4).form {
            Form::Styled(style) => style.clone(),
            _ => Style::default(),
        };
        let fits = match syntax.form {
            Form::Trimmed => !text.contains(stem(after)) && text.trim() == text,
            Form::Cdata => !text.contains("]]>") || !text.contains(['<', '&', '\n']),
            _ => !text.contains(stem(after)),
        };
        let containers = types::ARRAY | types::OBJECT;
        let types = if self.value(4).form.is_elements() { types & !containers } else { types };
        fits && untyped(text, types | types::STRING, &style).as_deref() == Some(&*json::spaced(&text))
    }
}

impl Elements {
    /// The part of the object or array `value` that cannot be written; `None` if all of it can.
    pub(in crate::schema) fn unwritable(&self, value: &Value) -> Option<String> {
        self.unwritable_as(value, types::type_of(value), None)
    }

    /// As [`unwritable`](Self::unwritable), where values of `types` may stand, too; `declared`: the types of what is inside, and the
    /// name under which they are known. An undeclared member cannot be written, since its closing tag repeats its key.
    pub(super) fn unwritable_as(
        &self,
        value: &Value,
        types: u8,
        declared: Option<(&KeyTypes, &str)>,
    ) -> Option<String> {
        let part = |members: &Members, key: &str, value: &Value| {
            let types = match declared {
                Some((known, under)) => known.types(Some(under), Some(key)),
                None => types::type_of(value),
            };
            if !matches!(value, Value::Array(_) | Value::Object(_)) {
                return members.unwritable(key, value, types);
            }
            let under = declared.map(|(known, under)| (known, inside(Some(under), key)));
            self.unwritable_as(value, types, under.as_ref().map(|(known, under)| (*known, under.as_str())))
        };
        let whole = || Some(json::spaced(value));
        match value {
            // Nothing at all is read as a string before it is a list, and as a list before it is an object.
            Value::Array(items) if items.is_empty() => whole().filter(|_| types & types::STRING != 0),
            Value::Array(items) => items.iter().find_map(|item| part(&self.items, ITEMS, item)),
            Value::Object(members) if members.is_empty() => {
                whole().filter(|_| types & (types::STRING | types::ARRAY) != 0)
            }
            Value::Object(members) => members.iter().enumerate().find_map(|(nth, (key, value))| {
                let begins_as_list = nth == 0 && types & types::ARRAY != 0 && *key == self.item;
                let is_declared = declared.is_none_or(|(known, under)| known.declares(under, key));
                match self.objects.key(key).filter(|_| is_declared && !begins_as_list) {
                    Some(_) => part(&self.objects, key, value),
                    None => Some(format!("the key {}", json::spaced(key))),
                }
            }),
            _ => None,
        }
    }
}

impl Style {
    /// The part of `value` that cannot be written; `None` if all of it can.
    pub(in crate::schema) fn unwritable(&self, value: &Value) -> Option<String> {
        let Style::Bare { delimiter } = self else { return None };
        match value {
            Value::Array(items) => items.iter().find_map(|item| self.unwritable(item)),
            Value::Object(members) => members.iter().find_map(|(key, value)| match self.writes_key(key) {
                true => self.unwritable(value),
                false => Some(format!("the key {}", json::spaced(key))),
            }),
            other => {
                let text = json::string_text(other).filter(|text| text.contains(delimiter.as_str()));
                text.map(|text| json::spaced(&text))
            }
        }
    }

    /// True if `key` can be written inside of a value.
    pub(in crate::schema) fn writes_key(&self, key: &str) -> bool {
        let Style::Bare { delimiter } = self else { return true };
        let odd = |c: char| ":,{}[]".contains(c) || c.is_whitespace();
        let begins = delimiter.chars().next();
        !key.is_empty() && !key.contains(odd) && !begins.is_some_and(|begin| key.starts_with(begin))
    }
}

/// The part of `close` that no raw string may hold: its first tag without the end, so that none that begins alike can be
/// begun.
pub(in crate::schema) fn stem(close: &str) -> &str {
    let close = close.trim();
    match close.rfind('<') {
        Some(at) if at > 0 => close[..at].trim_end(),
        Some(_) => close.trim_end_matches('>'),
        None => close,
    }
}
