//! The state of a range of tokens, out of a session and back into one: what follows has the same bits as if the
//! tokens had been decoded.

use super::Session;
use crate::runtime::{ENGINE, N_BATCH, cpu, kernels, prefix::PIECE};
use std::ops::Range;

impl Session<'_> {
    /// The state of the tokens at `range`, if `wants` says that so many bytes are wanted. `None` also where llama.cpp
    /// gives none.
    ///
    /// What is in the session, and the logits after it, stay as they are.
    pub fn state(&mut self, range: Range<usize>, wants: impl FnOnce(usize) -> bool) -> Option<Vec<u8>> {
        let is_here = !range.is_empty() && range.end <= self.n_past;
        is_here.then(|| self.context.state(range, wants)).flatten()
    }

    /// Appends `tokens` by their `state`, which [`Session::state`] gave after the same tokens in a session of the same
    /// model and [`setting`](Session::setting). `false` where llama.cpp does not take it; then nothing has changed.
    /// There are no logits until the next [`Session::append`].
    ///
    /// llama.cpp reads `state` with care for its length and the shape that it claims, but takes any numbers in it:
    /// whoever kept it vouches for it.
    pub fn restore(&mut self, tokens: &[i32], state: &[u8]) -> bool {
        if tokens.is_empty() || tokens.len() > self.n_ctx - self.n_past || self.forget_guesses().is_err() {
            return false;
        }
        let end = self.n_past + tokens.len();
        let taken = self.context.restore(self.n_past..end, state);
        if taken {
            self.row = None;
            self.n_past = end;
            self.tokens.extend_from_slice(tokens);
        }
        taken
    }

    /// What the bits of a state depend on beside the model and how it was loaded: the engine, the kernels and the CPU
    /// that they run on, how attention is computed, the threads, and how a prompt is cut.
    pub fn setting(&self) -> String {
        format!(
            "{ENGINE}; {} on {}; flash attention {}; kv {}; rope of the model; {} threads; batches of {N_BATCH} by \
             {}; pieces of {PIECE} after ends of turns",
            kernels::name(),
            cpu::features(),
            if self.options.uses_flash_attention() { "on" } else { "off" },
            self.options.kv_type.name,
            self.threads,
            self.options.n_ubatch(),
        )
    }
}
