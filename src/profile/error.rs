//! Errors of profiles, by key.

use crate::{json::NotUtf8, kind::Kind, tools};

/// The result of reading or checking a profile.
pub type Result<T> = std::result::Result<T, Error>;

/// Reasons why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The JSON form is not UTF-8 text.
    #[error("the profile is {0}")]
    Utf8(NotUtf8),
    /// The JSON form is not a JSON document; the cause gives line and column.
    #[error("the profile is not valid JSON")]
    Json {
        /// The parser's reason.
        #[source]
        source: serde_json::Error,
    },
    /// JSON in the value of a GGUF key that is not valid; the cause gives line and column.
    #[error("the profile's `{key}` is not valid JSON")]
    JsonValue {
        /// The key.
        key: &'static str,
        /// The parser's reason.
        #[source]
        source: serde_json::Error,
    },
    /// The JSON form is no object.
    #[error("the profile is {found}, not an object")]
    NotObject {
        /// The type of the value found instead, with its article.
        found: &'static str,
    },
    /// A key that profiles do not have.
    #[error(
        "a profile has no key `{}`{}; its keys are {}", key.escape_debug(),
        meant.map(|meant| format!(", did you mean `{meant}`?")).unwrap_or_default(), keys.join(", ")
    )]
    UnknownKey {
        /// The key.
        key: String,
        /// A key with a similar name.
        meant: Option<&'static str>,
        /// Every key.
        keys: &'static [&'static str],
    },
    /// A profile of a later format.
    #[error(
        "the profile has version {found}, and this program knows version {known}; a newer edgecall may read it"
    )]
    Version {
        /// The version found.
        found: String,
        /// The version of this program.
        known: u32,
    },
    /// A value of the wrong type or out of range.
    #[error("the profile's `{key}` {problem}")]
    Value {
        /// The key.
        key: &'static str,
        /// The defect.
        problem: String,
    },
    /// A value with more bytes than any use needs.
    #[error("the profile's `{key}` has {bytes} bytes; at most {most} are accepted")]
    TooLong {
        /// The key, or `profile` for all of it.
        key: &'static str,
        /// Its bytes.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// Tools that cannot be read as tools.
    #[error("the profile's `tools` cannot be used")]
    Tools {
        /// The tool and its invalid field.
        #[source]
        source: tools::Error,
    },
}

impl Error {
    /// The error's class.
    pub fn kind(&self) -> Kind {
        Kind::Data
    }

    pub(super) fn value(key: &'static str, problem: impl Into<String>) -> Error {
        Error::Value { key, problem: problem.into() }
    }
}
