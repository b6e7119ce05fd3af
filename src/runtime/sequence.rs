//! What a text is written in, token by token: a model's context, or anything that gives logits.

use super::{Error, Session};

/// Tokens that were decoded one after the other, and the logits after the last of them.
pub trait Sequence {
    /// The logits after the last token, one for each token of the vocabulary.
    fn logits(&self) -> &[f32];

    /// Appends `tokens` and moves the logits behind them.
    ///
    /// # Errors
    /// No room, or a failure of the model.
    fn append(&mut self, tokens: &[i32]) -> Result<(), Error>;

    /// Takes back all but the first `n_past` tokens, at least one.
    ///
    /// # Errors
    /// A memory that cannot be cut there, or a failure of the model.
    fn rewind(&mut self, n_past: usize) -> Result<(), Error>;

    /// How many tokens there are.
    fn n_past(&self) -> usize;

    /// How many there can be.
    fn n_ctx(&self) -> usize;
}

impl Sequence for Session<'_> {
    fn logits(&self) -> &[f32] {
        Session::logits(self)
    }

    fn append(&mut self, tokens: &[i32]) -> Result<(), Error> {
        Session::append(self, tokens)
    }

    fn rewind(&mut self, n_past: usize) -> Result<(), Error> {
        Session::rewind(self, n_past)
    }

    fn n_past(&self) -> usize {
        Session::n_past(self)
    }

    fn n_ctx(&self) -> usize {
        Session::n_ctx(self)
    }
}
