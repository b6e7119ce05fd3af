//! One adapter applied to a model: which of its tensors count, and what each of them does.
//!
//! A tensor that peft would not load is left out here, too, and the user is told.

use super::{
    Error,
    error::Bases,
    evidence::has_first_magnitudes,
    fields,
    folder::Adapter,
    keys::Part,
    model::Model,
    module::Module,
    pattern::PatternError,
    steps::{Mode, Start, Step},
    targets::{EMBEDDING_MODULE, HEAD_MODULE},
};
use crate::{
    arch::{EMBEDDING, HEAD},
    checkpoint::{Shards, SourceTensor},
    display::few,
};
use std::collections::{BTreeMap, BTreeSet};

/// An adapter on its way into a model.
pub(super) struct Application<'a> {
    pub(super) model: &'a mut Model,
    /// The base's files.
    pub(super) base: &'a Shards,
    /// Number of the adapter.
    pub(super) index: usize,
    pub(super) adapter: &'a Adapter,
    pub(super) mode: Mode,
    pub(super) modules: Vec<Module>,
    /// Tensors that peft would not load.
    pub(super) dropped: Vec<String>,
    /// Trained tensors that the base has already.
    pub(super) already: Vec<String>,
    /// Copies of the base's tensors that differ from them.
    pub(super) other_copies: Vec<String>,
    /// True if something besides LoRA changes.
    pub(super) has_other_effect: bool,
}

/// A module's tensors by part.
pub(super) type Parts = BTreeMap<Part, SourceTensor>;

impl<'a> Application<'a> {
    pub(super) fn new(
        model: &'a mut Model,
        base: &'a Shards,
        index: usize,
        adapter: &'a Adapter,
        mode: Mode,
    ) -> Application<'a> {
        Application {
            model,
            base,
            index,
            adapter,
            mode,
            modules: Vec::new(),
            dropped: Vec::new(),
            already: Vec::new(),
            other_copies: Vec::new(),
            has_other_effect: false,
        }
    }

    /// Adds the adapter's steps to the model. Returns the modules with LoRA.
    ///
    /// # Errors
    /// An adapter that does not fit the base, or that changes nothing.
    pub(super) fn run(mut self) -> Result<Vec<Module>, Error> {
        self.model.warnings.extend(self.adapter.warnings.iter().cloned());
        let wrapped = self.wrapped()?;
        self.check_layers(&wrapped)?;
        self.break_tie();
        self.whole_tensors(&wrapped)?;
        self.token_rows()?;
        self.lora(&wrapped)?;
        self.check_effect()?;
        self.check_vocabulary()?;
        self.tell_of_tensors();
        Ok(self.modules)
    }

    /// Tells of tensors that are left out, and of those that do not belong to this base.
    fn tell_of_tensors(&mut self) {
        let (dropped, already) = (std::mem::take(&mut self.dropped), std::mem::take(&mut self.already));
        let other_copies = std::mem::take(&mut self.other_copies);
        if !dropped.is_empty() {
            self.warn(&format!(
                "tensors of modules that adapter_config.json does not target are left out, as peft does without a \
                 word: {}",
                few(&dropped)
            ));
        }
        if !already.is_empty() {
            self.warn(&format!(
                "the base has these trained tensors already: {}; is the adapter merged into it, or are they untrained?",
                few(&already)
            ));
        }
        if !other_copies.is_empty() {
            self.warn(&format!(
                "the adapter's copies of the base's tensors differ from the base's, and replace them: {}; is this the \
                 model that it was trained on?",
                few(&other_copies)
            ));
        }
    }

    pub(super) fn warn(&mut self, problem: &str) {
        self.model.warnings.push(format!("{}: {problem}", self.adapter.dir.display()));
    }

    /// The modules of the base that get LoRA by the config.
    fn wrapped(&self) -> Result<BTreeSet<String>, Error> {
        let mut wrapped = BTreeSet::new();
        for module in self.model.modules() {
            if self.is_target(&module)? {
                wrapped.insert(module);
            }
        }
        if self.adapter.config.ensure_weight_tying && self.model.is_tied && wrapped.contains(EMBEDDING_MODULE)
        {
            wrapped.insert(HEAD_MODULE.to_owned());
        }
        Ok(wrapped)
    }

    pub(super) fn is_target(&self, module: &str) -> Result<bool, Error> {
        self.adapter.config.targets.contain(module).map_err(|error| self.slow(error))
    }

    pub(super) fn slow(&self, source: PatternError) -> Error {
        let path = self.adapter.dir.join("adapter_config.json");
        Error::Config { path, source: fields::Error::Slow(source) }
    }

    /// Refuses a base whose last layers the adapter does not know.
    fn check_layers(&mut self, wrapped: &BTreeSet<String>) -> Result<(), Error> {
        let is_trained = |module: &String| self.adapter.modules.get(module).is_some_and(has_lora);
        let (trained, untrained): (Vec<&String>, Vec<&String>) =
            wrapped.iter().partition(|module| is_trained(module));
        if trained.is_empty() || untrained.is_empty() {
            return Ok(());
        }
        let layers: BTreeSet<u64> = trained.iter().filter_map(|module| layer_of(module)).collect();
        let missing: BTreeSet<u64> = untrained
            .iter()
            .filter_map(|module| layer_of(module))
            .filter(|layer| !layers.contains(layer))
            .collect();
        if let (Some(&first), Some(&last), false) = (missing.first(), missing.last(), layers.is_empty()) {
            let (path, base) = (self.adapter.dir.clone(), self.model.dir.clone());
            return Err(Error::MissingLayers { path, base, first, last, name: self.base_name() });
        }
        let untrained: Vec<String> = untrained.into_iter().cloned().collect();
        self.warn(&format!(
            "adapter_config.json targets modules that the file has nothing for, and they stay as they are: {}",
            few(&untrained)
        ));
        Ok(())
    }

    pub(super) fn base_name(&self) -> Option<String> {
        self.adapter.base_name().map(str::to_owned)
    }

    pub(super) fn missing(&self, modules: Vec<String>) -> Error {
        let (path, base) = (self.adapter.dir.clone(), self.model.dir.clone());
        Error::MissingModules { path, base, modules, name: self.base_name() }
    }

    pub(super) fn shape(&self, tensor: &SourceTensor, expected: Vec<u64>) -> Error {
        let bases = Box::new(Bases { given: self.model.dir.clone(), named: self.base_name() });
        let (tensor, found) = (tensor.name.clone(), tensor.shape.clone());
        Error::Shape { path: self.adapter.dir.clone(), tensor, found, expected, bases }
    }

    /// Refuses an adapter that leaves every weight as it is.
    fn check_effect(&self) -> Result<(), Error> {
        let no_effect = |reason| Error::NoEffect { path: self.adapter.dir.clone(), reason };
        if self.has_other_effect {
            return Ok(());
        }
        if self.modules.is_empty() {
            return Err(no_effect("no tensor of its file belongs to a module that its config targets"));
        }
        if self.modules.iter().all(|module| module.scale == 0.0 && module.kind == "lora") {
            return Err(no_effect("`lora_alpha` is 0"));
        }
        for module in &self.modules {
            if self.has_effect(module)? {
                return Ok(());
            }
        }
        Err(no_effect("every lora_B is zero, as before the training"))
    }

    /// True if a module's matrices, or its magnitudes, change anything.
    fn has_effect(&self, module: &Module) -> Result<bool, Error> {
        let draft = &self.model.drafts[&module.tensor];
        let shards = &self.adapter.shards;
        let (lora, magnitude) = match &draft.steps[module.step] {
            Step::Matrix(lora) | Step::Embedding(lora) => (lora, None),
            Step::Dora(lora, magnitude) => (lora, Some(magnitude)),
            Step::Bias { .. } | Step::Rows { .. } => return Ok(true),
        };
        if module.scale != 0.0 && !lora.is_zero(shards)? {
            return Ok(true);
        }
        Ok(match (magnitude, &draft.start) {
            (None, _) => false,
            (Some(magnitude), Start::Base(tensor)) => {
                !has_first_magnitudes(self.base, tensor, shards, magnitude)?
            }
            (Some(_), Start::Adapter { .. }) => true,
        })
    }

    /// Refuses an embedding and a head of different sizes.
    fn check_vocabulary(&self) -> Result<(), Error> {
        let (Some(embedding), Some(head)) = (self.model.drafts.get(EMBEDDING), self.model.drafts.get(HEAD))
        else {
            return Ok(());
        };
        match &head.start {
            _ if head.tensor.shape == embedding.tensor.shape => Ok(()),
            Start::Adapter { tensor, .. } => Err(self.shape(tensor, embedding.tensor.shape.clone())),
            Start::Base(_) => match &embedding.start {
                Start::Adapter { tensor, .. } => Err(self.shape(tensor, head.tensor.shape.clone())),
                Start::Base(_) => Ok(()),
            },
        }
    }
}

/// True if a module has a part of LoRA.
pub(super) fn has_lora(parts: &Parts) -> bool {
    parts.keys().any(|part| is_lora(*part))
}

pub(super) fn is_lora(part: Part) -> bool {
    use Part::{A, B, BiasOfB, EmbeddingA, EmbeddingB, Magnitude};
    matches!(part, A | B | BiasOfB | EmbeddingA | EmbeddingB | Magnitude)
}

/// The number of a module's layer.
fn layer_of(module: &str) -> Option<u64> {
    module.split_once("layers.")?.1.split('.').next()?.parse().ok()
}
