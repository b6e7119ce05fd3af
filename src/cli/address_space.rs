//! Checks of the limit on the address space (`ulimit -v`) before llama.cpp or the allocator ends the process by it.

use edgecall::{
    gguf::Gguf,
    memory::{self, AddressSpaceError, PlannedRun},
    runtime::{LoadOptions, Options},
};

/// Stacks of the threads that read tools, templates and data, which are given back before a model is loaded.
pub const READING_BYTES: u64 = 80 << 20;

/// Checks that this process may address what the model of `header` and `contexts` contexts of `n_ctx` tokens take.
///
/// # Errors
/// [`AddressSpaceError`].
pub fn check(
    header: &Gguf,
    load: LoadOptions,
    session: &Options,
    (contexts, n_ctx): (u64, u64),
) -> Result<(), AddressSpaceError> {
    let run = PlannedRun {
        header,
        is_repacked: load.is_repacked(),
        kv_type: session.kv_type,
        flash_attention: session.flash_attention,
        n_prompt: n_ctx,
        n_ctx,
        n_ctx_is_asked: false,
    };
    let need = run.need().unwrap_or_default();
    let of_contexts = need.kv.saturating_add(need.compute).saturating_mul(contexts);
    memory::check_address_space(need.mapped.saturating_add(need.copied).saturating_add(of_contexts))
}
