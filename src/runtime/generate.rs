//! The loop: choose a token, hold it against the constraint, decode it, until there is nothing more to say.

use super::{Constraint, Error, Sampler, Session, Vocabulary, search::Search, sequence::Sequence};
use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The grammar was complete, the model ended its turn, or what was waited for came.
    Stop,
    /// The budget of tokens was used up.
    Budget,
    /// The context was full.
    Context,
    /// Whoever read along wanted no more.
    Dismissed,
}

/// What was generated.
#[derive(Clone, Debug)]
pub struct Completion {
    /// The tokens, without one that ended the turn.
    pub tokens: Vec<i32>,
    /// How many were decoded, those included that were taken back.
    pub decoded: usize,
    /// Their bytes, marks as their text. Cut short, they may end inside a character.
    pub text: Vec<u8>,
    /// Why it ended.
    pub finish: Finish,
    /// How long it took, prefill not counted.
    pub time: Duration,
}

/// Generates a text of `constraint`'s grammar, at most `budget` tokens, after what `sequence` holds.
/// `reader` sees all of the text after each token.
///
/// The last token of a complete text is not decoded: nothing follows it.
///
/// # Errors
/// [`Error::Unsatisfied`] when no value that was tried passes its check, [`Error::NoToken`], and what
/// [`Sequence::append`] and [`Sequence::rewind`] report.
pub fn constrained(
    sequence: &mut impl Sequence,
    constraint: &mut Constraint<'_>,
    sampler: &mut Sampler,
    budget: usize,
    mut reader: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<Completion, Error> {
    let started = Instant::now();
    let mut search = Search::default();
    let finish = loop {
        if constraint.is_complete() {
            break Finish::Stop;
        }
        if let Some(end) = exhausted(sequence, search.decoded(), budget) {
            break end;
        }
        let Some(token) = search.choose(sequence.logits(), sampler, constraint)? else {
            search.back_out(sequence, constraint)?;
            continue;
        };
        if constraint.is_end(token) {
            break Finish::Stop;
        }
        if reader(constraint.written()).is_break() {
            break Finish::Dismissed;
        }
        if !constraint.is_complete() && sequence.n_past() < sequence.n_ctx() {
            sequence.append(&[token])?;
        }
    };
    let (tokens, decoded) = (search.tokens().to_vec(), search.decoded());
    let text = constraint.written().to_vec();
    Ok(Completion { tokens, decoded, text, finish, time: started.elapsed() })
}

/// Generates freely, at most `budget` tokens, until the text ends with `until` or the next token
/// would be one that ends the turn or that `stops_before` names; that one is not taken.
///
/// # Errors
/// What [`Sampler::choose`] and [`Session::append`] report.
pub fn free(
    session: &mut Session<'_>,
    vocabulary: &Vocabulary,
    sampler: &mut Sampler,
    budget: usize,
    until: Option<&str>,
    mut stops_before: impl FnMut(i32) -> bool,
) -> Result<Completion, Error> {
    let started = Instant::now();
    let mut tokens = Vec::new();
    let mut text = Vec::new();
    let finish = loop {
        if until.is_some_and(|until| text.ends_with(until.as_bytes())) {
            break Finish::Stop;
        }
        if let Some(end) = exhausted(session, tokens.len(), budget) {
            break end;
        }
        let token = sampler.choose(session.logits())?;
        if vocabulary.is_eog(token) || stops_before(token) {
            break Finish::Stop;
        }
        tokens.push(token);
        text.extend(vocabulary.piece(token));
        session.append(&[token])?;
    };
    Ok(Completion { decoded: tokens.len(), tokens, text, finish, time: started.elapsed() })
}

fn exhausted(sequence: &impl Sequence, decoded: usize, budget: usize) -> Option<Finish> {
    if decoded >= budget {
        Some(Finish::Budget)
    } else if sequence.n_past() >= sequence.n_ctx() {
        Some(Finish::Context)
    } else {
        None
    }
}
