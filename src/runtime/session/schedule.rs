//! The order in which the tokens of several sequences are decoded: who waits, and what goes into the next decode.
//!
//! Sequences that generate take turns in step: the next decode waits for a moment until each of them has said what
//! comes next, so that all go into one. A long prompt is decoded in chunks beside them.

use crate::runtime::Error;
use std::time::{Duration, Instant};

/// Time that a decode waits for sequences that are expected to have tokens soon.
pub(super) const PATIENCE: Duration = Duration::from_micros(500);
/// Time after which to ask again where a change is told.
const LONG: Duration = Duration::from_secs(1);
/// Tokens of a decode while sequences generate: what a prompt may add is up to here.
const CHUNK: usize = 128;
/// Most tokens of a job that goes into a decode whole, as a token with its draft and forced ones do.
const SHORT: usize = 32;

/// Tokens that a sequence wants decoded.
pub(super) struct Job {
    pub seq: usize,
    pub tokens: Vec<i32>,
    /// Position of the first token.
    pub position: usize,
    /// Index of the first token whose logits are wanted.
    pub wants_from: usize,
    /// Number of tokens that are decoded.
    pub done: usize,
    /// Logits so far, row by row.
    pub rows: Vec<f32>,
}

/// The first tokens of a job that are not decoded yet, and go into the next decode.
pub(super) struct Taken {
    pub job: Job,
    pub n: usize,
    /// Outcome of their decode.
    pub outcome: Result<(), i32>,
}

/// A decode of several sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Round {
    /// Tokens of all sequences.
    pub rows: usize,
    pub sequences: usize,
    /// CPU time of the thread that made it.
    pub time: Duration,
}

/// A finished job.
pub(super) struct Finished {
    pub rows: Vec<f32>,
    /// The last decode of it.
    pub round: Round,
}

/// Jobs that wait, and sequences that are expected to have one soon.
pub(super) struct Schedule {
    waiting: Vec<Job>,
    finished: Vec<Option<Result<Finished, Error>>>,
    is_expected: Vec<bool>,
    is_decoding: bool,
    /// Time since which a job waits that could be decoded.
    since: Instant,
}

impl Schedule {
    /// A schedule for `n` sequences.
    pub fn new(n: usize) -> Schedule {
        Schedule {
            waiting: Vec::new(),
            finished: (0..n).map(|_| None).collect(),
            is_expected: vec![false; n],
            is_decoding: false,
            since: Instant::now(),
        }
    }

    /// Adds a job.
    pub fn add(&mut self, job: Job) {
        if self.waiting.is_empty() && !self.is_decoding {
            self.since = Instant::now();
        }
        self.is_expected[job.seq] = false;
        self.waiting.push(job);
    }

    /// Notes that a sequence has no tokens soon.
    pub fn rest(&mut self, seq: usize) {
        self.is_expected[seq] = false;
    }

    /// The end of a sequence's job, once.
    pub fn finished(&mut self, seq: usize) -> Option<Result<Finished, Error>> {
        self.finished[seq].take()
    }

    /// The jobs of the next decode, if it is to be made now by the caller; otherwise the time after which to ask again.
    /// `n_batch` is the most tokens of a decode.
    pub fn next(&mut self, n_batch: usize) -> Result<Vec<Taken>, Duration> {
        if self.is_decoding || self.waiting.is_empty() {
            return Err(LONG);
        }
        if self.is_expected.contains(&true) {
            let waited = self.since.elapsed();
            if waited < PATIENCE {
                return Err(PATIENCE - waited);
            }
            self.is_expected.fill(false);
        }
        self.is_decoding = true;
        Ok(self.take(n_batch))
    }

    fn take(&mut self, n_batch: usize) -> Vec<Taken> {
        let is_short = |job: &Job| job.tokens.len() - job.done <= SHORT;
        let all = if self.waiting.iter().any(is_short) { n_batch.min(CHUNK) } else { n_batch };
        // Short jobs first; each kind in the order in which they came.
        self.waiting.sort_by_key(|job| !is_short(job));
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        let mut n_tokens = 0;
        for job in self.waiting.drain(..) {
            let rest = job.tokens.len() - job.done;
            let room = if is_short(&job) { n_batch } else { all }.saturating_sub(n_tokens);
            let n = if is_short(&job) && rest > room && n_tokens > 0 { 0 } else { rest.min(room) };
            n_tokens += n;
            match n {
                0 => left.push(job),
                _ => taken.push(Taken { job, n, outcome: Ok(()) }),
            }
        }
        self.waiting = left;
        taken
    }

    /// Notes what became of a decode.
    pub fn settle(&mut self, taken: Vec<Taken>, time: Duration) {
        let round = Round { rows: taken.iter().map(|taken| taken.n).sum(), sequences: taken.len(), time };
        for Taken { mut job, n, outcome } in taken {
            job.done += n;
            let seq = job.seq;
            self.finished[seq] = match outcome {
                Ok(()) if job.done < job.tokens.len() => {
                    // Others that are longer wait behind it, so that the first prompt is the first to be answered.
                    self.waiting.insert(0, job);
                    continue;
                }
                Ok(()) => Some(Ok(Finished { rows: job.rows, round })),
                Err(code) => Some(Err(Error::Decode { code })),
            };
            self.is_expected[seq] = true;
        }
        self.is_decoding = false;
        self.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N_BATCH: usize = 512;

    fn job(seq: usize, n: usize) -> Job {
        Job { seq, tokens: vec![1; n], position: 0, wants_from: n - 1, done: 0, rows: Vec::new() }
    }

    fn sizes(taken: &[Taken]) -> Vec<(usize, usize)> {
        taken.iter().map(|taken| (taken.job.seq, taken.n)).collect()
    }

    #[test]
    fn a_long_prompt_is_decoded_in_chunks_beside_those_that_generate() {
        let mut schedule = Schedule::new(3);
        schedule.add(job(0, 256));
        schedule.add(job(1, 1));
        schedule.add(job(2, 5));
        let taken = schedule.next(N_BATCH).ok().unwrap();
        assert_eq!(sizes(&taken), [(1, 1), (2, 5), (0, CHUNK - 6)]);
        assert!(schedule.next(N_BATCH).is_err(), "one decode at a time");
        schedule.settle(taken, Duration::ZERO);
        assert!(schedule.finished(1).is_some() && schedule.finished(2).is_some());
        assert!(schedule.finished(0).is_none());
        // The others are done with their answers: the prompt takes all of the batch.
        schedule.rest(1);
        schedule.rest(2);
        let taken = schedule.next(N_BATCH).ok().unwrap();
        assert_eq!(sizes(&taken), [(0, 256 - (CHUNK - 6))]);
        schedule.settle(taken, Duration::ZERO);
        assert!(schedule.finished(0).is_some_and(|end| end.is_ok()));
    }

    #[test]
    fn a_decode_waits_for_those_that_generate_but_not_for_long() {
        let mut schedule = Schedule::new(2);
        schedule.add(job(0, 1));
        let taken = schedule.next(N_BATCH).ok().unwrap();
        schedule.settle(taken, Duration::ZERO);
        schedule.add(job(1, 1));
        schedule.since = Instant::now() + Duration::from_secs(60);
        assert_eq!(schedule.next(N_BATCH).err(), Some(PATIENCE));
        schedule.since = Instant::now() - PATIENCE;
        let taken = schedule.next(N_BATCH).ok().unwrap();
        assert_eq!(sizes(&taken), [(1, 1)]);
    }

    #[test]
    fn a_batch_is_never_longer_than_llama_takes() {
        let mut schedule = Schedule::new(40);
        for seq in 0..40 {
            schedule.add(job(seq, SHORT));
        }
        let taken = schedule.next(N_BATCH).ok().unwrap();
        assert_eq!(sizes(&taken).iter().map(|(_, n)| n).sum::<usize>(), N_BATCH);
        schedule.settle(taken, Duration::ZERO);
        for seq in 0..16 {
            schedule.rest(seq);
        }
        assert_eq!(schedule.next(N_BATCH).ok().unwrap().len(), 16);
        // llama.cpp may have reduced it far below a chunk.
        let mut schedule = Schedule::new(1);
        schedule.add(job(0, SHORT));
        assert_eq!(sizes(&schedule.next(8).ok().unwrap()), [(0, 8)]);
    }
}
