//! Types of the values under keys.

use crate::schema::value::types;
use std::collections::HashMap;

/// The types that the values under an object's keys may have, by which untyped texts are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyTypes {
    pub(in crate::schema) keys: HashMap<String, u8>,
    pub(in crate::schema) others: u8,
}

impl KeyTypes {
    /// Types of any value under any key.
    pub fn any() -> KeyTypes {
        KeyTypes { keys: HashMap::new(), others: types::ALL }
    }

    /// The types under `key`.
    pub(in crate::schema) fn types(&self, key: &str) -> u8 {
        self.keys.get(key).copied().unwrap_or(self.others)
    }

    /// Adds types under a key, or under undeclared ones; true if they were not known.
    pub(in crate::schema) fn add(&mut self, key: Option<&str>, found: u8) -> bool {
        let known = match key {
            Some(key) => self.keys.entry(key.to_owned()).or_default(),
            None => &mut self.others,
        };
        let before = std::mem::replace(known, *known | found);
        before != *known
    }
}
