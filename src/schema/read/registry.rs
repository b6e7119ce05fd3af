//! References: the registry that resolves those inside a document, and the error for those that lead outside.

use referencing::{Draft, Registry};
use serde_json::Value;

/// Base URI of a document without an `$id`. It differs from the validator's default, which is the base for
/// references to parts of the document.
pub(crate) const BASE: &str = "json-schema://document/schema";

/// Reasons why a document cannot be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It is not a JSON Schema, or a reference in it has no target.
    Malformed {
        /// The defect.
        message: String,
    },
    /// A reference leads to another document.
    Unavailable {
        /// JSON pointer of the schema with the reference.
        pointer: String,
        /// The keyword.
        keyword: &'static str,
        /// The reference.
        reference: String,
    },
}

impl From<referencing::Error> for ReadError {
    fn from(error: referencing::Error) -> ReadError {
        ReadError::Malformed { message: error.to_string() }
    }
}

/// The message for a reference with an unavailable target.
pub(crate) fn unavailable(reference: &str) -> String {
    format!("`{reference}` is not in this document, and nothing is fetched; copy the schema into $defs")
}

/// A registry of this document alone: nothing else can be reached.
pub(super) fn registry(schema: &Value, draft: Draft) -> Result<Registry<'static>, ReadError> {
    Registry::new()
        .draft(draft)
        .retrieve_known_draft_meta_schemas(false)
        .add(BASE, draft.create_resource(schema.clone()))
        .and_then(|builder| builder.prepare())
        .map_err(|error| match &error {
            referencing::Error::Unretrievable { uri, .. } => {
                let document = uri.split('#').next().unwrap_or("");
                referrer(schema, document, &mut String::from("#")).unwrap_or_else(|| error.into())
            }
            _ => error.into(),
        })
}

/// The error for a reference to `uri`, either literally or relative to the document.
fn referrer(value: &Value, uri: &str, at: &mut String) -> Option<ReadError> {
    let (object, length) = (value.as_object(), at.len());
    for keyword in ["$ref", "$dynamicRef", "$recursiveRef", "$schema"] {
        let Some(reference) = object.and_then(|object| object.get(keyword)?.as_str()) else { continue };
        let document = reference.split('#').next().unwrap_or("");
        // It may be relative to the document's base.
        if !document.is_empty() && uri.ends_with(document.trim_start_matches("./")) {
            return Some(ReadError::Unavailable {
                pointer: at.clone(),
                keyword,
                reference: reference.to_owned(),
            });
        }
    }
    let keyed = object.into_iter().flatten().map(|(key, child)| (escaped(key), child));
    let numbered = value.as_array().into_iter().flatten().enumerate();
    for (token, child) in keyed.chain(numbered.map(|(i, child)| (i.to_string(), child))) {
        at.push('/');
        at.push_str(&token);
        if let Some(found) = referrer(child, uri, at) {
            return Some(found);
        }
        at.truncate(length);
    }
    None
}

/// A key, escaped for a JSON pointer.
pub(super) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
