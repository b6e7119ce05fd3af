//! Patterns of JSON Schema, matched in linear time against decoded text such as the keys of an object.

use std::cell::RefCell;
use std::collections::HashMap;

/// Most patterns that are kept compiled.
const MAX_KEPT: usize = 4096;

thread_local! {
    /// Patterns that were compiled last: each is held against every key of an object.
    static KEPT: RefCell<HashMap<String, Option<regex::Regex>>> = RefCell::default();
}

/// True if `pattern` matches somewhere in `text`; `None` for a pattern that needs backtracking.
pub(crate) fn matches(pattern: &str, text: &str) -> Option<bool> {
    KEPT.with_borrow_mut(|kept| {
        if !kept.contains_key(pattern) {
            if kept.len() >= MAX_KEPT {
                kept.clear();
            }
            kept.insert(pattern.to_owned(), matcher(pattern));
        }
        kept.get(pattern)?.as_ref().map(|regex| regex.is_match(text))
    })
}

/// The matcher of a pattern in ECMA 262 syntax; `None` for a pattern that needs backtracking.
pub(crate) fn matcher(pattern: &str) -> Option<regex::Regex> {
    let rust = jsonschema_regex::to_rust_regex(pattern).ok()?;
    regex::RegexBuilder::new(&rust).size_limit(1 << 20).build().ok()
}
