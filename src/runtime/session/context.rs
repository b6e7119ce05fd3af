//! A llama.cpp context with what all of its sequences share: model, length, threads, options.

use super::Options;
use crate::runtime::{
    Error, Model, backend, cpu,
    ffi::{self, Context, Params},
    log_capture,
};
use std::sync::Mutex;

/// Most tokens in one decode.
pub const N_BATCH: usize = 512;

/// Threads between two decodes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ThreadPool {
    /// Threads are kept, each pinned to a CPU.
    Kept,
    /// llama.cpp starts new threads for each decode.
    None,
}

/// A context that sequences are decoded in, one after the other or by turns.
pub(super) struct SessionContext<'m> {
    pub raw: Context<'m>,
    pub n_vocab: usize,
    /// Length in tokens, for all sequences together.
    pub n_ctx: usize,
    pub threads: usize,
    pub options: Options,
    /// True if a sequence can be cut after any token, as drafts need it; otherwise after its checkpoints.
    pub can_be_cut: bool,
    /// Number of decodes so far: logits belong to the last one.
    pub decodes: u64,
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
        let threads = cpu::startable(cpu::threads(options.threads)?);
        if !options.uses_flash_attention() && !options.kv_type.ggml_type.is_float() {
            return Err(Error::FlashAttention { kv_type: options.kv_type.name });
        }
        let params = Params {
            n_ctx: u32::try_from(n_ctx).unwrap_or(u32::MAX),
            n_seq: 1,
            n_batch: N_BATCH as u32,
            n_ubatch: options.n_ubatch() as u32,
            threads,
            keep_threads: pool == ThreadPool::Kept,
            kv_type: options.kv_type.ggml_type.id(),
            flash_attention: options.uses_flash_attention(),
        };
        // Creating a context writes to the model.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        backend()?;
        let guard = ONE_AT_A_TIME.lock();
        let (context, reason) = log_capture::capture(|| Context::new(&model.weights, &params));
        drop(guard);
        let raw = context.ok_or_else(|| Error::Context {
            n_ctx,
            kv_type: options.kv_type.name,
            reason: reason.unwrap_or_else(|| "it gives no reason".to_owned()),
        })?;
        Ok(SessionContext {
            raw,
            n_vocab: model.vocabulary().n_vocab(),
            n_ctx,
            threads,
            options: *options,
            can_be_cut: ffi::can_be_cut(&model.weights),
            decodes: 0,
        })
    }
}
