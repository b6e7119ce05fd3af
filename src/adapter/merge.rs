//! Adapters merged into a base: a checkpoint whose changed tensors are computed while they are read.

use super::{
    Error,
    apply::Application,
    base::{other_base, quantized_base},
    evidence,
    folder::Adapter,
    model::Model,
    module::Module,
    reader::Reader,
    steps::{Computed, Mode},
    vocabulary,
};
use crate::checkpoint::{Checkpoint, Identity, Overlay, OverlayReader, OverlaySource, Shards};
use std::sync::Arc;

/// Adapters and the steps of each tensor that they change.
#[derive(Debug)]
pub struct Merge {
    mode: Mode,
    pub(super) adapters: Vec<Adapter>,
    sources: Vec<OverlaySource>,
    pub(super) tensors: Vec<Computed>,
    modules: Vec<Module>,
}

/// A merged checkpoint.
#[derive(Debug)]
pub struct Merged {
    /// The checkpoint: the base's files, and the changes over them.
    pub checkpoint: Checkpoint,
    /// The changes.
    pub merge: Arc<Merge>,
}

/// Merges `adapters` into `base`, one after the other. No weights are computed before they are read.
///
/// The result is named after the adapters. The last adapter with a tokenizer brings that of the result.
///
/// # Errors
/// An adapter that does not fit the base, or that changes nothing.
pub fn merge(mut base: Checkpoint, adapters: Vec<Adapter>, mode: Mode) -> Result<Merged, Error> {
    let mut model = Model::new(&base)?;
    let mut modules = Vec::new();
    for (index, adapter) in adapters.iter().enumerate() {
        vocabulary::check(adapter, &base.dir)?;
        model.warnings.extend(quantized_base(adapter, &base.dir));
        model.warnings.extend(other_base(adapter, &base.dir));
        modules.extend(Application::new(&mut model, &base.shards, index, adapter, mode).run()?);
    }
    let evidence = evidence::merged_already(&base.shards, &adapters, &model, &modules)?;
    model.warnings.extend(evidence);
    let tensors = model.finish(&mut base, mode);
    base.identity = identity(&base, &adapters);
    let sources =
        adapters.iter().map(|adapter| OverlaySource { dir: adapter.dir.clone(), files: adapter.files() });
    let merge = Arc::new(Merge { mode, sources: sources.collect(), adapters, tensors, modules });
    base.overlay = Some(Arc::clone(&merge) as Arc<dyn Overlay>);
    Ok(Merged { checkpoint: base, merge })
}

fn identity(base: &Checkpoint, adapters: &[Adapter]) -> Identity {
    let last = |has: fn(&Adapter) -> bool| {
        let adapter = adapters.iter().rev().find(|adapter| has(adapter));
        adapter.map_or(&base.dir, |adapter| &adapter.dir).clone()
    };
    Identity {
        tokenizer: last(Adapter::has_tokenizer),
        card: last(|adapter| adapter.dir.join("README.md").is_file()),
        named_after: adapters.iter().map(|adapter| adapter.dir.clone()).collect(),
    }
}

impl Merge {
    /// The adapters, in the order of the merge.
    pub fn adapters(&self) -> &[Adapter] {
        &self.adapters
    }

    /// The arithmetic.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The modules with LoRA, adapter by adapter.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }
}

impl Overlay for Merge {
    fn reader<'a>(&'a self, shards: &'a Shards) -> Box<dyn OverlayReader + 'a> {
        Box::new(Reader::new(shards, &self.adapters, &self.tensors))
    }

    fn sources(&self) -> &[OverlaySource] {
        &self.sources
    }

    fn method(&self) -> &'static str {
        self.mode.name()
    }
}
