//! The generation loop: sample a token, check it against the constraint, decode it, until the text is complete.

use super::{
    Constraint, Drafter, Error, Sampler, Vocabulary,
    backtrack::{Backtracker, Choice},
    near_tie::ExactPart,
    repetition::Repetition,
    sequence::Sequence,
    steps::Steps,
    validator::{Position, Scalar},
};
use crate::machine::cpu_time;
use std::{
    ops::ControlFlow,
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
    /// The model repeated itself.
    Repetition(Repetition),
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

/// Limits of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Token budget.
    pub tokens: usize,
    /// Stops a model that repeats itself: in free text, or within one string of a JSON value. Tokens that the grammar
    /// forces do not count; see [`Repetition::at_end`].
    pub repetition: bool,
}

impl From<usize> for Limits {
    /// A token budget alone.
    fn from(tokens: usize) -> Limits {
        Limits { tokens, repetition: false }
    }
}

/// Number of tokens in one decode. Greedy sampling gives the same text in all modes, see [`constrained`].
pub enum DecodeMode<'d> {
    /// One token.
    Exact,
    /// The sampled token and the forced ones after it; depends on the text alone.
    Forced,
    /// Those, and a draft of the following ones.
    Drafted(&'d mut Drafter),
}

/// Generates a text of `constraint`'s grammar after the tokens in `sequence`, within `limits`.
/// `reader` gets the whole text after each sampled or forced token.
///
/// Forced tokens are appended without sampling. The last token of a complete text is not decoded, since nothing
/// follows it.
///
/// llama.cpp's order of summation depends on the number of tokens in a decode. A greedy choice between tokens that this
/// might swap, by [`Sequence::noise`], is made again after decoding one token at a time.
///
/// # Errors
/// [`Error::Unsatisfied`] if every generated value fails its check, [`Error::NoToken`], and the errors of
/// [`Sequence::append`] and [`Sequence::rewind`].
pub fn constrained(
    sequence: &mut impl Sequence,
    constraint: &mut Constraint<'_>,
    sampler: &mut Sampler,
    limits: impl Into<Limits>,
    mut mode: DecodeMode<'_>,
    mut reader: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<Completion, Error> {
    let started = Instant::now();
    let Limits { tokens: budget, repetition } = limits.into();
    let mut backtracker = Backtracker::default();
    let mut exact = ExactPart::new(sequence, if sampler.is_greedy() { sequence.noise() } else { 0.0 });
    let mut steps = Steps::default();
    let mut first_choice = None;
    // Tokens of the text that are not yet decoded.
    let mut pending = Vec::new();
    // Tokens up to the last forced one.
    let mut forced_end = 0;
    let finish = loop {
        let room = sequence.n_ctx().saturating_sub(sequence.n_past() + pending.len());
        let before = pending.len();
        backtracker.force(
            constraint,
            room.min(budget.saturating_sub(backtracker.decoded())),
            &mut pending,
        )?;
        steps.forced += pending.len() - before;
        if pending.len() > before {
            forced_end = backtracker.tokens().len();
            if reader(constraint.written()).is_break() {
                break Finish::Dismissed;
            }
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
            decode(sequence, constraint, backtracker.tokens(), &pending, &mut mode, &mut exact, &mut steps)?;
            pending.clear();
        }
        let noise = exact.noise(sequence);
        let token = match backtracker.choose(sequence.logits(), sampler, constraint, noise)? {
            Choice::Token(token) => token,
            Choice::NearTie => {
                exact.restore(sequence, backtracker.tokens(), &mut steps)?;
                continue;
            }
            Choice::None => {
                if let Some(n_past) = backtracker.back_out(sequence, constraint)? {
                    exact.rewound(n_past);
                }
                continue;
            }
        };
        first_choice.get_or_insert_with(Instant::now);
        if constraint.is_end(token) {
            break Finish::Stop;
        }
        sequence.chose(token);
        pending.push(token);
        if reader(constraint.written()).is_break() {
            break Finish::Dismissed;
        }
        let chosen = backtracker.tokens().get(forced_end..).unwrap_or_default();
        if repetition
            && let Some(found) = Repetition::at_end(chosen)
            && found.tokens() <= backtracker.tokens().len() - loose_start(constraint)
        {
            break Finish::Repetition(found);
        }
    };
    if let DecodeMode::Drafted(drafter) = mode {
        drafter.settle(backtracker.tokens());
    }
    let (tokens, decoded) = (backtracker.tokens().to_vec(), backtracker.decoded());
    let text = constraint.written().to_vec();
    Ok(Completion { tokens, decoded, text, finish, time: started.elapsed(), first_choice, steps })
}

/// Number of tokens before the string or the free text that the text of `constraint` ends in; all of them if it ends in
/// neither.
fn loose_start(constraint: &Constraint<'_>) -> usize {
    match constraint.position() {
        Position { scalar: Some(Scalar::String), .. } => constraint.value_start(),
        Position { depth: 0, scalar: None } => 0,
        _ => constraint.n_tokens(),
    }
}

/// Decodes the `pending` tokens, the last ones of `text`.
fn decode(
    sequence: &mut impl Sequence,
    constraint: &mut Constraint<'_>,
    text: &[i32],
    pending: &[i32],
    mode: &mut DecodeMode<'_>,
    exact: &mut ExactPart,
    steps: &mut Steps,
) -> Result<(), Error> {
    let known = sequence.ahead().iter().zip(pending).take_while(|(guess, token)| guess == token).count();
    let new = &pending[known..];
    if known > 0 {
        sequence.append(&pending[..known])?;
        steps.accepted += known;
    }
    if new.is_empty() {
        return Ok(());
    }
    let together = exact.allows_batches(text.len());
    let mut count = |before: usize, rows: usize| {
        exact.decoded(before, rows);
        steps.decodes += 1;
        steps.rows += rows;
    };
    let (before, most) = (sequence.n_past(), sequence.most_together());
    match mode {
        DecodeMode::Forced if together => {
            append_all(sequence, new, &mut count)?;
        }
        DecodeMode::Drafted(drafter) if together => {
            let takes = |token| Ok(constraint.takes(&[token])? > 0);
            let mut draft = drafter.draft(text, new.len(), takes)?;
            draft.truncate(constraint.takes(&draft)?);
            // Those before the last decode.
            let first = (new.len() - 1) / most * most;
            append_all(sequence, &new[..first], &mut count)?;
            let (before, new) = (before + first, &new[first..]);
            draft.truncate(most - new.len());
            let started = cpu_time::thread();
            let rows = sequence.append_drafted(new, &draft)?;
            match sequence.company() {
                Some((company, all, time)) => {
                    drafter.beside(company);
                    drafter.took(all, time);
                }
                None => drafter.took(rows, cpu_time::thread().saturating_sub(started)),
            }
            count(before, rows);
            steps.drafted += rows.saturating_sub(new.len());
        }
        _ => {
            for (nth, token) in new.iter().enumerate() {
                sequence.append(&[*token])?;
                count(before + nth, 1);
            }
        }
    }
    Ok(())
}

/// Appends `tokens` in decodes of [`Sequence::most_together`], each of which is counted: the tokens before it and its own.
fn append_all(
    sequence: &mut impl Sequence,
    tokens: &[i32],
    mut count: impl FnMut(usize, usize),
) -> Result<(), Error> {
    for part in tokens.chunks(sequence.most_together()) {
        let before = sequence.n_past();
        sequence.append(part)?;
        count(before, part.len());
    }
    Ok(())
}

/// Generates text without a grammar, within `limits`. It stops when the text ends with `until`, or
/// before a token that ends the turn or for which `stops_before` is true.
///
/// # Errors
/// Errors of [`Sampler::choose`] and [`Sequence::append`].
pub fn free(
    sequence: &mut impl Sequence,
    vocabulary: &Vocabulary,
    sampler: &mut Sampler,
    limits: impl Into<Limits>,
    until: Option<&str>,
    mut stops_before: impl FnMut(i32) -> bool,
) -> Result<Completion, Error> {
    let started = Instant::now();
    let Limits { tokens: budget, repetition } = limits.into();
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
        if repetition && let Some(found) = Repetition::at_end(&tokens) {
            break Finish::Repetition(found);
        }
        if sequence.n_past() >= sequence.n_ctx() {
            break Finish::Context;
        }
        let token = sampler.choose(sequence.logits())?;
        first_choice.get_or_insert_with(Instant::now);
        if vocabulary.is_eog(token) {
            break Finish::Stop;
        }
        sequence.chose(token);
        if stops_before(token) {
            break Finish::Stop;
        }
        tokens.push(token);
        text.extend(vocabulary.piece(token));
        sequence.append(&[token])?;
    };
    let steps = Steps { decodes: tokens.len(), rows: tokens.len(), ..Steps::default() };
    let time = started.elapsed();
    Ok(Completion { decoded: tokens.len(), tokens, text, finish, time, first_choice, steps })
}
