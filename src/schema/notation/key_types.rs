//! Types of the values under keys.

use crate::schema::value::types;
use std::collections::HashMap;

/// The types that the values under an object's keys may have, by which untyped texts are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyTypes {
    pub(in crate::schema) keys: HashMap<String, u8>,
    pub(in crate::schema) others: u8,
    /// Types inside of values that are elements, by the key that the object or array stands under, and the key in it.
    inner: HashMap<(String, String), u8>,
}

/// The key of an array's items.
pub(in crate::schema) const ITEMS: &str = "[]";

impl KeyTypes {
    /// Types of any value under any key.
    pub fn any() -> KeyTypes {
        KeyTypes { others: types::ALL, ..KeyTypes::default() }
    }

    /// The types under `key` of the arguments, or of a value of theirs that stands `under` a key.
    pub(in crate::schema) fn types(&self, under: Option<&str>, key: Option<&str>) -> u8 {
        match (under, key) {
            (Some(under), key) => {
                let key = (under.to_owned(), key.unwrap_or_default().to_owned());
                self.inner.get(&key).copied().unwrap_or(types::ALL)
            }
            (None, Some(key)) => self.keys.get(key).copied().unwrap_or(self.others),
            (None, None) => self.others,
        }
    }

    /// True if an object `under` a key declares `key`.
    pub(in crate::schema) fn declares(&self, under: &str, key: &str) -> bool {
        self.inner.contains_key(&(under.to_owned(), key.to_owned()))
    }

    /// Adds types under a key, or under undeclared ones; true if they were not known.
    pub(in crate::schema) fn add(&mut self, under: Option<&str>, key: Option<&str>, found: u8) -> bool {
        let known = match (under, key) {
            (Some(under), key) => {
                let key = (under.to_owned(), key.unwrap_or_default().to_owned());
                self.inner.entry(key).or_default()
            }
            (None, Some(key)) => self.keys.entry(key.to_owned()).or_default(),
            (None, None) => &mut self.others,
        };
        let before = std::mem::replace(known, *known | found);
        before != *known
    }
}

/// The name for what stands in a value under `key`, or in the items of an array `under` a key. Arrays in arrays share one, so
/// that a schema that refers to itself has finitely many.
pub(in crate::schema) fn inside(under: Option<&str>, key: &str) -> String {
    match under {
        Some(under) if key == ITEMS && under.ends_with(ITEMS) => under.to_owned(),
        Some(under) if key == ITEMS => format!("{under}{ITEMS}"),
        _ => key.to_owned(),
    }
}
