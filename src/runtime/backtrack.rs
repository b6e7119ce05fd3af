//! Selection of the next token, and backtracking if a value fails a check that the grammar cannot express.
//!
//! The token that closes such a value is refused. Then the text is rolled back, token by token, to positions
//! where something else could have been written. There the likeliest tokens that were not tried yet are tried,
//! each followed by the model's own continuation. The last positions come first, so the early part of the text
//! is kept longest. Each position gets only a few tries, so that a long useless tail does not use up the
//! attempts.

use super::{
    Constraint, Error, Sampler,
    sequence::Sequence,
    validator::{Position, Scalar, Violation},
};

/// Most attempts to replace a value that failed its check.
const MAX_ATTEMPTS: usize = 32;

/// A backtracking search for a text that the constraint accepts.
#[derive(Default)]
pub(super) struct Backtracker {
    tokens: Vec<i32>,
    // Tokens already tried after each token of the text, and before the first.
    tried: Vec<Vec<i32>>,
    attempts: usize,
    decoded: usize,
    // The last violation of a value, and the text before its end.
    violation: Option<(Violation, Vec<u8>)>,
    failed: Option<FailedValue>,
}

/// The next token of a text.
pub(super) enum Choice {
    /// This token, which was appended to the constraint.
    Token(i32),
    /// Two tokens that may follow are closer together than the noise of their logits. Nothing was appended.
    NearTie,
    /// None: the text has to be rolled back.
    None,
}

/// Outcome of offering a token to the constraint.
enum Offer {
    Taken,
    /// It cannot follow.
    Refused,
    /// It would close a value that fails its check.
    Failed,
}

/// A value whose end was refused, while it is still open.
struct FailedValue {
    /// Position at which another token is tried now; the tokens before it are kept.
    at: usize,
    /// Position at which the end was refused first.
    end: usize,
    position: Position,
}

impl FailedValue {
    /// Number of tokens to try at `at` beside the one that the model preferred.
    fn turns(&self, at: usize) -> usize {
        match self.position.scalar {
            // Every other digit.
            Some(Scalar::Bare) => 9,
            // A string that was complete is rarely repaired by a longer one.
            Some(Scalar::String) if at == self.end => 1,
            Some(Scalar::String) => 2,
            None => 3,
        }
    }

    /// Number of tokens after which an attempt is given up.
    fn most(&self) -> usize {
        let tail = if self.position.scalar.is_some() { 8 } else { 48 };
        self.end + tail
    }

    /// True if the value, or one in it, is still open at `position`.
    fn is_open(&self, position: Position) -> bool {
        let same = self.position.scalar.is_none() || self.position.scalar == position.scalar;
        position.depth > self.position.depth || position.depth == self.position.depth && same
    }
}

impl Backtracker {
    /// The tokens of the text.
    pub(super) fn tokens(&self) -> &[i32] {
        &self.tokens
    }

    /// Number of tokens decoded, with those that were taken back.
    pub(super) fn decoded(&self) -> usize {
        self.decoded
    }

    /// Selects the next token and appends it to `constraint`, unless its logit and that of another token that may
    /// follow are less than `noise` apart.
    ///
    /// # Errors
    /// [`Error::NoToken`] if no token has a finite logit, and errors of [`Constraint::accept`].
    pub(super) fn choose(
        &mut self,
        logits: &[f32],
        sampler: &mut Sampler,
        constraint: &mut Constraint<'_>,
        noise: f32,
    ) -> Result<Choice, Error> {
        self.tried.resize_with(self.tokens.len() + 1, Vec::new);
        if self.failed.as_ref().is_some_and(|failed| self.tokens.len() >= failed.most()) {
            return Ok(Choice::None);
        }
        // Where a value failed, tokens that would fail in the same way are left out. Elsewhere the violation must
        // be seen, to know that the model wanted such a token.
        let is_turn = self.failed.as_ref().is_some_and(|failed| failed.at == self.tokens.len());
        // The model's own choice nearly always may follow, so the mask over the whole vocabulary is rarely
        // needed.
        if let Some(pick) = sampler.pick(logits, |id| !self.was_tried(id))? {
            if pick.lead < noise && self.is_near_tie(logits, pick.token, noise, constraint)? {
                return Ok(Choice::NearTie);
            }
            match self.offer(pick.token, is_turn, constraint)? {
                Offer::Taken => return Ok(Choice::Token(pick.token)),
                Offer::Failed => return Ok(Choice::None),
                Offer::Refused => {}
            }
        }
        let mut mask = if is_turn { constraint.mask()? } else { constraint.grammar_mask()? };
        self.tried.last().into_iter().flatten().for_each(|&token| mask.disallow(token));
        while let Some(pick) = sampler.pick(logits, |id| mask.allows(id as usize))? {
            if pick.lead < noise {
                return Ok(Choice::NearTie);
            }
            match self.offer(pick.token, is_turn, constraint)? {
                Offer::Taken => return Ok(Choice::Token(pick.token)),
                Offer::Failed => return Ok(Choice::None),
                Offer::Refused => {
                    mask.disallow(pick.token);
                    self.note_tried(pick.token);
                }
            }
        }
        Ok(Choice::None)
    }

    /// True if `best` may follow, and another token whose logit is less than `noise` below that of `best`.
    fn is_near_tie(
        &self,
        logits: &[f32],
        best: i32,
        noise: f32,
        constraint: &mut Constraint<'_>,
    ) -> Result<bool, Error> {
        if !constraint.may_follow(best)? {
            return Ok(false);
        }
        let least = logits[best as usize] - noise;
        for (id, _) in logits.iter().enumerate().filter(|&(_, &logit)| logit > least) {
            let token = id as i32;
            if token != best && !self.was_tried(token) && constraint.may_follow(token)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Appends the forced tokens, at most `most`, to the text and to `pending`.
    ///
    /// Nothing is forced while a failed value is open: its tokens need not be the tokenizer's own.
    ///
    /// # Errors
    /// Errors of [`Constraint::forced`] and [`Constraint::accept`].
    pub(super) fn force(
        &mut self,
        constraint: &mut Constraint<'_>,
        most: usize,
        pending: &mut Vec<i32>,
    ) -> Result<(), Error> {
        let most = pending.len() + most;
        while self.failed.is_none() && pending.len() < most {
            let forced = constraint.forced(most - pending.len())?;
            self.tried.resize_with(self.tokens.len() + 1, Vec::new);
            if forced.is_empty() || self.was_tried(forced[0]) {
                return Ok(());
            }
            let room = most - pending.len();
            for token in forced.into_iter().take(room) {
                // A check may refuse a forced token; then the model's choice and backtracking decide.
                if !constraint.accept(token)? {
                    return Ok(());
                }
                self.tokens.push(token);
                self.decoded += 1;
                self.tried.push(Vec::new());
                pending.push(token);
            }
        }
        Ok(())
    }

    /// Offers `token` to the constraint.
    fn offer(&mut self, token: i32, is_turn: bool, constraint: &mut Constraint<'_>) -> Result<Offer, Error> {
        if constraint.accept(token)? {
            if !constraint.is_end(token) {
                self.tokens.push(token);
                self.decoded += 1;
            }
            self.settle(constraint.position());
            return Ok(Offer::Taken);
        }
        // What the grammar refuses was not tried: with other noise in the logits, it might not have been offered.
        let Some(violation) = constraint.violation() else { return Ok(Offer::Refused) };
        self.note_tried(token);
        self.violation = Some((violation, constraint.written().to_vec()));
        Ok(if is_turn { Offer::Refused } else { Offer::Failed })
    }

    /// Rolls back, with sequence and constraint, to the last position that has a try left and another token
    /// that may follow. Returns the length that the sequence was cut to, if it was.
    ///
    /// # Errors
    /// [`Error::Unsatisfied`] if there is no such position or after too many attempts, and errors of
    /// [`Sequence::rewind`].
    pub(super) fn back_out(
        &mut self,
        sequence: &mut impl Sequence,
        constraint: &mut Constraint<'_>,
    ) -> Result<Option<usize>, Error> {
        self.attempts += 1;
        if self.attempts > MAX_ATTEMPTS {
            return Err(self.unsatisfied());
        }
        let written = self.tokens.len();
        let position = constraint.position();
        let failed = self.failed.get_or_insert(FailedValue { at: written, end: written, position });
        // A number gets longer only if no other one of its length will do.
        let first = match failed.position.scalar {
            Some(Scalar::Bare) if failed.at == failed.end => failed.at.saturating_sub(1),
            _ => failed.at,
        };
        for at in (0..=first.min(written)).rev() {
            while self.tokens.len() > at {
                constraint.rollback(1)?;
                let token = self.tokens.pop();
                self.tried.truncate(self.tokens.len() + 1);
                token.into_iter().for_each(|token| self.note_tried(token));
            }
            let Some(failed) = &mut self.failed else { break };
            failed.at = at;
            if self.tried.last().is_some_and(|tried| tried.len() > failed.turns(at)) {
                continue;
            }
            let mask = constraint.mask()?;
            if (0..sequence.logits().len()).any(|id| mask.allows(id) && !self.was_tried(id as i32)) {
                let cut = (at < written).then(|| sequence.n_past() - (written - at));
                if let Some(n_past) = cut {
                    sequence.rewind(n_past)?;
                    self.decoded += 1;
                }
                self.settle(constraint.position());
                return Ok(cut);
            }
        }
        Err(self.unsatisfied())
    }

    /// Forgets the failed value if the text is in another one now.
    fn settle(&mut self, position: Position) {
        self.failed = self.failed.take().filter(|failed| failed.is_open(position));
    }

    /// Notes that `token` was tried after the text.
    fn note_tried(&mut self, token: i32) {
        if let Some(tried) = self.tried.last_mut().filter(|tried| !tried.contains(&token)) {
            tried.push(token);
        }
    }

    fn was_tried(&self, token: i32) -> bool {
        self.tried.last().is_some_and(|tried| tried.contains(&token))
    }

    fn unsatisfied(&mut self) -> Error {
        match self.violation.take() {
            Some((violation, written)) => Error::Unsatisfied {
                attempts: self.attempts.min(MAX_ATTEMPTS),
                violation: Box::new(violation),
                written,
            },
            None => Error::NoToken,
        }
    }
}
