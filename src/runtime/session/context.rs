//! The context that a sequence lives in: its own, or one that it shares.

use super::Options;
use super::open::{ThreadPool, open};
use super::schedule::Round;
use super::shared::{Cells, SharedContext};
use crate::runtime::{
    Error, Model,
    ffi::{self, Context, Part},
    kernels,
};
use std::sync::{Arc, MutexGuard};

/// A context with the properties that its sequences depend on.
pub(super) struct SessionContext<'m> {
    memory: Memory<'m>,
    pub n_vocab: usize,
    /// Length in tokens, for one sequence.
    pub n_ctx: usize,
    pub threads: usize,
    pub options: Options,
    /// True if a sequence can be cut after any token, as drafts need it; otherwise after its checkpoints.
    pub can_be_cut: bool,
    /// True if several tokens that are decoded together get the bits that each would get by itself, up to
    /// [`EXACT_BATCH`](crate::runtime::kernels::EXACT_BATCH) of them.
    pub decodes_alike: bool,
    /// Number of decodes so far: logits belong to the last one.
    pub decodes: u64,
}

enum Memory<'m> {
    Own(Context<'m>),
    Shared {
        context: Arc<SharedContext<'m>>,
        /// Logits of the last decode.
        rows: Vec<f32>,
        /// Index of the token in it whose logits come first.
        first: usize,
        round: Round,
        /// Tokens of the sequence in it.
        own: usize,
    },
}

/// llama.cpp's context, while it is used.
enum Used<'c, 'm> {
    Own(&'c mut Context<'m>),
    Shared(MutexGuard<'c, Cells<'m>>),
}

impl<'m> SessionContext<'m> {
    /// Creates a context of `n_ctx` tokens for one sequence.
    ///
    /// # Errors
    /// As [`Session::new`](super::Session::new), but for the length.
    pub fn new(
        model: &'m Model,
        n_ctx: usize,
        options: &Options,
        pool: ThreadPool,
    ) -> Result<SessionContext<'m>, Error> {
        let (raw, threads) = open(model, (1, n_ctx), options, pool)?;
        let can_be_cut = ffi::can_be_cut(&model.weights);
        // Recurrent states of several tokens are computed in other ways than those of one.
        let decodes_alike =
            can_be_cut && !options.uses_flash_attention() && kernels::decode_alike(model.header());
        Ok(SessionContext {
            memory: Memory::Own(raw),
            n_vocab: model.vocabulary().n_vocab(),
            n_ctx,
            threads,
            options: *options,
            can_be_cut,
            decodes_alike,
            decodes: 0,
        })
    }

    /// A place in a context that is shared.
    pub fn shared(context: Arc<SharedContext<'m>>) -> SessionContext<'m> {
        let SharedContext { n_vocab, n_ctx, threads, options, can_be_cut, .. } = *context;
        let memory = Memory::Shared { context, rows: Vec::new(), first: 0, round: Round::default(), own: 0 };
        SessionContext {
            memory,
            n_vocab,
            n_ctx,
            threads,
            options,
            can_be_cut,
            decodes_alike: false,
            decodes: 0,
        }
    }

    /// The context that other sequences share; `None` for an own one.
    pub fn others(&self) -> Option<&SharedContext<'m>> {
        match &self.memory {
            Memory::Own(_) => None,
            Memory::Shared { context, .. } => Some(context),
        }
    }

    /// The last decode, if others may have a part in it, and the tokens of the sequence in it.
    pub fn round(&self) -> Option<(Round, usize)> {
        match &self.memory {
            Memory::Own(_) => None,
            Memory::Shared { round, own, .. } => Some((*round, *own)),
        }
    }

    /// Most tokens in one decode: llama.cpp may have reduced the requested number.
    pub fn n_batch(&self) -> usize {
        match &self.memory {
            Memory::Own(raw) => raw.n_batch(),
            Memory::Shared { context, .. } => context.n_batch(),
        }
    }

    /// Decodes `tokens` of a sequence, with logits after those from the index `wants_from` on.
    ///
    /// # Errors
    /// [`Error::Decode`] if llama.cpp fails.
    pub fn decode(
        &mut self,
        seq_id: i32,
        tokens: &[i32],
        position: usize,
        wants_from: usize,
    ) -> Result<(), Error> {
        self.decodes += 1;
        match &mut self.memory {
            Memory::Own(raw) => raw
                .decode(&[Part { seq_id, tokens, position, wants_from }])
                .map_err(|code| Error::Decode { code }),
            Memory::Shared { context, rows, first, round, own } => {
                let finished = context.decode(seq_id, tokens, position, wants_from)?;
                (*rows, *first) = (finished.rows, wants_from);
                (*round, *own) = (finished.round, tokens.len().min(finished.round.rows));
                Ok(())
            }
        }
    }

    /// The logits after a token of the last decode; `None` if they were not asked for.
    pub fn logits(&self, row: usize) -> Option<&[f32]> {
        match &self.memory {
            Memory::Own(raw) => raw.logits(row, self.n_vocab),
            Memory::Shared { rows, first, .. } => {
                let start = row.checked_sub(*first)?.checked_mul(self.n_vocab)?;
                rows.get(start..start.checked_add(self.n_vocab)?)
            }
        }
    }

    /// Removes the tokens of a sequence from `position` on; `false` if the model's memory cannot be cut there.
    pub fn cut(&mut self, seq_id: i32, position: usize) -> bool {
        self.withdraw(seq_id, position).raw().cut(seq_id, position)
    }

    /// Removes all tokens of a sequence.
    pub fn clear(&mut self, seq_id: i32) {
        self.withdraw(seq_id, 0).raw().clear(seq_id);
    }

    /// As [`Context::cut_to`].
    pub fn cut_to(&mut self, seq_id: i32, position: usize, state: &[u8]) -> bool {
        self.withdraw(seq_id, position).raw().cut_to(seq_id, position, state)
    }

    /// Gives llama.cpp's context to `work`, while no other sequence uses it.
    pub fn with<T>(&mut self, work: impl FnOnce(&mut Context<'m>) -> T) -> T {
        work(self.used().raw())
    }

    fn used(&mut self) -> Used<'_, 'm> {
        match &mut self.memory {
            Memory::Own(raw) => Used::Own(raw),
            Memory::Shared { context, .. } => Used::Shared(context.cells()),
        }
    }

    /// The context, after others were told that a sequence keeps its first `n_past` tokens alone.
    fn withdraw(&mut self, seq_id: i32, n_past: usize) -> Used<'_, 'm> {
        let mut used = self.used();
        if let Used::Shared(cells) = &mut used {
            cells.withdraw(seq_id, n_past);
        }
        used
    }
}

impl<'m> Used<'_, 'm> {
    fn raw(&mut self) -> &mut Context<'m> {
        match self {
            Used::Own(raw) => raw,
            Used::Shared(cells) => &mut cells.raw,
        }
    }
}
