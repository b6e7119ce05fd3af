//! Export and import of the state of a range of tokens. After an import, the logits are the same bits as if the
//! tokens had been decoded.

use super::Session;
use crate::runtime::{ENGINE, N_BATCH, cpu, kernels, prefix::PIECE};
use std::ops::Range;

impl Session<'_> {
    /// Exports the state of the tokens at `range`, if `wants` is true for its size in bytes. `None` also if
    /// llama.cpp fails.
    ///
    /// The session's tokens and logits do not change. A recurrent state is that after the last token, so the range must
    /// end there if the model has one.
    pub fn state(&mut self, range: Range<usize>, wants: impl FnOnce(usize) -> bool) -> Option<Vec<u8>> {
        let n_past = self.sequence.n_past;
        let is_whole = self.context.can_be_cut || range.end == n_past;
        let is_here = !range.is_empty() && range.end <= n_past && is_whole;
        let id = self.sequence.id;
        is_here.then(|| self.context.with(|raw| raw.state(id, range, wants))).flatten()
    }

    /// Appends `tokens` by importing their `state`, which [`Session::state`] exported after the same tokens in
    /// a session of the same model and [`setting`](Session::setting). Returns `false`, and changes nothing, if
    /// llama.cpp refuses it. There are no logits until the next [`Session::append`].
    ///
    /// llama.cpp checks the length of `state` and its shape, but not the numbers in it: the caller must trust
    /// its origin.
    pub fn restore(&mut self, tokens: &[i32], state: &[u8]) -> bool {
        let Session { context, sequence } = self;
        let room = context.n_ctx - sequence.n_past;
        if tokens.is_empty() || tokens.len() > room || sequence.forget_guesses(context).is_err() {
            return false;
        }
        let end = sequence.n_past + tokens.len();
        let taken = context.with(|raw| raw.restore(sequence.id, sequence.n_past..end, state));
        if taken {
            sequence.logits = None;
            sequence.n_past = end;
            sequence.tokens.extend_from_slice(tokens);
        }
        taken
    }

    /// The settings that affect the bits of a state, beside the model and its load options: engine, kernels,
    /// CPU features, attention algorithm, KV cache type, threads, the splitting of prompts, and whether others are decoded
    /// with them.
    pub fn setting(&self) -> String {
        format!(
            "{ENGINE}; {} on {}; flash attention {}; kv {}; rope of the model; {} threads; batches of {N_BATCH} by \
             {}; pieces of {PIECE} after ends of turns{}",
            kernels::name(),
            cpu::features(),
            if self.context.options.uses_flash_attention() { "on" } else { "off" },
            self.context.options.kv_type.name,
            self.context.threads,
            self.context.options.n_ubatch(),
            if self.is_shared() { "; beside others" } else { "" },
        )
    }
}
