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

    /// Appends `tokens` and computes `draft`, a guess at what follows, together with them where it can. Gives the
    /// number of tokens that were computed, those of the draft included.
    ///
    /// # Errors
    /// As [`Sequence::append`].
    fn append_drafted(&mut self, tokens: &[i32], draft: &[i32]) -> Result<usize, Error> {
        let _ = draft;
        self.append(tokens).map(|()| tokens.len())
    }

    /// What was computed as a guess and may still turn out to come next.
    fn ahead(&self) -> &[i32] {
        &[]
    }

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

    fn append_drafted(&mut self, tokens: &[i32], draft: &[i32]) -> Result<usize, Error> {
        Session::append_drafted(self, tokens, draft)
    }

    fn ahead(&self) -> &[i32] {
        Session::ahead(self)
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
