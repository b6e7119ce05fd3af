//! Styles of values inside of each other.

use super::words::{BARE_NULLS, JSON_NULLS, JSON_TRUTHS, NULLS, TRUTHS};

/// Syntax of values inside of each other. All have `[` and `]` around items, and `{` and `}` around members.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    /// JSON.
    Json {
        /// True without a space behind `,` and `:`.
        compact: bool,
        /// True if known keys and strings may have their characters beyond ASCII as `\uXXXX`.
        ascii: bool,
        /// True with a line for each item and member.
        indented: bool,
    },
    /// Python's `repr`.
    Python,
    /// Bare keys, and strings between delimiters, as Gemma writes them.
    Bare {
        /// Before and after a string.
        delimiter: String,
    },
}

impl Default for Style {
    fn default() -> Style {
        Style::Json { compact: false, ascii: false, indented: false }
    }
}

impl Style {
    /// Between two items or members.
    pub(in crate::schema) fn comma(&self) -> &'static str {
        if self.is_tight() { "," } else { ", " }
    }

    /// Between a key and its value.
    pub(in crate::schema) fn colon(&self) -> &'static str {
        if self.is_tight() { ":" } else { ": " }
    }

    /// True with a line for each item and member.
    pub(in crate::schema) fn is_indented(&self) -> bool {
        matches!(self, Style::Json { indented: true, .. })
    }

    fn is_tight(&self) -> bool {
        matches!(self, Style::Json { compact: true, .. } | Style::Bare { .. })
    }

    /// The spellings of null.
    pub(in crate::schema) fn nulls(&self) -> &'static [&'static str] {
        match self {
            Style::Json { .. } => JSON_NULLS,
            Style::Python => NULLS,
            Style::Bare { .. } => BARE_NULLS,
        }
    }

    /// The spellings of true and false, in this order.
    pub(in crate::schema) fn truths(&self) -> &'static [(bool, &'static str)] {
        match self {
            Style::Python => TRUTHS,
            Style::Json { .. } | Style::Bare { .. } => JSON_TRUTHS,
        }
    }
}
