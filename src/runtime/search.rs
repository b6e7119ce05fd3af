//! The next token, and the way out where a value fails a check that the grammar cannot make.
//!
//! The token that closes such a value is refused. Then the text is taken back, token by token from
//! its end, to places where something else could have been written: there the likeliest tokens that
//! were not tried are tried, each followed by what the model writes behind it. Deep places come
//! first, so what the model said early stands longest; and no place has more than a few turns, so
//! that a tail of junk does not use up the attempts.

use super::{
    Constraint, Error, Sampler,
    sequence::Sequence,
    watch::{Place, Refusal, Scalar},
};

/// How often a value that failed its check is replaced by another.
const MAX_ATTEMPTS: usize = 32;

/// A search for a text that the constraint takes to its end.
#[derive(Default)]
pub(super) struct Search {
    tokens: Vec<i32>,
    // What was tried and is not to come again after each token, and before the first.
    tried: Vec<Vec<i32>>,
    attempts: usize,
    decoded: usize,
    // Why a value was refused last, and the text before its end.
    refusal: Option<(Refusal, Vec<u8>)>,
    failed: Option<Failed>,
}

/// What became of a token that was offered.
enum Offer {
    Taken,
    /// It cannot follow.
    Refused,
    /// It would close a value that fails its check.
    Failed,
}

/// A value whose end was refused, while it is open.
struct Failed {
    /// The place where something else is tried now; the tokens before it stand.
    at: usize,
    /// Where the end was refused first.
    end: usize,
    place: Place,
}

impl Failed {
    /// How many tokens may be tried at `at` beside the one that the model preferred.
    fn turns(&self, at: usize) -> usize {
        match self.place.scalar {
            // Every other digit.
            Some(Scalar::Bare) => 9,
            // A string that was over is rarely made right by what comes behind it.
            Some(Scalar::String) if at == self.end => 1,
            Some(Scalar::String) => 2,
            None => 3,
        }
    }

    /// How many tokens there may be before an attempt is given up.
    fn most(&self) -> usize {
        let tail = if self.place.scalar.is_some() { 8 } else { 48 };
        self.end + tail
    }

    /// Whether the value, or one in it, is what is open at `place`.
    fn is_open(&self, place: Place) -> bool {
        let same = self.place.scalar.is_none() || self.place.scalar == place.scalar;
        place.depth > self.place.depth || place.depth == self.place.depth && same
    }
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

    /// Chooses the next token and hands it to `constraint`; `None` where the text has to be taken back.
    ///
    /// # Errors
    /// [`Error::NoToken`] when the model gives no token a finite logit, and what
    /// [`Constraint::accept`] reports.
    pub(super) fn choose(
        &mut self,
        logits: &[f32],
        sampler: &mut Sampler,
        constraint: &mut Constraint<'_>,
    ) -> Result<Option<i32>, Error> {
        self.tried.resize_with(self.tokens.len() + 1, Vec::new);
        if self.failed.as_ref().is_some_and(|failed| self.tokens.len() >= failed.most()) {
            return Ok(None);
        }
        // Where a value failed, whatever would fail in the same way is left out; anywhere else it has
        // to be seen that the model wanted it.
        let is_turn = self.failed.as_ref().is_some_and(|failed| failed.at == self.tokens.len());
        // The model's own choice is nearly always one that can follow, and then the mask over the
        // whole vocabulary need not be computed.
        if let Some(token) = sampler.pick(logits, |id| !self.was_tried(id))? {
            match self.offer(token, is_turn, constraint)? {
                Offer::Taken => return Ok(Some(token)),
                Offer::Failed => return Ok(None),
                Offer::Refused => {}
            }
        }
        let mut mask = if is_turn { constraint.mask()? } else { constraint.grammar_mask()? };
        self.tried.last().into_iter().flatten().for_each(|&token| mask.disallow(token));
        while let Some(token) = sampler.pick(logits, |id| mask.allows(id as usize))? {
            match self.offer(token, is_turn, constraint)? {
                Offer::Taken => return Ok(Some(token)),
                Offer::Failed => return Ok(None),
                Offer::Refused => mask.disallow(token),
            }
        }
        Ok(None)
    }

    /// Takes what the grammar leaves no choice about, at most `most` tokens, into text and `pending`.
    ///
    /// Where a value failed nothing is forced: what is tried then need not be the tokenizer's.
    ///
    /// # Errors
    /// What [`Constraint::forced`] and [`Constraint::accept`] report.
    pub(super) fn force(
        &mut self,
        constraint: &mut Constraint<'_>,
        most: usize,
        pending: &mut Vec<i32>,
    ) -> Result<(), Error> {
        let most = pending.len() + most;
        while self.failed.is_none() && pending.len() < most {
            let forced = constraint.forced()?;
            self.tried.resize_with(self.tokens.len() + 1, Vec::new);
            if forced.is_empty() || self.was_tried(forced[0]) {
                return Ok(());
            }
            let room = most - pending.len();
            for token in forced.into_iter().take(room) {
                // A check may refuse what the grammar asks for; then the way on is the search's.
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

    /// Hands `token` to the constraint.
    fn offer(&mut self, token: i32, is_turn: bool, constraint: &mut Constraint<'_>) -> Result<Offer, Error> {
        if constraint.accept(token)? {
            if !constraint.is_end(token) {
                self.tokens.push(token);
                self.decoded += 1;
            }
            self.settle(constraint.place());
            return Ok(Offer::Taken);
        }
        if let Some(tried) = self.tried.last_mut() {
            tried.push(token);
        }
        let Some(refusal) = constraint.refusal() else { return Ok(Offer::Refused) };
        self.refusal = Some((refusal, constraint.written().to_vec()));
        Ok(if is_turn { Offer::Refused } else { Offer::Failed })
    }

    /// Goes back to the last place that has a turn left and something else that may follow; sequence
    /// and constraint go with it.
    ///
    /// # Errors
    /// [`Error::Unsatisfied`] when there is no such place or after too many attempts, and what
    /// [`Sequence::rewind`] reports.
    pub(super) fn back_out(
        &mut self,
        sequence: &mut impl Sequence,
        constraint: &mut Constraint<'_>,
    ) -> Result<(), Error> {
        self.attempts += 1;
        if self.attempts > MAX_ATTEMPTS {
            return Err(self.unsatisfied());
        }
        let written = self.tokens.len();
        let place = constraint.place();
        let failed = self.failed.get_or_insert(Failed { at: written, end: written, place });
        // A number grows only where no other one of its length will do.
        let first = match failed.place.scalar {
            Some(Scalar::Bare) if failed.at == failed.end => failed.at.saturating_sub(1),
            _ => failed.at,
        };
        for at in (0..=first.min(written)).rev() {
            while self.tokens.len() > at {
                constraint.rollback(1)?;
                let token = self.tokens.pop();
                self.tried.truncate(self.tokens.len() + 1);
                if let (Some(token), Some(tried)) = (token, self.tried.last_mut())
                    && !tried.contains(&token)
                {
                    tried.push(token);
                }
            }
            let Some(failed) = &mut self.failed else { break };
            failed.at = at;
            if self.tried.last().is_some_and(|tried| tried.len() > failed.turns(at)) {
                continue;
            }
            let mask = constraint.mask()?;
            if (0..sequence.logits().len()).any(|id| mask.allows(id) && !self.was_tried(id as i32)) {
                if at < written {
                    sequence.rewind(sequence.n_past() - (written - at))?;
                    self.decoded += 1;
                }
                self.settle(constraint.place());
                return Ok(());
            }
        }
        Err(self.unsatisfied())
    }

    /// Forgets the value that failed where another one is written now.
    fn settle(&mut self, place: Place) {
        self.failed = self.failed.take().filter(|failed| failed.is_open(place));
    }

    fn was_tried(&self, token: i32) -> bool {
        self.tried.last().is_some_and(|tried| tried.contains(&token))
    }

    fn unsatisfied(&mut self) -> Error {
        match self.refusal.take() {
            Some((refusal, written)) => Error::Unsatisfied {
                attempts: self.attempts.min(MAX_ATTEMPTS),
                refusal: Box::new(refusal),
                written,
            },
            None => Error::NoToken,
        }
    }
}
