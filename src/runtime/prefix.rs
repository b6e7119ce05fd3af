//! Evaluation of a prompt in fixed pieces, so that its logits are the same bits whatever was computed before.
//!
//! llama.cpp's order of summation depends on the number of tokens in a decode. So a prompt is always split at
//! the same positions: after every token that ends a turn, and every 256 tokens after such a position. Each
//! piece is a decode of its own. The KV cache of the previous prompt is reused up to a position that both have,
//! and no further; generated tokens are never reused. States from other processes come from a [`PrefixCache`], piece
//! by piece, with the same bits. A memory that cannot be cut is reused up to a checkpoint, of which each piece's end has
//! one.
//!
//! Sessions of one context share what their prompts have in common, also piece by piece. The bits are then not fixed.

use super::{Error, Session};
use std::time::{Duration, Instant};

/// Most tokens in one piece.
pub(super) const PIECE: usize = 256;

/// End positions of the pieces of a prompt. The last one is the end of the prompt, which other prompts need not
/// share.
pub fn piece_ends(tokens: &[i32], ends_turn: impl Fn(i32) -> bool) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut start = 0;
    for (index, &token) in tokens.iter().enumerate() {
        if ends_turn(token) || index + 1 - start == PIECE || index + 1 == tokens.len() {
            start = index + 1;
            ends.push(start);
        }
    }
    ends
}

/// Cache of prefix states that outlives the process.
pub trait PrefixCache {
    /// Passes the state of the piece from `start` to the end of `tokens`, the beginning of a prompt, to
    /// `restore`, if it is stored. Returns true if it was stored and `restore` accepted it.
    fn take(&mut self, tokens: &[i32], start: usize, restore: &mut dyn FnMut(&[u8]) -> bool) -> bool;

    /// True if a state of this size that took `time` to compute is worth storing.
    fn wants(&mut self, bytes: usize, time: Duration) -> bool;

    /// Stores the state of the piece from `start` to the end of `tokens`.
    fn put(&mut self, tokens: &[i32], start: usize, state: Vec<u8>);
}

/// Counts and times of evaluating a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evaluated {
    /// Tokens that were computed, at least one.
    pub computed: usize,
    /// Tokens whose state came from a cache. The others were in the KV cache already.
    pub restored: usize,
    /// Time for reading states from the cache.
    pub restore_time: Duration,
}

/// A session whose sequence keeps track of the prompt tokens with a state that can be reused.
pub struct Prefix<'m> {
    session: Session<'m>,
    // Tokens of the last prompt in the sequence whose state is that of its fixed pieces.
    held: Vec<i32>,
    progress: Option<fn(usize, usize)>,
}

impl<'m> Prefix<'m> {
    /// Wraps a session without tokens.
    pub fn new(session: Session<'m>) -> Prefix<'m> {
        Prefix { session, held: Vec::new(), progress: None }
    }

    /// The same with a callback before each piece that is computed and after the last one: tokens of the prompt that
    /// are in the sequence, and all of them.
    pub fn with_progress(self, progress: Option<fn(usize, usize)>) -> Prefix<'m> {
        Prefix { progress, ..self }
    }

    /// Sets that callback, or none.
    pub fn set_progress(&mut self, progress: Option<fn(usize, usize)>) {
        self.progress = progress;
    }

    /// The session, to read logits from and to generate in.
    pub fn session(&mut self) -> &mut Session<'m> {
        &mut self.session
    }

    /// Evaluates `prompt` and returns the number of tokens that had to be computed, at least one.
    ///
    /// # Errors
    /// Errors of [`Session::append`].
    pub fn evaluate(&mut self, prompt: &[i32], ends_turn: impl Fn(i32) -> bool) -> Result<usize, Error> {
        Ok(self.run(prompt, ends_turn, None, &mut || true)?.computed)
    }

    /// Evaluates `prompt` with the states on `cache`, and adds the missing ones of pieces that other prompts
    /// may begin with. The end of the last turn and what follows it are not added, since they rarely recur.
    ///
    /// # Errors
    /// Errors of [`Session::append`].
    pub fn evaluate_with(
        &mut self,
        prompt: &[i32],
        ends_turn: impl Fn(i32) -> bool,
        cache: &mut dyn PrefixCache,
    ) -> Result<Evaluated, Error> {
        self.run(prompt, ends_turn, Some(cache), &mut || true)
    }

    /// Evaluates `prompt` like [`Prefix::evaluate_with`], or like [`Prefix::evaluate`] without a cache, as long as
    /// `goes_on` is true, which is asked before each piece. What was computed until then is kept.
    ///
    /// # Errors
    /// As [`Prefix::evaluate`]; [`Error::Cancelled`] if `goes_on` is false.
    pub fn evaluate_while(
        &mut self,
        prompt: &[i32],
        ends_turn: impl Fn(i32) -> bool,
        cache: Option<&mut dyn PrefixCache>,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<Evaluated, Error> {
        self.run(prompt, ends_turn, cache, goes_on)
    }

    fn run(
        &mut self,
        prompt: &[i32],
        ends_turn: impl Fn(i32) -> bool,
        mut cache: Option<&mut dyn PrefixCache>,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<Evaluated, Error> {
        let ends = piece_ends(prompt, &ends_turn);
        let common = self.common(prompt);
        let can_be_reused =
            |end: &usize| *end <= common && *end < prompt.len() && self.session.can_be_cut_at(*end);
        let reused = ends.iter().copied().filter(can_be_reused).max();
        let mut start = reused.unwrap_or(0);
        if self.session.cut(start).is_err() {
            // Without a cut, everything is computed again; the pieces, and so the bits, are the same.
            start = 0;
            self.session.cut(0)?;
        }
        self.held.clear();
        if self.session.is_shared() {
            let pieces = &ends[..ends.len().saturating_sub(1)];
            self.session.adopt(prompt, pieces, goes_on);
            start = self.session.n_past();
        }

        let (began, reused) = (Instant::now(), start);
        if let Some(cache) = &mut cache {
            for &end in ends.iter().filter(|&&end| end > reused && end < prompt.len()) {
                let session = &mut self.session;
                let mut restore = |state: &[u8]| {
                    let is_restored = session.restore(&prompt[start..end], state);
                    if is_restored {
                        session.keep_checkpoint();
                    }
                    is_restored
                };
                if !cache.take(&prompt[..end], start, &mut restore) {
                    break;
                }
                start = end;
            }
        }
        let (restored, restore_time) = (start - reused, began.elapsed());
        if restored > 0 {
            self.session.publish();
        }

        let before = start;
        let asked_once = prompt.iter().rposition(|&token| ends_turn(token)).unwrap_or(prompt.len());
        for end in ends.into_iter().skip_while(|&end| end <= before) {
            if !goes_on() {
                self.held.extend_from_slice(&prompt[..start]);
                return Err(Error::Cancelled);
            }
            let began = Instant::now();
            self.show_progress(start, prompt.len());
            let piece = start..end;
            self.session.append(&prompt[piece.clone()])?;
            let time = began.elapsed();
            self.session.keep_checkpoint();
            if end < prompt.len() {
                self.session.publish();
            }
            start = end;
            let recurs = end <= asked_once || piece.len() == PIECE && end < prompt.len();
            let Some(cache) = cache.as_mut().filter(|_| recurs) else { continue };
            // At once: a recurrent state is that of the last token.
            if let Some(state) = self.session.state(piece.clone(), |bytes| cache.wants(bytes, time)) {
                cache.put(&prompt[..end], piece.start, state);
            }
        }
        self.show_progress(start, prompt.len());
        // Backing out of the first generated token decodes the prompt's last token again by itself.
        self.held.extend_from_slice(&prompt[..prompt.len().saturating_sub(1)]);
        Ok(Evaluated { computed: prompt.len() - before, restored, restore_time })
    }

    /// Number of tokens that `prompt` and the last prompt in the sequence have in common.
    pub fn common(&self, prompt: &[i32]) -> usize {
        self.held.iter().zip(prompt).take_while(|(a, b)| a == b).count()
    }

    /// Keeps what the next prompt may begin with, and nothing else. Sessions of the same context do not wait for this one
    /// any longer.
    pub fn rest(&mut self) {
        self.session.rest();
        if self.session.is_shared() && self.session.can_be_cut_at(self.held.len()) {
            // Otherwise the next prompt cuts it.
            let _ = self.session.cut(self.held.len());
        }
    }

    /// Removes everything.
    ///
    /// # Errors
    /// Errors of [`Session::cut`].
    pub fn clear(&mut self) -> Result<(), Error> {
        self.held.clear();
        self.session.cut(0)
    }

    fn show_progress(&self, done: usize, all: usize) {
        if let Some(progress) = self.progress {
            progress(done, all);
        }
    }

    /// Drops everything but the tokens up to the first end of a turn, the system message. So each evaluation of
    /// a conversation costs the same, whatever came before.
    pub fn begin_conversation(&mut self, ends_turn: impl Fn(i32) -> bool) {
        let first = self.held.iter().position(|&token| ends_turn(token));
        self.held.truncate(first.map_or(0, |at| at + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: i32 = 9;

    #[test]
    fn a_prompt_is_cut_after_each_turn_and_every_256_tokens_after_a_cut() {
        let mut prompt = vec![1; 300];
        prompt[2] = END;
        assert_eq!(piece_ends(&prompt, |token| token == END), [3, 259, 300]);
        assert_eq!(piece_ends(&[1; 256], |token| token == END), [256]);
        assert_eq!(piece_ends(&[END, END], |token| token == END), [1, 2]);
        assert!(piece_ends(&[], |token| token == END).is_empty());
    }

    #[test]
    fn the_cuts_of_a_beginning_are_those_of_the_whole() {
        let prompt: Vec<i32> = (0..2_000).map(|i| if i % 397 == 5 { END } else { 1 }).collect();
        let whole = piece_ends(&prompt, |token| token == END);
        for length in [1, 6, 255, 256, 403, 1_000, 1_999] {
            let part = piece_ends(&prompt[..length], |token| token == END);
            let (last, cuts) = part.split_last().unwrap();
            assert_eq!(*last, length);
            assert!(cuts.iter().all(|cut| whole.contains(cut)), "{length}");
        }
    }
}
