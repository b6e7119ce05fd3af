//! Export and import of the state of a range of tokens, and checkpoints of recurrent states.
//!
//! llama.cpp exports the state of a whole sequence only. So the tokens of the range are copied to one more
//! sequence, whose state is that of the range. For import, a state is read into that sequence and then
//! shared with the one that wants it. The tokens occupy the same cells as if they had been decoded piece by piece.
//!
//! A recurrent state is that after the last token, whatever the range. So a range of such a model is exported when its
//! last token is the sequence's, and the state takes the place of the one before when it is imported.

use super::Context;
use llama_cpp_sys_2 as sys;
use std::ops::Range;

/// Flags for the complete state of a sequence, in host memory.
const WHOLE: sys::llama_state_seq_flags = 0;
/// Flags for the recurrent part alone: `LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY`, a macro that the bindings leave out.
const RECURRENT: sys::llama_state_seq_flags = 1;

impl Context<'_> {
    /// Exports the state of the tokens at `range` of a sequence, if `wants` is true for its size in bytes and llama.cpp
    /// succeeds.
    pub fn state(
        &mut self,
        seq_id: i32,
        range: Range<usize>,
        wants: impl FnOnce(usize) -> bool,
    ) -> Option<Vec<u8>> {
        let (start, end) = (i32::try_from(range.start).ok()?, i32::try_from(range.end).ok()?);
        let passage = self.passage()?;
        let context = self.raw.as_ptr();
        // SAFETY: a live context with both sequences in one memory; llama.cpp checks the positions.
        unsafe { sys::llama_memory_seq_cp(sys::llama_get_memory(context), seq_id, passage, start, end) };
        let state = self.export(passage, WHOLE, wants);
        self.clear_passage(passage);
        state
    }

    /// Exports the recurrent part of the state of a sequence; `None` if there is none, or if llama.cpp fails.
    pub fn recurrent_state(&mut self, seq_id: i32) -> Option<Vec<u8>> {
        self.is_recurrent.then(|| self.export(seq_id, RECURRENT, |_| true)).flatten()
    }

    fn export(
        &mut self,
        seq_id: i32,
        flags: sys::llama_state_seq_flags,
        wants: impl FnOnce(usize) -> bool,
    ) -> Option<Vec<u8>> {
        let context = self.raw.as_ptr();
        // SAFETY: a live context.
        let bytes = unsafe { sys::llama_state_seq_get_size_ext(context, seq_id, flags) };
        if !wants(bytes) {
            return None;
        }
        let mut state = vec![0; bytes];
        // SAFETY: llama.cpp writes no more than the length that is handed over with the pointer.
        let written =
            unsafe { sys::llama_state_seq_get_data_ext(context, state.as_mut_ptr(), bytes, seq_id, flags) };
        (written > 0 && written == bytes).then_some(state)
    }

    /// Removes the tokens of a sequence from `position` on and sets the recurrent part of its memory to `state`, which
    /// was exported when the sequence had that many tokens. If llama.cpp fails, the sequence is empty and the result
    /// `false`.
    ///
    /// llama.cpp removes no end of a sequence with a recurrent state. So the tokens that stay are shared with the other
    /// sequence while this one is emptied.
    pub fn cut_to(&mut self, seq_id: i32, position: usize, state: &[u8]) -> bool {
        let (Ok(end), Some(passage)) = (i32::try_from(position), self.passage()) else {
            self.clear(seq_id);
            return false;
        };
        let context = self.raw.as_ptr();
        // SAFETY: a live context with both sequences in one memory; llama.cpp checks the positions, and reads no more
        // of the state than the length that is handed over with the pointer.
        let read = unsafe {
            let memory = sys::llama_get_memory(context);
            sys::llama_memory_seq_cp(memory, seq_id, passage, 0, end);
            sys::llama_memory_seq_rm(memory, seq_id, -1, -1);
            sys::llama_memory_seq_cp(memory, passage, seq_id, -1, -1);
            sys::llama_memory_seq_rm(memory, passage, -1, -1);
            sys::llama_state_seq_set_data_ext(context, state.as_ptr(), state.len(), seq_id, RECURRENT)
        };
        // SAFETY: a live context's memory.
        let last = unsafe { sys::llama_memory_seq_pos_max(sys::llama_get_memory(context), seq_id) };
        let is_there = read > 0 && read == state.len() && last == end - 1;
        if !is_there {
            self.clear(seq_id);
        }
        is_there
    }

    /// Imports the `state` of tokens into the positions `range` of a sequence. Returns `false`, and changes nothing, if
    /// llama.cpp refuses it or if its positions differ.
    ///
    /// llama.cpp compares every length in it with its end, and every shape with the context's. Bytes of another
    /// origin are refused, or yield wrong numbers.
    pub fn restore(&mut self, seq_id: i32, range: Range<usize>, state: &[u8]) -> bool {
        let Some(passage) = self.passage() else { return false };
        let context = self.raw.as_ptr();
        // SAFETY: llama.cpp reads no more than the length that is handed over with the pointer.
        let read = unsafe {
            sys::llama_state_seq_set_data_ext(context, state.as_ptr(), state.len(), passage, WHOLE)
        };
        // SAFETY: a live context's memory.
        let (first, last) = unsafe {
            let memory = sys::llama_get_memory(context);
            (sys::llama_memory_seq_pos_min(memory, passage), sys::llama_memory_seq_pos_max(memory, passage))
        };
        let at = |position: i32, expected: usize| usize::try_from(position) == Ok(expected);
        // The first position of a recurrent state is its last, and llama.cpp tells the later of the two parts' first.
        let begins = at(first, range.start) || self.is_recurrent && at(first, range.end - 1);
        let taken = read > 0 && read == state.len() && begins && at(last, range.end - 1);
        if taken {
            // SAFETY: as in `state`.
            unsafe { sys::llama_memory_seq_cp(sys::llama_get_memory(context), passage, seq_id, -1, -1) };
        }
        self.clear_passage(passage);
        taken
    }

    /// The sequence for export and import, after all others; empty between the calls in this file. `None` for a
    /// context too short to have one.
    fn passage(&self) -> Option<i32> {
        (self.n_seq_max > self.n_seq).then(|| i32::try_from(self.n_seq).ok()).flatten()
    }

    fn clear_passage(&mut self, passage: i32) {
        // SAFETY: a live context's memory; a whole sequence can always be taken out.
        unsafe { sys::llama_memory_seq_rm(sys::llama_get_memory(self.raw.as_ptr()), passage, -1, -1) };
    }
}
