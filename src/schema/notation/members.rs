//! Members of an object that are written key by key.

use super::{
    style::Style,
    value::{Form, KeySyntax, Part, ValueSyntax},
};
use crate::schema::value::types;
use std::sync::Arc;

/// Notation of a schema's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notation {
    /// One value in a style.
    Value(Style),
    /// The members of an object, key by key; what is in the members is in styles.
    Members(Arc<Members>),
}

impl Default for Notation {
    fn default() -> Notation {
        Notation::Value(Style::default())
    }
}

/// Members that are written key by key: `open key value [separator key value]... close`, and nothing without members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// Before the first key.
    pub open: String,
    /// Between a value and the next key.
    pub separator: String,
    /// After the last value.
    pub close: String,
    /// Texts that may follow the members; they end them.
    pub behind: Vec<String>,
    /// Syntax of keys.
    pub key: KeySyntax,
    /// Syntax of the values of each type, in the order of `KINDS`.
    pub values: [ValueSyntax; 6],
    /// Syntax of values that are [`Form::Elements`].
    pub elements: Option<Arc<Elements>>,
}

/// Syntax of objects and arrays inside of values, where they are elements: `<key>value</key>`, `<item>value</item>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elements {
    /// Name of the element around an item.
    pub(super) item: String,
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
}

/// The types of values with a syntax of their own, as sets of types.
pub(in crate::schema) const KINDS: [u8; 6] = [
    types::STRING,
    types::INTEGER | types::FRACTION,
    types::BOOLEAN,
    types::NULL,
    types::ARRAY,
    types::OBJECT,
];

impl Members {
    /// The members with the text that follows every value as a part of the values' syntax, so that what begins after a
    /// value is told apart by its first characters.
    pub fn normalized(mut self) -> Members {
        let common = common(&self.separator, &self.close);
        let shared = self.separator[..common].to_owned();
        self.separator.drain(..common);
        self.close.drain(..common);
        if !shared.is_empty() {
            self.values.iter_mut().for_each(|value| value.after.push(Part::Text(shared.clone())));
        }
        self
    }

    /// The syntax of values of a type, one of [`KINDS`].
    pub(in crate::schema) fn value(&self, kind: usize) -> &ValueSyntax {
        &self.values[kind]
    }

    /// The characters that no key may hold: those that may follow one.
    pub(in crate::schema) fn behind_key(&self) -> String {
        let firsts = self.values.iter().filter(|value| value.form != Form::Omitted);
        let mut out: String = firsts.filter_map(|value| value.before(" ").chars().next()).collect();
        if self.key == KeySyntax::Xml {
            out.push_str("<>");
        }
        out
    }

    /// The characters that no key holds: those that may follow one, and those that begin what may stand in its place.
    pub(in crate::schema) fn odd_in_keys(&self) -> String {
        let ends = self.behind.iter().filter_map(|behind| self.close.chars().chain(behind.chars()).next());
        self.behind_key().chars().chain(self.separator.chars().next()).chain(ends).collect()
    }

    /// The bytes that can close a key or a value.
    pub(in crate::schema) fn closing(&self) -> Vec<u8> {
        let mut out = b"\"'}],".to_vec();
        for value in &self.values {
            // What follows a key, and what follows a value.
            out.extend(value.before(" ").bytes().last());
            out.extend(value.after(" ").bytes().last());
            if let Form::Styled(Style::Bare { delimiter }) = &value.form {
                out.extend(delimiter.bytes().last());
            }
        }
        let ends = self.behind.iter().filter_map(|behind| behind.bytes().next());
        out.extend(ends.chain(self.close.bytes().next()));
        out.sort_unstable();
        out.dedup();
        out
    }

    /// `key` as it is written; `None` if it cannot be.
    pub(in crate::schema) fn key(&self, key: &str) -> Option<String> {
        let written = self.key.written(key)?;
        let fits = self.key == KeySyntax::Json || !written.contains(|c| self.odd_in_keys().contains(c));
        (fits && !written.is_empty()).then_some(written)
    }
}

/// Length of the common beginning of two texts.
fn common(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}
