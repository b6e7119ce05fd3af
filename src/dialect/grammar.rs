//! Grammars that may be replaced while a text grows, and those of answers without calls, in llguidance's dialect of
//! Lark.

use super::lark;
pub use super::lark::Marks;
use crate::{
    schema::{Checks, Compiled, Follower, notation::Reading},
    tools::{Error, arguments::AnswerSchema},
};
use std::sync::Arc;

/// A grammar that may be replaced while the text grows.
pub trait IncrementalGrammar {
    /// Number of the stage that the text is in; it changes when [`lark`](Self::lark) returns another grammar.
    fn stage(&self, written: &[u8]) -> usize;

    /// The grammar that applies after `written`, for the whole text.
    ///
    /// # Errors
    /// A schema that is compiled for the first time and cannot be used.
    fn lark(&self, written: &[u8], marks: Marks<'_>) -> Result<String, Error>;

    /// Start offset and checks of the last value in `written` that has a schema.
    fn checked(&self, written: &[u8]) -> Option<(usize, Checked)>;
}

/// The checks of a value, and how to read it.
pub struct Checked {
    /// The checks.
    pub checks: Arc<Checks>,
    /// Its reader, if it is not JSON.
    pub reading: Option<Reading>,
}

impl Checked {
    /// Follows the value from its start.
    pub fn follower(self) -> Follower {
        Follower::new(self.checks, self.reading)
    }
}

/// The grammar of an answer that is one JSON value.
pub struct JsonAnswer<'s> {
    schema: &'s AnswerSchema,
    prefix: String,
}

impl<'s> JsonAnswer<'s> {
    /// The grammar of a value of `schema`.
    pub fn new(schema: &'s AnswerSchema) -> JsonAnswer<'s> {
        JsonAnswer { schema, prefix: String::new() }
    }

    /// Requires `prefix` before the value.
    pub fn set_prefix(&mut self, prefix: &str) {
        self.prefix = prefix.to_owned();
    }
}

impl IncrementalGrammar for JsonAnswer<'_> {
    fn stage(&self, _: &[u8]) -> usize {
        0
    }

    fn lark(&self, _: &[u8], _: Marks<'_>) -> Result<String, Error> {
        let Compiled { value, rules, .. } = self.schema.compiled();
        Ok(format!("start: {}{value}\n{rules}", lark::cut(&self.prefix, &|_| None)))
    }

    fn checked(&self, written: &[u8]) -> Option<(usize, Checked)> {
        let checks = self.schema.compiled().checks.clone();
        (written.len() >= self.prefix.len()).then(|| (self.prefix.len(), Checked { checks, reading: None }))
    }
}

/// The grammar of a non-empty text after `prefix`, without the special token `without`.
pub fn text_grammar(prefix: &str, without: Option<&str>) -> String {
    let prefix = lark::cut(prefix, &|_| None);
    let without = without.map(|mark| format!(" & ~(/(?s:.*)/ {}/(?s:.*)/)", lark::cut(mark, &|_| None)));
    format!("start: {prefix}TEXT\nTEXT: /(?s:.+)/{}\n", without.unwrap_or_default())
}
