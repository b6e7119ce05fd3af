//! Creation of llama.cpp contexts.

use super::Options;
use crate::runtime::{
    Error, Model, backend, cpu,
    ffi::{Context, Params},
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

/// Creates a context of `n_ctx` tokens for `n_seq` sequences together, and gives it with its number of threads.
///
/// # Errors
/// As [`Session::new`](super::Session::new), but for the length.
pub(super) fn open<'m>(
    model: &'m Model,
    (n_seq, n_ctx): (usize, usize),
    options: &Options,
    pool: ThreadPool,
) -> Result<(Context<'m>, usize), Error> {
    let threads = cpu::startable(cpu::threads(options.threads)?);
    if !options.uses_flash_attention() && !options.kv_type.ggml_type.is_float() {
        return Err(Error::FlashAttention { kv_type: options.kv_type.name });
    }
    let params = Params {
        n_ctx: u32::try_from(n_ctx).unwrap_or(u32::MAX),
        n_seq: u32::try_from(n_seq).unwrap_or(u32::MAX),
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
    Ok((raw, threads))
}
