//! Patterns of JSON Schema, matched in linear time against decoded text such as the keys of an object.

/// True if `pattern` matches somewhere in `text`; `None` for a pattern that needs backtracking.
pub(crate) fn matches(pattern: &str, text: &str) -> Option<bool> {
    matcher(pattern).map(|regex| regex.is_match(text))
}

/// The matcher of a pattern in ECMA 262 syntax; `None` for a pattern that needs backtracking.
pub(crate) fn matcher(pattern: &str) -> Option<regex::Regex> {
    let rust = jsonschema_regex::to_rust_regex(pattern).ok()?;
    regex::RegexBuilder::new(&rust).size_limit(1 << 20).build().ok()
}
