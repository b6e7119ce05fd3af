//! Words for null, true and false.

/// The spellings of null that models write.
pub(in crate::schema) const NULLS: &[&str] = &["None", "null"];
/// The spellings of true and false that models write.
pub(in crate::schema) const TRUTHS: &[(bool, &str)] =
    &[(true, "True"), (false, "False"), (true, "true"), (false, "false")];
/// Null in JSON.
pub(super) const JSON_NULLS: &[&str] = &["null"];
/// Null as templates with bare keys and models write it.
pub(super) const BARE_NULLS: &[&str] = &["null", "None"];
/// True and false in JSON.
pub(super) const JSON_TRUTHS: &[(bool, &str)] = &[(true, "true"), (false, "false")];

/// JSON's word for a word of Python's or JSON's.
pub(super) fn json_word(word: &[u8]) -> Option<&'static str> {
    match word {
        b"None" | b"null" => Some("null"),
        b"True" | b"true" => Some("true"),
        b"False" | b"false" => Some("false"),
        _ => None,
    }
}
