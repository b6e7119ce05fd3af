//! One sequence of tokens in a llama.cpp context: prefill, decode, logits.
//!
//! Properties of the context and of the sequence are kept apart, in a file each: a session has a context of its own, or
//! shares one with others, and the sequence knows nothing of that.
//!
//! ```text
//! Session -> SequenceState -> SessionContext -> llama.cpp's context
//!                                            -> SharedContext, Schedule -> llama.cpp's context
//! ```

mod checkpoints;
mod context;
mod open;
mod schedule;
mod sequence;
mod several;
mod shared;
mod state;

pub use open::N_BATCH;

use super::{Error, Model, kernels::EXACT_BATCH};
use crate::gguf::{FlashAttention, KvType};
use context::SessionContext;
use open::ThreadPool;
use sequence::SequenceState;
use std::num::NonZeroUsize;

/// `seq_id` of the only sequence in a session's context.
const SEQ_ID: i32 = 0;
/// llama.cpp rounds the context length up to a multiple of this.
const CONTEXT_STEP: usize = 256;

/// Noise of batches, in standard deviations of the logits.
const NOISE: f32 = 0.1;

/// Options of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Context length in tokens; `None` is what the prompt and the budget need.
    pub n_ctx: Option<NonZeroUsize>,
    /// Number of threads; `None` is one for each physical core that this process may use.
    pub threads: Option<NonZeroUsize>,
    /// The KV cache's type.
    pub kv_type: KvType,
    /// Most tokens that llama.cpp computes at once; longer decodes are split. `None` is [`N_BATCH`].
    pub n_ubatch: Option<NonZeroUsize>,
    /// Attention algorithm.
    pub flash_attention: FlashAttention,
}

impl Options {
    /// True if flash attention is used.
    pub fn uses_flash_attention(&self) -> bool {
        self.flash_attention.is_used(self.kv_type.ggml_type)
    }

    /// Most tokens that llama.cpp computes at once: the requested number, at most [`N_BATCH`].
    pub fn n_ubatch(&self) -> usize {
        self.n_ubatch.map_or(N_BATCH, |n| n.get().min(N_BATCH))
    }
}

/// A context and the sequence of tokens that was decoded in it.
pub struct Session<'m> {
    context: SessionContext<'m>,
    sequence: SequenceState,
}

impl<'m> Session<'m> {
    /// Creates a context for a prompt of `n_prompt` tokens and an answer of at most `budget`. Its length is
    /// their sum rounded up to 256, at most the model's training context, unless `options.n_ctx` is set.
    ///
    /// # Errors
    /// [`Error::PromptTooLong`] if the prompt leaves no room for a single token, [`Error::ContextTooLong`] if
    /// `options.n_ctx` exceeds the model's training context, [`Error::Threads`] if `options.threads` exceeds
    /// the CPUs, [`Error::FlashAttention`] if `options` combine a quantized KV cache with flash attention off,
    /// [`Error::Context`] if llama.cpp cannot create the context (no memory, a KV type that does not fit the
    /// heads).
    pub fn new(
        model: &'m Model,
        n_prompt: usize,
        budget: usize,
        options: &Options,
    ) -> Result<Session<'m>, Error> {
        Session::with_pool(model, n_prompt, budget, options, ThreadPool::Kept)
    }

    fn with_pool(
        model: &'m Model,
        n_prompt: usize,
        budget: usize,
        options: &Options,
        pool: ThreadPool,
    ) -> Result<Session<'m>, Error> {
        let n_ctx = Session::context_length(model, n_prompt, budget, options)?;
        let context = SessionContext::new(model, n_ctx, options, pool)?;
        Ok(Session { context, sequence: SequenceState::new(SEQ_ID) })
    }

    /// Like [`Session::new`], but without a thread pool: llama.cpp starts new threads for each decode. For
    /// comparisons.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn bare(
        model: &'m Model,
        n_prompt: usize,
        budget: usize,
        options: &Options,
    ) -> Result<Session<'m>, Error> {
        Session::with_pool(model, n_prompt, budget, options, ThreadPool::None)
    }

    /// Context length that [`Session::new`] would use, in tokens.
    ///
    /// # Errors
    /// [`Error::PromptTooLong`] and [`Error::ContextTooLong`], as [`Session::new`].
    pub fn context_length(
        model: &Model,
        n_prompt: usize,
        budget: usize,
        options: &Options,
    ) -> Result<usize, Error> {
        context_length(n_prompt, budget, options.n_ctx, model.n_ctx_train())
    }

    /// The context's length in tokens.
    pub fn n_ctx(&self) -> usize {
        self.context.n_ctx
    }

    /// llama.cpp's id of the sequence in its context.
    pub fn seq_id(&self) -> i32 {
        self.sequence.id
    }

    /// Number of tokens in the sequence.
    pub fn n_past(&self) -> usize {
        self.sequence.n_past
    }

    /// Number of compute threads.
    pub fn threads(&self) -> usize {
        self.context.threads
    }

    /// Appends `tokens`, in batches, and computes the logits after the last one.
    ///
    /// # Errors
    /// [`Error::ContextFull`] if they do not fit, [`Error::Decode`] if llama.cpp fails.
    pub fn append(&mut self, tokens: &[i32]) -> Result<(), Error> {
        self.append_drafted(tokens, &[]).map(drop)
    }

    /// Like [`Session::append`], and decodes `draft`, a guess at the next tokens, in the same batch. Drafted
    /// tokens that turn out to come next cost nothing when they are appended. Returns the number of tokens
    /// decoded, drafted ones included.
    ///
    /// The draft is truncated to the room in the context and in the batch of `tokens`. It is dropped if the
    /// model's memory cannot be cut.
    ///
    /// # Errors
    /// As [`Session::append`].
    pub fn append_drafted(&mut self, tokens: &[i32], draft: &[i32]) -> Result<usize, Error> {
        self.sequence.append(&mut self.context, tokens, draft)
    }

    /// Drafted tokens that were decoded and may still come next.
    pub fn ahead(&self) -> &[i32] {
        &self.sequence.ahead
    }

    /// The logits after the last token, one per token of the vocabulary; empty before the first.
    pub fn logits(&self) -> &[f32] {
        self.sequence.logits(&self.context)
    }

    /// Distance of the two largest logits below which decoding several tokens together may swap them; 0 if it changes
    /// no bit, without logits, and in a context that is shared, where no token has the bits of exact decoding.
    pub fn noise(&self) -> f32 {
        if self.context.decodes_alike || self.is_shared() { 0.0 } else { NOISE * deviation(self.logits()) }
    }

    /// Most tokens to decode together in an answer: with more, the bits would be others.
    pub fn most_together(&self) -> usize {
        if self.context.decodes_alike { EXACT_BATCH } else { N_BATCH }
    }

    /// True if drafts can be verified: their tokens can be removed from the model's memory again.
    pub fn can_draft(&self) -> bool {
        self.context.can_be_cut
    }

    /// Removes all but the first `n_past` tokens, at least one. The last kept token is decoded again for its
    /// logits; if the model's memory cannot be cut, so are all tokens since the last checkpoint before it.
    ///
    /// # Errors
    /// [`Error::Rewind`] for no tokens, [`Error::Decode`] if llama.cpp fails.
    pub fn rewind(&mut self, n_past: usize) -> Result<(), Error> {
        self.sequence.rewind(&mut self.context, n_past)
    }

    /// Removes all but the first `n_past` tokens without decoding, so the state of the kept ones does not
    /// change. There are no logits until the next [`Session::append`].
    ///
    /// # Errors
    /// [`Error::Rewind`] if the model's memory cannot be cut there; cutting to 0 always works.
    pub fn cut(&mut self, n_past: usize) -> Result<(), Error> {
        self.sequence.cut(&mut self.context, n_past)
    }

    /// True if [`Session::cut`] can cut to `n_past` tokens: everywhere, or at the checkpoints of a recurrent state.
    pub fn can_be_cut_at(&self, n_past: usize) -> bool {
        self.sequence.can_be_cut_at(&self.context, n_past)
    }

    /// Keeps a checkpoint after the last token, if the model's memory cannot be cut without one.
    pub fn keep_checkpoint(&mut self) {
        self.sequence.keep_checkpoint(&mut self.context);
    }
}

/// The standard deviation of the finite ones of `logits`; 0 without any.
fn deviation(logits: &[f32]) -> f32 {
    let finite = || logits.iter().filter(|logit| logit.is_finite()).map(|&logit| f64::from(logit));
    let n = finite().count().max(1) as f64;
    let mean = finite().sum::<f64>() / n;
    let variance = finite().map(|logit| (logit - mean).powi(2)).sum::<f64>() / n;
    variance.sqrt() as f32
}

fn context_length(
    n_prompt: usize,
    budget: usize,
    asked: Option<NonZeroUsize>,
    n_ctx_train: usize,
) -> Result<usize, Error> {
    let n_ctx = match asked.map(NonZeroUsize::get) {
        Some(n_ctx) if n_ctx > n_ctx_train => return Err(Error::ContextTooLong { n_ctx, n_ctx_train }),
        Some(n_ctx) => n_ctx,
        None => n_prompt
            .saturating_add(budget)
            .div_ceil(CONTEXT_STEP)
            .saturating_mul(CONTEXT_STEP)
            .min(n_ctx_train),
    };
    if n_prompt >= n_ctx { Err(Error::PromptTooLong { n_prompt, n_ctx, n_ctx_train }) } else { Ok(n_ctx) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_is_prompt_and_budget_rounded_up_and_never_more_than_the_models() {
        assert_eq!(context_length(100, 512, None, 40_960).unwrap(), 768);
        assert_eq!(context_length(256, 256, None, 40_960).unwrap(), 512);
        assert_eq!(context_length(4_000, 512, None, 4_096).unwrap(), 4_096);
        assert_eq!(context_length(10, usize::MAX, None, 4_096).unwrap(), 4_096);
        assert_eq!(context_length(10, 512, NonZeroUsize::new(64), 4_096).unwrap(), 64);
    }

    #[test]
    fn a_prompt_that_leaves_no_room_is_refused_with_the_counts() {
        let error = context_length(4_096, 512, None, 4_096).unwrap_err();
        assert!(error.to_string().contains("4096 tokens"), "{error}");
        assert_eq!(error.kind(), crate::kind::Kind::Data);
        assert!(context_length(64, 1, NonZeroUsize::new(64), 4_096).is_err());
    }

    #[test]
    fn a_context_beyond_the_models_training_is_refused() {
        let error = context_length(10, 512, NonZeroUsize::new(5_000), 4_096).unwrap_err();
        assert_eq!(error.kind(), crate::kind::Kind::Usage);
    }
}
