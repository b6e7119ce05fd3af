//! The sequence of tokens that a text is generated in: a model's context, or anything else that yields logits.

use super::{Error, Session, draft::Company};
use std::time::Duration;

/// Tokens that were decoded one after the other, and the logits after the last of them.
pub trait Sequence {
    /// The logits after the last token, one for each token of the vocabulary.
    fn logits(&self) -> &[f32];

    /// Appends `tokens` and computes the logits after the last of them.
    ///
    /// # Errors
    /// A full context, or a failure of the model.
    fn append(&mut self, tokens: &[i32]) -> Result<(), Error>;

    /// Appends `tokens` and, if it can, decodes `draft`, a guess at the next ones, in the same batch. Returns
    /// the number of tokens computed, drafted ones included.
    ///
    /// # Errors
    /// As [`Sequence::append`].
    fn append_drafted(&mut self, tokens: &[i32], draft: &[i32]) -> Result<usize, Error> {
        let _ = draft;
        self.append(tokens).map(|()| tokens.len())
    }

    /// Drafted tokens that were decoded and may still come next.
    fn ahead(&self) -> &[i32] {
        &[]
    }

    /// Notes that `token` was chosen by these logits and will be appended next, unless the text ends with it.
    fn chose(&mut self, token: i32) {
        let _ = token;
    }

    /// Removes all but the first `n_past` tokens, at least one.
    ///
    /// # Errors
    /// A memory that cannot be cut there, or a failure of the model.
    fn rewind(&mut self, n_past: usize) -> Result<(), Error>;

    /// Upper bound on how much decoding several tokens together moves the distance between two of the largest logits; 0
    /// if it does not.
    fn noise(&self) -> f32 {
        0.0
    }

    /// Other sequences in the last decode, its tokens of all sequences, and its CPU time; `None` for a sequence that is
    /// always decoded by itself.
    fn company(&self) -> Option<(Company, usize, Duration)> {
        None
    }

    /// Most tokens to decode together.
    fn most_together(&self) -> usize {
        usize::MAX
    }

    /// Number of tokens in it.
    fn n_past(&self) -> usize;

    /// Most tokens that it can hold.
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

    fn noise(&self) -> f32 {
        Session::noise(self)
    }

    fn company(&self) -> Option<(Company, usize, Duration)> {
        Session::company(self)
    }

    fn most_together(&self) -> usize {
        Session::most_together(self)
    }

    fn n_past(&self) -> usize {
        Session::n_past(self)
    }

    fn n_ctx(&self) -> usize {
        Session::n_ctx(self)
    }
}

/// A fixed text in place of a model: its logits always favour the next token of the text.
///
/// It counts the tokens that a decode would compute, as a context does, and it is never full.
pub struct Script<'a> {
    text: &'a [i32],
    logits: Vec<f32>,
    n_past: usize,
    ahead: Vec<i32>,
}

impl<'a> Script<'a> {
    /// A script of `text`, of which nothing is generated yet, for a vocabulary of `n_vocab` tokens.
    pub fn new(text: &'a [i32], n_vocab: usize) -> Script<'a> {
        let mut script = Script { text, logits: vec![0.0; n_vocab], n_past: 0, ahead: Vec::new() };
        script.want(1.0);
        script
    }

    fn want(&mut self, logit: f32) {
        let token = self.text.get(self.n_past).and_then(|&token| usize::try_from(token).ok());
        if let Some(logit_of) = token.and_then(|token| self.logits.get_mut(token)) {
            *logit_of = logit;
        }
    }

    fn go_to(&mut self, n_past: usize) {
        self.want(0.0);
        self.n_past = n_past;
        self.want(1.0);
    }
}

impl Sequence for Script<'_> {
    fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn append(&mut self, tokens: &[i32]) -> Result<(), Error> {
        self.append_drafted(tokens, &[]).map(drop)
    }

    fn append_drafted(&mut self, tokens: &[i32], draft: &[i32]) -> Result<usize, Error> {
        let known = self.ahead.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        self.ahead.drain(..known);
        self.go_to(self.n_past + tokens.len());
        if known == tokens.len() {
            return Ok(0);
        }
        self.ahead = draft.to_vec();
        Ok(tokens.len() - known + draft.len())
    }

    fn ahead(&self) -> &[i32] {
        &self.ahead
    }

    fn rewind(&mut self, n_past: usize) -> Result<(), Error> {
        self.ahead.clear();
        self.go_to(n_past);
        Ok(())
    }

    fn n_past(&self) -> usize {
        self.n_past
    }

    fn n_ctx(&self) -> usize {
        usize::MAX
    }
}
