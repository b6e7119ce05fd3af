//! A context that several sequences share, each with a thread of its own.
//!
//! No thread is there for decoding alone: of the threads that wait for a decode, one makes it for all of them. So a
//! sequence that is alone decodes as fast as in a context of its own.

use super::Options;
use super::open::{ThreadPool, open};
use super::schedule::{Finished, Job, Schedule, Taken};
use crate::machine::cpu_time;
use crate::runtime::{
    Error, Model,
    ffi::{self, Context, Part},
};
use std::{
    ops::Range,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Time after which a sequence that waits for tokens of another looks whether it is still to wait.
const LOOK: Duration = Duration::from_millis(50);

/// A context of several sequences.
pub(super) struct SharedContext<'m> {
    cells: Mutex<Cells<'m>>,
    /// Told when a sequence has published tokens, or given up its claim.
    published: Condvar,
    schedule: Mutex<Schedule>,
    changed: Condvar,
    n_batch: usize,
    pub n_vocab: usize,
    /// Length of each sequence in tokens.
    pub n_ctx: usize,
    pub threads: usize,
    pub options: Options,
    pub can_be_cut: bool,
}

/// The memory of the sequences.
pub(super) struct Cells<'m> {
    pub raw: Context<'m>,
    /// Tokens at the beginning of each sequence that others may share: they are decoded and stay for now.
    prompts: Vec<Vec<i32>>,
    /// Tokens at the beginning of each sequence that are being decoded, and will then be there for others to share.
    claims: Vec<Vec<i32>>,
}

impl<'m> SharedContext<'m> {
    /// Creates a context for `n` sequences of `n_ctx` tokens each.
    ///
    /// # Errors
    /// As [`Session::new`](super::Session::new), but for the length.
    pub fn new(
        model: &'m Model,
        n: usize,
        n_ctx: usize,
        options: &Options,
    ) -> Result<SharedContext<'m>, Error> {
        let (raw, threads) = open(model, (n, n_ctx.saturating_mul(n)), options, ThreadPool::Kept)?;
        let n_batch = raw.n_batch();
        Ok(SharedContext {
            cells: Mutex::new(Cells { raw, prompts: vec![Vec::new(); n], claims: vec![Vec::new(); n] }),
            published: Condvar::new(),
            schedule: Mutex::new(Schedule::new(n)),
            changed: Condvar::new(),
            n_batch,
            n_vocab: model.vocabulary().n_vocab(),
            n_ctx,
            threads,
            options: *options,
            can_be_cut: ffi::can_be_cut(&model.weights),
        })
    }

    pub fn n_batch(&self) -> usize {
        self.n_batch
    }

    /// The memory, once no decode runs.
    pub fn cells(&self) -> MutexGuard<'_, Cells<'m>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decodes `tokens` of a sequence, with those of others if any wait, and gives the logits after the tokens from
    /// the index `wants_from` on.
    ///
    /// # Errors
    /// [`Error::Decode`] if llama.cpp fails at these tokens.
    pub fn decode(
        &self,
        seq_id: i32,
        tokens: &[i32],
        position: usize,
        wants_from: usize,
    ) -> Result<Finished, Error> {
        let seq = index(seq_id);
        let job = Job { seq, tokens: tokens.to_vec(), position, wants_from, done: 0, rows: Vec::new() };
        let mut schedule = self.schedule();
        schedule.add(job);
        loop {
            if let Some(end) = schedule.finished(seq) {
                return end;
            }
            schedule = match schedule.next(self.n_batch) {
                Ok(taken) => {
                    drop(schedule);
                    self.lead(taken);
                    self.schedule()
                }
                Err(wait) => {
                    let waited = self.changed.wait_timeout(schedule, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Notes that a sequence has no tokens soon, so that the others do not wait for it.
    pub fn rest(&self, seq_id: i32) {
        self.schedule().rest(index(seq_id));
        self.changed.notify_all();
        self.cells().claims[index(seq_id)].clear();
        self.published.notify_all();
    }

    /// Lets others share the first `tokens` of a sequence.
    pub fn publish(&self, seq_id: i32, tokens: &[i32]) {
        self.cells().publish(index(seq_id), tokens);
        self.published.notify_all();
    }

    /// Adds to a sequence of `n_past` tokens, the first ones of `prompt`, the next that other sequences have, up to one of
    /// `ends`, and gives the number of its tokens then. Tokens that another sequence is about to have are waited for, as
    /// long as `goes_on` is true; others may wait for what this one is to decode then.
    pub fn adopt(
        &self,
        seq_id: i32,
        mut n_past: usize,
        (prompt, ends): (&[i32], &[usize]),
        goes_on: &mut dyn FnMut() -> bool,
    ) -> usize {
        let mut cells = self.cells();
        loop {
            let before = n_past;
            n_past = cells.adopt(seq_id, n_past, prompt, ends);
            if n_past > before {
                cells.publish(index(seq_id), &prompt[..n_past]);
            }
            let next = ends.iter().find(|&&end| end > n_past).and_then(|&end| prompt.get(..end));
            let Some(next) = next else { return n_past };
            let mut claims = cells.claims.iter().enumerate();
            if !claims.any(|(seq, claim)| seq != index(seq_id) && claim.starts_with(next)) || !goes_on() {
                let last = ends.last().and_then(|&end| prompt.get(..end)).unwrap_or_default();
                cells.claims[index(seq_id)] = last.to_vec();
                return n_past;
            }
            let waited = self.published.wait_timeout(cells, LOOK);
            cells = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a decode for all sequences whose tokens were taken.
    fn lead(&self, taken: Vec<Taken>) {
        let mut cells = self.cells();
        let started = cpu_time::thread();
        let mut taken = taken;
        cells.decode(&mut taken, self.n_vocab);
        let time = cpu_time::thread().saturating_sub(started);
        drop(cells);
        self.schedule().settle(taken, time);
        self.changed.notify_all();
    }
}

impl Cells<'_> {
    /// Decodes what was taken, and adds its logits to the jobs. If llama.cpp fails, each sequence by itself, so that
    /// only the one fails that is to blame.
    fn decode(&mut self, taken: &mut [Taken], n_vocab: usize) {
        let parts: Vec<Part<'_>> = taken.iter().map(part).collect();
        match self.raw.decode(&parts) {
            Ok(()) => {
                let mut first = 0;
                for taken in taken {
                    self.keep_rows(taken, first, n_vocab);
                    first += taken.n;
                }
            }
            Err(code) if taken.len() > 1 => {
                tracing::debug!(code, sequences = taken.len(), "decoding each sequence by itself");
                for taken in taken {
                    // What a part of the batch may have left.
                    let is_cut = self.raw.cut(id(taken.job.seq), taken.job.position + taken.job.done);
                    match if is_cut { self.raw.decode(&[part(taken)]) } else { Err(code) } {
                        Ok(()) => self.keep_rows(taken, 0, n_vocab),
                        Err(code) => taken.outcome = Err(code),
                    }
                }
            }
            Err(code) => taken.iter_mut().for_each(|taken| taken.outcome = Err(code)),
        }
    }

    /// Adds the logits of a part whose first token has the row `first` to its job.
    fn keep_rows(&self, taken: &mut Taken, first: usize, n_vocab: usize) {
        let Taken { job, n, outcome } = taken;
        for nth in job.wants_from.saturating_sub(job.done)..*n {
            match self.raw.logits(first + nth, n_vocab) {
                Some(row) => job.rows.extend_from_slice(row),
                // llama.cpp computed no logits where they were asked for.
                None => *outcome = Err(ffi::TOO_MANY),
            }
        }
    }

    fn publish(&mut self, seq: usize, tokens: &[i32]) {
        let (prompt, claim) = (&mut self.prompts[seq], &mut self.claims[seq]);
        prompt.clear();
        prompt.extend_from_slice(tokens);
        if prompt.starts_with(claim) {
            claim.clear();
        }
    }

    /// Notes that a sequence keeps its first `n_past` tokens alone.
    pub fn withdraw(&mut self, seq_id: i32, n_past: usize) {
        self.prompts[index(seq_id)].truncate(n_past);
    }

    /// Adds to a sequence of `n_past` tokens, the first ones of `tokens`, the next that another sequence has, up to
    /// the last of `ends` that it has, and gives the number of its tokens then.
    fn adopt(&mut self, seq_id: i32, n_past: usize, tokens: &[i32], ends: &[usize]) -> usize {
        let common = |prompt: &Vec<i32>| prompt.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        let others = self.prompts.iter().enumerate().filter(|(seq, _)| *seq != index(seq_id));
        let Some((common, from)) = others.map(|(seq, prompt)| (common(prompt), seq)).max() else {
            return n_past;
        };
        let end = ends.iter().copied().filter(|&end| end <= common && end > n_past).max();
        let Some(end) = end else { return n_past };
        self.raw.share(id(from), seq_id, Range { start: n_past, end });
        end
    }
}

fn part(taken: &Taken) -> Part<'_> {
    let Job { seq, tokens, position, wants_from, done, .. } = &taken.job;
    Part {
        seq_id: id(*seq),
        tokens: &tokens[*done..*done + taken.n],
        position: position + done,
        wants_from: wants_from.saturating_sub(*done),
    }
}

/// The place of a sequence in lists.
fn index(seq_id: i32) -> usize {
    usize::try_from(seq_id).unwrap_or_default()
}

/// llama.cpp's id of a sequence.
fn id(seq: usize) -> i32 {
    i32::try_from(seq).unwrap_or(i32::MAX)
}
