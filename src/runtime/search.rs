//! The next token, and the way out where there is none: what was tried is remembered token by token,
//! and where nothing is left the last token that had an alternative is taken back.
//!
//! A check that the grammar cannot make refuses the token that closes a value. Inside a string or a
//! list something else may follow there. A number is over before the token that closes it, so one
//! that is refused is taken back to its last digit that had an alternative.

use super::{Constraint, Error, Sampler, Session};

/// How often a value that failed its check is replaced by another.
const MAX_ATTEMPTS: usize = 32;

/// A search for a text that the constraint takes to its end: depth first, the likeliest token first.
#[derive(Default)]
pub(super) struct Search {
    tokens: Vec<i32>,
    // What was tried and refused after each token, and before the first.
    tried: Vec<Vec<i32>>,
    attempts: usize,
    decoded: usize,
    refusal: Option<super::value::Refusal>,
}

impl Search {
    /// The tokens that stand.
    pub(super) fn tokens(&self) -> &[i32] {
        &self.tokens
    }

    /// How many tokens were decoded, those included that were taken back.
    pub(super) fn decoded(&self) -> usize {
        self.decoded
    }

    /// Chooses the next token and hands it to `constraint`; `None` where nothing is left to try.
    ///
    /// # Errors
    /// [`Error::NoToken`] when the model gives no token a finite logit, [`Error::Unsatisfied`] after
    /// too many attempts, and what [`Constraint::accept`] reports.
    pub(super) fn choose(
        &mut self,
        logits: &[f32],
        sampler: &mut Sampler,
        constraint: &mut Constraint<'_>,
    ) -> Result<Option<i32>, Error> {
        self.tried.resize_with(self.tokens.len() + 1, Vec::new);
        // The model's own choice is nearly always one that can follow, and then the mask over the
        // whole vocabulary need not be computed.
        let tried = self.tried.last().map_or(&[][..], Vec::as_slice);
        if let Some(token) = sampler.pick(logits, |id| !tried.contains(&id))? {
            if constraint.accept(token)? {
                return Ok(Some(self.take(token, constraint)));
            }
            self.refuse(token);
            if let Some(refusal) = constraint.refusal() {
                self.refusal = Some(refusal);
                // Another number of this length first; where one was tried already, its neighbours.
                if constraint.is_in_number() && self.tried.last().is_some_and(|tried| tried.len() == 1) {
                    return Ok(None);
                }
                self.attempt()?;
            }
        }
        let mask = constraint.mask()?;
        loop {
            let tried = self.tried.last().map_or(&[][..], Vec::as_slice);
            let pick = sampler.pick(logits, |id| mask.allows(id as usize) && !tried.contains(&id))?;
            let Some(token) = pick else { return Ok(None) };
            if constraint.accept(token)? {
                return Ok(Some(self.take(token, constraint)));
            }
            self.refuse(token);
        }
    }

    /// Goes back to the last place where something else may follow than what was tried; session and
    /// constraint go with it.
    ///
    /// # Errors
    /// [`Error::Unsatisfied`] when there is no such place or after too many attempts, and what
    /// [`Session::rewind`] reports.
    pub(super) fn back_out(
        &mut self,
        session: &mut Session<'_>,
        constraint: &mut Constraint<'_>,
    ) -> Result<(), Error> {
        self.attempt()?;
        let written = self.tokens.len();
        while let Some(token) = self.tokens.pop() {
            constraint.rollback(1)?;
            self.tried.truncate(self.tokens.len() + 1);
            self.refuse(token);
            let mask = constraint.mask()?;
            let tried = self.tried.last().map_or(&[][..], Vec::as_slice);
            let n_vocab = session.logits().len();
            if (0..n_vocab as i32).any(|id| mask.allows(id as usize) && !tried.contains(&id)) {
                session.rewind(session.n_past() - (written - self.tokens.len()))?;
                self.decoded += 1;
                return Ok(());
            }
        }
        Err(self.unsatisfied())
    }

    fn take(&mut self, token: i32, constraint: &Constraint<'_>) -> i32 {
        if !constraint.is_end(token) {
            self.tokens.push(token);
            self.decoded += 1;
        }
        token
    }

    fn refuse(&mut self, token: i32) {
        if let Some(tried) = self.tried.last_mut() {
            tried.push(token);
        }
    }

    fn attempt(&mut self) -> Result<(), Error> {
        self.attempts += 1;
        if self.attempts > MAX_ATTEMPTS { Err(self.unsatisfied()) } else { Ok(()) }
    }

    fn unsatisfied(&mut self) -> Error {
        match self.refusal.take() {
            Some(refusal) => {
                Error::Unsatisfied { attempts: self.attempts.min(MAX_ATTEMPTS), refusal: Box::new(refusal) }
            }
            None => Error::NoToken,
        }
    }
}
