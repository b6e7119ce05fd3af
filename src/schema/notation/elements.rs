//! Objects and arrays as elements: each member and each item stands between tags of its own, and nothing around them.

use super::{
    key_types::{ITEMS, KeyTypes, inside},
    members::Members,
    style::Style,
    value::{Form, KeySyntax, Part, ValueSyntax},
};
use crate::{json, schema::value::types};
use serde_json::Value;
use std::sync::Arc;

/// Syntax of objects and arrays inside of values, where they are elements: `<key>value</key>`, `<item>value</item>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elements {
    /// Name of the element around an item.
    item: String,
    /// Syntax of an object's members.
    pub(in crate::schema) objects: Arc<Members>,
    /// Syntax of an array's items, which have no keys.
    pub(in crate::schema) items: Arc<Members>,
}

impl Elements {
    /// Elements whose items are called `item`, with `before_tag` in front of each tag; `drops_null`: those that are null are left
    /// out.
    pub fn new(item: &str, before_tag: &str, drops_null: bool) -> Elements {
        let open = format!("{before_tag}<");
        let close = format!("{before_tag}</");
        let text = |text: &str| Part::Text(text.to_owned());
        let elements = || Form::Elements { open: open.clone() };
        let number = || Form::Styled(Style::default());
        // Python's words, or JSON's.
        let word = || Form::Styled(Style::Python);
        let values = |before: &[Part], after: &[Part], null: Form| {
            let value = |form| ValueSyntax { before: before.to_vec(), form, after: after.to_vec() };
            [Form::Raw, number(), word(), null, elements(), elements()].map(value)
        };
        let objects = Members {
            open: open.clone(),
            separator: open.clone(),
            close: String::new(),
            behind: vec![close.clone()],
            key: KeySyntax::Tag,
            // A member that is null is left out, an item is not.
            values: values(&[text(">")], &[text(&close), Part::Key, text(">")], Form::Omitted),
            elements: None,
        };
        let before = format!("{open}{item}>");
        let items = Members {
            open: before.clone(),
            separator: before,
            values: values(
                &[],
                &[text(&format!("{close}{item}>"))],
                if drops_null { Form::Omitted } else { word() },
            ),
            ..objects.clone()
        };
        Elements { item: item.to_owned(), objects: Arc::new(objects), items: Arc::new(items) }
    }

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
