//! The generation loop: sample a token, check it against the constraint, decode it, until the text is complete.

use super::{
    Constraint, Drafter, Error, Sampler, Session, Vocabulary, backtrack::Backtracker, cpu, sequence::Sequence,
};
use std::{
    ops::{AddAssign, ControlFlow},
    time::{Duration, Instant},
};

/// Reasons why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The grammar was complete, the model ended its turn, or the stop text came.
    Stop,
    /// The token budget was used up.
    Budget,
    /// The context was full.
    Context,
    /// The reader callback stopped it.
    Dismissed,
}

/// A generated text.
#[derive(Clone, Debug)]
pub struct Completion {
    /// The tokens, without one that ended the turn.
    pub tokens: Vec<i32>,
    /// Number of generated tokens, with those that were taken back or decoded again.
    pub decoded: usize,
    /// Bytes of the tokens; special tokens as their text. A text that was cut off may end inside a character.
    pub text: Vec<u8>,
    /// Reason why it ended.
    pub finish: Finish,
    /// Duration, without prefill.
    pub time: Duration,
    /// Time at which the first token was sampled; `None` if there was none.
    pub first_choice: Option<Instant>,
    /// Counts of decodes and their tokens.
    pub steps: Steps,
}

/// Counts of decodes and their tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Number of decodes.
    pub decodes: usize,
    /// Tokens in all decodes, drafted ones included.
    pub rows: usize,
    /// Forced tokens: the grammar left no choice.
    pub forced: usize,
    /// Drafted tokens that were decoded.
    pub drafted: usize,
    /// Drafted tokens that were right.
    pub accepted: usize,
}

impl AddAssign for Steps {
    fn add_assign(&mut self, other: Steps) {
        self.decodes += other.decodes;
        self.rows += other.rows;
        self.forced += other.forced;
        self.drafted += other.drafted;
        self.accepted += other.accepted;
    }
}

/// Number of tokens in one decode. All modes give the same text except where two tokens are nearly tied:
/// llama.cpp's order of summation depends on the number of tokens in a decode.
pub enum DecodeMode<'d> {
    /// One token.
    Exact,
    /// The sampled token and the forced ones after it; depends on the text alone.
    Forced,
    /// Those, and a draft of the following ones.
    Drafted(&'d mut Drafter),
}

/// Generates a text of `constraint`'s grammar after the tokens in `sequence`, with at most `budget` tokens.
/// `reader` gets the whole text after each sampled or forced token.
///
/// Forced tokens are appended without sampling. The last token of a complete text is not decoded, since nothing
/// follows it.
///
/// # Errors
/// [`Error::Unsatisfied`] if every generated value fails its check, [`Error::NoToken`], and the errors of
/// [`Sequence::append`] and [`Sequence::rewind`].
pub fn constrained(
    sequence: &mut impl Sequence,
    constraint: &mut Constraint<'_>,
    sampler: &mut Sampler,
    budget: usize,
    mut mode: DecodeMode<'_>,
    mut reader: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<Completion, Error> {
    let started = Instant::now();
    let mut backtracker = Backtracker::default();
    let mut steps = Steps::default();
    let mut first_choice = None;
    // Tokens of the text that are not yet decoded.
    let mut pending = Vec::new();
    let finish = loop {
        let room = sequence.n_ctx().saturating_sub(sequence.n_past() + pending.len());
        let before = pending.len();
        backtracker.force(
            constraint,
            room.min(budget.saturating_sub(backtracker.decoded())),
            &mut pending,
        )?;
        steps.forced += pending.len() - before;
        if pending.len() > before && reader(constraint.written()).is_break() {
            break Finish::Dismissed;
        }
        if constraint.is_complete() {
            break Finish::Stop;
        }
        if backtracker.decoded() >= budget {
            break Finish::Budget;
        }
        if sequence.n_past() + pending.len() >= sequence.n_ctx() {
            break Finish::Context;
        }
        if !pending.is_empty() {
            decode(sequence, constraint, &backtracker, &pending, &mut mode, &mut steps)?;
            pending.clear();
        }
        let Some(token) = backtracker.choose(sequence.logits(), sampler, constraint)? else {
            backtracker.back_out(sequence, constraint)?;
            continue;
        };
        first_choice.get_or_insert_with(Instant::now);
        if constraint.is_end(token) {
            break Finish::Stop;
        }
        pending.push(token);
        if reader(constraint.written()).is_break() {
            break Finish::Dismissed;
        }
    };
    if let DecodeMode::Drafted(drafter) = mode {
        drafter.settle(backtracker.tokens());
    }
    let (tokens, decoded) = (backtracker.tokens().to_vec(), backtracker.decoded());
    let text = constraint.written().to_vec();
    Ok(Completion { tokens, decoded, text, finish, time: started.elapsed(), first_choice, steps })
}

/// Decodes the `pending` tokens, the last ones of the text of `backtracker`.
fn decode(
    sequence: &mut impl Sequence,
    constraint: &mut Constraint<'_>,
    backtracker: &Backtracker,
    pending: &[i32],
    mode: &mut DecodeMode<'_>,
    steps: &mut Steps,
) -> Result<(), Error> {
    let known = sequence.ahead().iter().zip(pending).take_while(|(guess, token)| guess == token).count();
    steps.accepted += known;
    let new = pending.len() - known;
    match mode {
        DecodeMode::Exact => {
            for token in pending {
                sequence.append(&[*token])?;
            }
            steps.decodes += pending.len();
            steps.rows += pending.len();
        }
        DecodeMode::Forced => {
            sequence.append(pending)?;
            steps.decodes += 1;
            steps.rows += pending.len();
        }
        DecodeMode::Drafted(_) if new == 0 => {
            sequence.append(pending)?;
        }
        DecodeMode::Drafted(drafter) => {
            let takes = |token| Ok(constraint.takes(&[token])? > 0);
            let mut draft = drafter.draft(backtracker.tokens(), new, takes)?;
            draft.truncate(constraint.takes(&draft)?);
            let started = cpu::thread_time();
            let rows = sequence.append_drafted(pending, &draft)?;
            drafter.took(rows, cpu::thread_time().saturating_sub(started));
            steps.decodes += 1;
            steps.rows += rows;
            steps.drafted += rows.saturating_sub(new);
        }
    }
    Ok(())
}

/// Generates text without a grammar, at most `budget` tokens. It stops when the text ends with `until`, or
/// before a token that ends the turn or for which `stops_before` is true.
///
/// # Errors
/// Errors of [`Sampler::choose`] and [`Session::append`].
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
    let mut first_choice = None;
    let finish = loop {
        if until.is_some_and(|until| text.ends_with(until.as_bytes())) {
            break Finish::Stop;
        }
        if tokens.len() >= budget {
            break Finish::Budget;
        }
        if session.n_past() >= session.n_ctx() {
            break Finish::Context;
        }
        let token = sampler.choose(session.logits())?;
        first_choice.get_or_insert_with(Instant::now);
        if vocabulary.is_eog(token) || stops_before(token) {
            break Finish::Stop;
        }
        tokens.push(token);
        text.extend(vocabulary.piece(token));
        session.append(&[token])?;
    };
    let steps = Steps { decodes: tokens.len(), rows: tokens.len(), ..Steps::default() };
    let time = started.elapsed();
    Ok(Completion { decoded: tokens.len(), tokens, text, finish, time, first_choice, steps })
}
