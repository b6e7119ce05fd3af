//! Near ties: choices that are made again from the logits of tokens that were decoded one at a time.
//!
//! Unless the kernels multiply several tokens as they multiply one (see `kernels::decode_alike`), llama.cpp's
//! order of summation depends on the number of tokens in a decode, so logits and KV cache of tokens that
//! were decoded together differ a little from those of exact decoding. Where the two best tokens are further apart than
//! that, both choose the same. Where they are not, the tokens since the last exact one are decoded again, one at a time.
//! Then logits and KV cache have the bits of exact decoding, and so has the choice.

use super::{Error, sequence::Sequence, steps::Steps};

/// The beginning of a sequence that has the bits of exact decoding, and what is left to chance behind it.
pub(super) struct ExactPart {
    // Tokens before the text.
    prompt: usize,
    // Tokens at the beginning of the sequence with these bits.
    end: usize,
    // Largest difference that decoding tokens together makes to the distance of two logits.
    noise: f32,
    ties: usize,
    // End of the text at the last near tie.
    last_tie: usize,
}

impl ExactPart {
    /// The part of `sequence` before a text: all of it. With `noise` 0 no choice is made again.
    pub(super) fn new(sequence: &impl Sequence, noise: f32) -> ExactPart {
        let prompt = sequence.n_past();
        ExactPart { prompt, end: prompt, noise, ties: 0, last_tie: 0 }
    }

    /// The distance of two logits below which their order is uncertain; 0 if the logits are those of exact decoding.
    pub(super) fn noise(&self, sequence: &impl Sequence) -> f32 {
        if self.end == sequence.n_past() { 0.0 } else { self.noise }
    }

    /// Notes a decode of `rows` tokens, drafted ones included, after the first `before` tokens.
    pub(super) fn decoded(&mut self, before: usize, rows: usize) {
        if rows == 1 && self.end == before {
            self.end += 1;
        }
    }

    /// Notes that the sequence was cut to `n_past` tokens, the last of which was decoded again by itself.
    pub(super) fn rewound(&mut self, n_past: usize) {
        self.end = self.end.min(n_past.saturating_sub(1));
        self.decoded(n_past.saturating_sub(1), 1);
    }

    /// True if decoding tokens together is expected to save more than near ties make necessary to decode again.
    ///
    /// All tokens before the last near tie of a text are decoded again, so decoding them together saves nothing. A
    /// text with two of them will likely have more, unless it has gone without for as long as it was before.
    pub(super) fn allows_batches(&self, text: usize) -> bool {
        self.ties < 2 || text > 2 * self.last_tie
    }

    /// Decodes the tokens of `text`, the end of `sequence`, again that do not have the bits of exact decoding.
    ///
    /// # Errors
    /// Errors of [`Sequence::rewind`] and [`Sequence::append`].
    pub(super) fn restore(
        &mut self,
        sequence: &mut impl Sequence,
        text: &[i32],
        steps: &mut Steps,
    ) -> Result<(), Error> {
        let again = text.get((self.end - self.prompt)..).unwrap_or_default();
        sequence.rewind(self.end + 1)?;
        for token in again.iter().skip(1) {
            sequence.append(&[*token])?;
        }
        self.end = sequence.n_past();
        self.ties += 1;
        self.last_tie = text.len();
        steps.ties += 1;
        steps.decodes += again.len();
        steps.rows += again.len();
        steps.again += again.len();
        Ok(())
    }
}
