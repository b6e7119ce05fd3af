//! The loop: choose a token, hold it against the constraint, decode it, until there is nothing more to say.

use super::{
    Constraint, Drafter, Error, Sampler, Session, Vocabulary, cpu, search::Search, sequence::Sequence,
};
use std::{
    ops::{AddAssign, ControlFlow},
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
    /// How many were written, those included that were taken back.
    pub decoded: usize,
    /// Their bytes, marks as their text. Cut short, they may end inside a character.
    pub text: Vec<u8>,
    /// Why it ended.
    pub finish: Finish,
    /// How long it took, prefill not counted.
    pub time: Duration,
    /// When the model had chosen the first of them; `None` where it chose none.
    pub first_choice: Option<Instant>,
    /// What it took.
    pub steps: Steps,
}

/// What a generation took, in decodes and their tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Decodes.
    pub decodes: usize,
    /// Tokens in them, guesses included.
    pub rows: usize,
    /// Tokens that the grammar left no choice about.
    pub forced: usize,
    /// Tokens that were guessed and decoded.
    pub drafted: usize,
    /// Guesses that came true.
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

/// How many tokens go into one decode. All give the same text up to near ties: how llama.cpp adds up depends on how
/// many tokens are decoded together.
pub enum Pace<'d> {
    /// One.
    Exact,
    /// One that the model chose and those that the grammar forces after it: it depends on the text alone.
    Forced,
    /// Those, and guesses at what follows.
    Drafted(&'d mut Drafter),
}

/// Generates a text of `constraint`'s grammar, at most `budget` tokens, after what `sequence` holds.
/// `reader` sees all of the text after each token that the model chose.
///
/// What the grammar leaves no choice about is taken without asking the model, and the last token of a complete text
/// is not decoded: nothing follows it.
///
/// # Errors
/// [`Error::Unsatisfied`] when no value that was tried passes its check, [`Error::NoToken`], and what
/// [`Sequence::append`] and [`Sequence::rewind`] report.
pub fn constrained(
    sequence: &mut impl Sequence,
    constraint: &mut Constraint<'_>,
    sampler: &mut Sampler,
    budget: usize,
    mut pace: Pace<'_>,
    mut reader: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<Completion, Error> {
    let started = Instant::now();
    let mut search = Search::default();
    let mut steps = Steps::default();
    let mut first_choice = None;
    // What is written and not yet decoded.
    let mut pending = Vec::new();
    let finish = loop {
        let room = sequence.n_ctx().saturating_sub(sequence.n_past() + pending.len());
        let before = pending.len();
        search.force(constraint, room.min(budget.saturating_sub(search.decoded())), &mut pending)?;
        steps.forced += pending.len() - before;
        if pending.len() > before && reader(constraint.written()).is_break() {
            break Finish::Dismissed;
        }
        if constraint.is_complete() {
            break Finish::Stop;
        }
        if search.decoded() >= budget {
            break Finish::Budget;
        }
        if sequence.n_past() + pending.len() >= sequence.n_ctx() {
            break Finish::Context;
        }
        if !pending.is_empty() {
            decode(sequence, constraint, &search, &pending, &mut pace, &mut steps)?;
            pending.clear();
        }
        let Some(token) = search.choose(sequence.logits(), sampler, constraint)? else {
            search.back_out(sequence, constraint)?;
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
    if let Pace::Drafted(drafter) = pace {
        drafter.settle(search.tokens());
    }
    let (tokens, decoded) = (search.tokens().to_vec(), search.decoded());
    let text = constraint.written().to_vec();
    Ok(Completion { tokens, decoded, text, finish, time: started.elapsed(), first_choice, steps })
}

/// Decodes what is `pending`, the end of the text of `search`.
fn decode(
    sequence: &mut impl Sequence,
    constraint: &mut Constraint<'_>,
    search: &Search,
    pending: &[i32],
    pace: &mut Pace<'_>,
    steps: &mut Steps,
) -> Result<(), Error> {
    let known = sequence.ahead().iter().zip(pending).take_while(|(guess, token)| guess == token).count();
    steps.accepted += known;
    let new = pending.len() - known;
    match pace {
        Pace::Exact => {
            for token in pending {
                sequence.append(&[*token])?;
            }
            steps.decodes += pending.len();
            steps.rows += pending.len();
        }
        Pace::Forced => {
            sequence.append(pending)?;
            steps.decodes += 1;
            steps.rows += pending.len();
        }
        Pace::Drafted(_) if new == 0 => {
            sequence.append(pending)?;
        }
        Pace::Drafted(drafter) => {
            let takes = |token| Ok(constraint.takes(&[token])? > 0);
            let mut draft = drafter.draft(search.tokens(), new, takes)?;
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
