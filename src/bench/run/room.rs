//! Memory check of a run: all models, with their contexts. It runs before any model is loaded.

use super::{Settings, renderer::Renderer};
use crate::{
    bench::{Dataset, Error, Result},
    call::RenderedPrompt,
    machine::Machine,
    memory::{self, ContextNeed, ModelLoad},
    runtime::{Options, Trust, Vocabulary},
};
use std::path::Path;

/// Estimates the context size in tokens for the longest prompt of the data and an answer, with the vocabulary of the model
/// at `path`.
///
/// # Errors
/// A model without a vocabulary or a chat template.
pub fn context_length(path: &Path, trust: Trust, dataset: &Dataset, settings: &Settings) -> Result<usize> {
    let vocabulary = Vocabulary::load_with(path, trust)?;
    let renderer = Renderer::new(&vocabulary, dataset, &settings.calls)?;
    let mut longest = RenderedPrompt::default();
    for case in &dataset.cases {
        let text = renderer.prompt(case)?;
        if text.len() > longest.len() {
            longest = text;
        }
    }
    Ok(longest.tokenize(&vocabulary)?.len().saturating_add(settings.max_tokens))
}

/// Checks that `machine` has enough memory for `loads` and a context of `n_ctx` tokens for each of `sessions`, which hold
/// an index into `loads`.
///
/// # Errors
/// [`Error::Memory`], [`Error::AddressSpace`].
pub fn check(
    loads: &[ModelLoad<'_>],
    sessions: &[(usize, Options)],
    n_ctx: usize,
    machine: Machine,
) -> Result<(), Error> {
    let context = |(load, options): &(usize, Options)| ContextNeed {
        load: *load,
        n_ctx: n_ctx as u64,
        n_ubatch: options.n_ubatch() as u64,
        kv_type: options.kv_type.ggml_type,
        flash_attention: options.uses_flash_attention(),
    };
    let contexts: Vec<ContextNeed> = sessions.iter().map(context).collect();
    memory::models::check(loads, &contexts, machine)?;
    // llama.cpp aborts where a limit on the address space is reached.
    Ok(memory::check_address_space(memory::models::need(loads, &contexts).total())?)
}
