//! Syntax of keys and values of members.

use super::style::Style;

/// Syntax of the values of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueSyntax {
    /// Between the key and the value.
    pub before: Vec<Part>,
    /// The value.
    pub form: Form,
    /// Between the value and what follows the member.
    pub after: Vec<Part>,
}

impl ValueSyntax {
    /// The text between `key` and the value.
    pub(in crate::schema) fn before(&self, key: &str) -> String {
        joined(&self.before, key)
    }

    /// The text after the value of `key`.
    pub(in crate::schema) fn after(&self, key: &str) -> String {
        joined(&self.after, key)
    }

    /// True if the text around the value has its key.
    pub(in crate::schema) fn has_key(&self) -> bool {
        self.before.iter().chain(&self.after).any(|part| *part == Part::Key)
    }
}

fn joined(parts: &[Part], key: &str) -> String {
    parts.iter().map(|part| if let Part::Text(text) = part { text } else { key }).collect()
}

/// A part of the text around a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Literal text.
    Text(String),
    /// The key once more.
    Key,
}

/// Syntax of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A string's own text, up to the text after it.
    Raw,
    /// A string's own text without the blanks around it.
    Trimmed,
    /// A string's own text, or that in `<![CDATA[...]]>`.
    Cdata,
    /// A value in a style.
    Styled(Style),
    /// An object or array as elements.
    Elements {
        /// The text that the first of them begins with; no string does.
        open: String,
    },
    /// Never written.
    Omitted,
}

impl Form {
    /// True for a string whose text is not told from other values by what stands around it.
    pub(in crate::schema) fn is_raw(&self) -> bool {
        matches!(self, Form::Raw | Form::Trimmed | Form::Cdata)
    }

    /// True for an object or array as elements.
    pub(in crate::schema) fn is_elements(&self) -> bool {
        matches!(self, Form::Elements { .. })
    }
}

/// Syntax of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySyntax {
    /// As they are.
    Plain,
    /// With `&amp;` and `&quot;`.
    Xml,
    /// As JSON strings.
    Json,
    /// As names of Python's; others cannot be written.
    Identifier,
    /// As names of elements; others cannot be written.
    Tag,
}

impl KeySyntax {
    /// `key` as it is written; `None` if it cannot be.
    pub(in crate::schema) fn written(self, key: &str) -> Option<String> {
        match self {
            KeySyntax::Plain => Some(key.to_owned()),
            KeySyntax::Xml => Some(key.replace('&', "&amp;").replace('"', "&quot;")),
            KeySyntax::Json => Some(crate::json::spaced(&key)),
            KeySyntax::Identifier => is_identifier(key).then(|| key.to_owned()),
            KeySyntax::Tag => is_tag(key).then(|| key.to_owned()),
        }
    }

    /// The key in a written one.
    pub(in crate::schema) fn read(self, written: &str) -> Option<String> {
        match self {
            KeySyntax::Plain => Some(written.to_owned()),
            KeySyntax::Xml => Some(
                written
                    .replace("&quot;", "\"")
                    .replace("&lt;", "<")
                    .replace("&gt;", ">")
                    .replace("&amp;", "&"),
            ),
            KeySyntax::Json => serde_json::from_str(written).ok(),
            KeySyntax::Identifier => is_identifier(written).then(|| written.to_owned()),
            KeySyntax::Tag => is_tag(written).then(|| written.to_owned()),
        }
    }
}

fn is_tag(text: &str) -> bool {
    let odd = |c: char| "<>/&\"'".contains(c) || c.is_whitespace() || c.is_control();
    !text.is_empty() && !text.contains(odd)
}

fn is_identifier(text: &str) -> bool {
    let first = text.chars().next().is_some_and(|c| c == '_' || c.is_alphabetic());
    first && text.chars().all(|c| c == '_' || c.is_alphanumeric())
}
