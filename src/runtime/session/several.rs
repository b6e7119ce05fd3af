//! Sessions that share one context, each used by a thread of its own.

use super::context::SessionContext;
use super::sequence::SequenceState;
use super::shared::SharedContext;
use super::{Options, Session};
use crate::runtime::{Error, Model, draft::Company};
use std::{sync::Arc, time::Duration};

impl<'m> Session<'m> {
    /// Creates `n` sessions of one context, of `n_ctx` tokens each. What several threads want decoded at the same time
    /// is decoded together, so the bits of logits depend on what the others do.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn several(
        model: &'m Model,
        n: usize,
        n_ctx: usize,
        options: &Options,
    ) -> Result<Vec<Session<'m>>, Error> {
        let context = Arc::new(SharedContext::new(model, n, n_ctx, options)?);
        let session = |id| Session {
            context: SessionContext::shared(context.clone()),
            sequence: SequenceState::new(id),
        };
        Ok((0..i32::try_from(n).unwrap_or(i32::MAX)).map(session).collect())
    }

    /// True if other sessions share the context.
    pub fn is_shared(&self) -> bool {
        self.context.others().is_some()
    }

    /// Tells the other sessions of the context that nothing is decoded here soon.
    pub fn rest(&self) {
        if let Some(others) = self.context.others() {
            others.rest(self.sequence.id);
        }
    }

    /// Lets other sessions of the context share the tokens so far, until they are removed.
    pub fn publish(&self) {
        if let Some(others) = self.context.others().filter(|others| others.can_be_cut) {
            others.publish(self.sequence.id, &self.sequence.tokens);
        }
    }

    /// Appends tokens of `prompt`, which begins with the sequence, that other sessions of the context have published: up
    /// to the last of `ends` that is as far. They take no memory, and nothing is computed. Tokens that another session is
    /// computing are waited for, as long as `goes_on` is true. There are no logits then.
    ///
    /// Tokens that are missing up to the last of `ends` are expected to be computed and published here: others wait for them until
    /// [`Session::rest`].
    pub fn adopt(&mut self, prompt: &[i32], ends: &[usize], goes_on: &mut dyn FnMut() -> bool) {
        let Session { context, sequence } = self;
        if !context.can_be_cut || sequence.forget_guesses(context).is_err() {
            return;
        }
        let (before, room) = (sequence.n_past, context.n_ctx);
        let Some(others) = context.others() else { return };
        let prompt = &prompt[..prompt.len().min(room)];
        let end = others.adopt(sequence.id, before, (prompt, ends), goes_on);
        if end > before {
            sequence.logits = None;
            sequence.n_past = end;
            sequence.tokens.extend_from_slice(&prompt[before..end]);
        }
    }

    /// Other sessions in the last decode, its tokens of all sessions, and its CPU time; `None` if the context is not
    /// shared.
    pub fn company(&self) -> Option<(Company, usize, Duration)> {
        let (round, own) = self.context.round()?;
        let company = Company { rows: round.rows - own, sequences: round.sequences.saturating_sub(1) };
        Some((company, round.rows, round.time))
    }
}
