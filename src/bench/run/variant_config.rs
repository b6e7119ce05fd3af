//! A model with its runtime options; it makes one row for each case in each mode.

use super::{LoadedModel, Settings};
use crate::{
    bench::{
        Result,
        row::{Mode, Role, Variant},
    },
    runtime::{self, Options},
};

/// Version of the decoding rules, part of every row's key: rows of different rules are never mixed.
///
/// Raise it with any change after which the same file, prompt and settings may give other tokens or other
/// probabilities: the split of prompts into pieces, the reuse of cache cells, the tokens that the grammar forces or
/// allows and how they are decoded, the choice between equally likely tokens, the text on which probabilities are
/// measured. Changes that the key already covers need no new number: the engine's build, the prompt's text, settings.
pub const RULES: u32 = 2;

/// A model with its runtime options and role.
#[derive(Clone, Copy)]
pub struct VariantConfig<'s> {
    /// The model, loaded with or without repacked weights.
    pub loaded: &'s LoadedModel,
    /// Threads, KV cache and batches; the context size follows from the data.
    pub session: Options,
    /// Role in the comparison; at most one is the reference.
    pub role: Role,
}

impl VariantConfig<'_> {
    /// Number of threads.
    ///
    /// # Errors
    /// More threads than CPUs.
    pub fn threads(&self) -> Result<usize> {
        Ok(runtime::cpu::threads(self.session.threads)?)
    }

    /// Variant of its rows in a mode.
    pub fn variant(&self, mode: Mode, settings: &Settings, threads: usize) -> Variant {
        Variant {
            file_sha256: self.loaded.sha256.clone(),
            mode,
            max_tokens: settings.max_tokens,
            kv_type: self.session.kv_type.name.to_owned(),
            repack: self.loaded.load_options.repack,
            threads,
            n_ubatch: self.session.n_ubatch(),
            flash_attention: self.session.uses_flash_attention(),
            engine: format!("edgecall {}, {}", env!("CARGO_PKG_VERSION"), runtime::ENGINE),
            rules: RULES,
            changed: settings.calls.changed(),
            endpoint: None,
        }
    }
}
