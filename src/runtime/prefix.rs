//! A prompt in fixed pieces, so that its bits do not depend on what was computed before it.
//!
//! How llama.cpp adds up depends on how many tokens are decoded together. A prompt is therefore always cut at the same
//! places, after every token that ends a turn and every 256 tokens after such a cut, each piece a decode of its own.
//! What the last prompt left in the context is used again up to a cut that both have, and no further; what was
//! generated never is. What another process computed comes from a [`Shelf`], piece by piece, with the same bits.

use super::{Error, Session};
use std::time::{Duration, Instant};

/// The most tokens in one piece.
pub(super) const PIECE: usize = 256;

/// Where the pieces of a prompt end; the last end is the prompt's, and no cut that another prompt has to share.
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

/// Where the states of pieces are kept when a process ends.
pub trait Shelf {
    /// Hands the state of the piece from `start` to the end of `tokens`, which stand at a prompt's beginning, to
    /// `restore`, if it is here. Gives whether it was and `restore` could use it.
    fn take(&mut self, tokens: &[i32], start: usize, restore: &mut dyn FnMut(&[u8]) -> bool) -> bool;

    /// Whether a state of so many bytes is worth keeping that took `time` to compute.
    fn wants(&mut self, bytes: usize, time: Duration) -> bool;

    /// Keeps the state of the piece from `start` to the end of `tokens`.
    fn put(&mut self, tokens: &[i32], start: usize, state: Vec<u8>);
}

/// How a prompt came into the context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evaluated {
    /// Tokens that were computed, at least one.
    pub computed: usize,
    /// Tokens whose state came from a shelf. The others were there already.
    pub restored: usize,
    /// How long the shelf took to give what it had.
    pub restore_time: Duration,
}

/// A session that knows which of its tokens are a prompt's.
pub struct Prefix<'m> {
    session: Session<'m>,
    // Those of the last prompt whose state is as its pieces left it.
    held: Vec<i32>,
}

impl<'m> Prefix<'m> {
    /// Around a session without tokens.
    pub fn new(session: Session<'m>) -> Prefix<'m> {
        Prefix { session, held: Vec::new() }
    }

    /// The session, to read logits from and to generate in.
    pub fn session(&mut self) -> &mut Session<'m> {
        &mut self.session
    }

    /// Evaluates `prompt` and gives the number of tokens that had to be computed for it, at least one.
    ///
    /// # Errors
    /// What [`Session::append`] reports.
    pub fn evaluate(&mut self, prompt: &[i32], ends_turn: impl Fn(i32) -> bool) -> Result<usize, Error> {
        Ok(self.run(prompt, ends_turn, None)?.computed)
    }

    /// Evaluates `prompt` with what is on `shelf`, and puts there what it lacks: the pieces that other prompts will
    /// begin with. The end of the last turn and what comes behind it are not among them, for they are asked once.
    ///
    /// # Errors
    /// What [`Session::append`] reports.
    pub fn evaluate_with(
        &mut self,
        prompt: &[i32],
        ends_turn: impl Fn(i32) -> bool,
        shelf: &mut dyn Shelf,
    ) -> Result<Evaluated, Error> {
        self.run(prompt, ends_turn, Some(shelf))
    }

    fn run(
        &mut self,
        prompt: &[i32],
        ends_turn: impl Fn(i32) -> bool,
        mut shelf: Option<&mut dyn Shelf>,
    ) -> Result<Evaluated, Error> {
        let ends = piece_ends(prompt, &ends_turn);
        let common = self.held.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        let reused = ends.iter().copied().filter(|&end| end <= common && end < prompt.len()).max();
        let mut start = reused.unwrap_or(0);
        if self.session.cut(start).is_err() {
            // A memory that cannot be cut there; the pieces, and so the bits, are the same.
            start = 0;
            self.session.cut(0)?;
        }
        self.held.clear();

        let (began, reused) = (Instant::now(), start);
        if let Some(shelf) = &mut shelf {
            for &end in ends.iter().filter(|&&end| end > reused && end < prompt.len()) {
                let session = &mut self.session;
                let mut restore = |state: &[u8]| session.restore(&prompt[start..end], state);
                if !shelf.take(&prompt[..end], start, &mut restore) {
                    break;
                }
                start = end;
            }
        }
        let (restored, restore_time) = (start - reused, began.elapsed());

        let before = start;
        let mut computed = Vec::new();
        for end in ends.into_iter().skip_while(|&end| end <= before) {
            let began = Instant::now();
            self.session.append(&prompt[start..end])?;
            computed.push((start..end, began.elapsed()));
            start = end;
        }
        if let Some(shelf) = shelf {
            let asked_once = prompt.iter().rposition(|&token| ends_turn(token)).unwrap_or(prompt.len());
            for (piece, time) in computed {
                let recurs = piece.end <= asked_once || piece.len() == PIECE && piece.end < prompt.len();
                if !recurs {
                    continue;
                }
                if let Some(state) = self.session.state(piece.clone(), |bytes| shelf.wants(bytes, time)) {
                    shelf.put(&prompt[..piece.end], piece.start, state);
                }
            }
        }
        // Backing out of a first generated token decodes the prompt's last one again, by itself.
        self.held.extend_from_slice(&prompt[..prompt.len().saturating_sub(1)]);
        Ok(Evaluated { computed: prompt.len() - before, restored, restore_time })
    }

    /// Keeps nothing for the next prompt but what comes before the first end of a turn: the system message. So each
    /// walk through a conversation costs the same, whatever was walked before.
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
