//! One adapter applied to a model: which of its tensors count, and what each of them does.
//!
//! A tensor that peft would not load is left out here, too, and the user is told.

use super::{
    Error,
    config::{self, TokenIndices},
    folder::Adapter,
    keys::Part,
    lora::Lora,
    model::Model,
    pattern::PatternError,
    product::LONGEST_CHAIN,
    steps::{Mode, Start, Step},
    targets::{EMBEDDING_MODULE, HEAD_MODULE, has_ending},
};
use crate::{
    arch::{EMBEDDING, HEAD},
    checkpoint::{Dtype, SourceTensor},
    display::few,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A module that an adapter changes by LoRA.
#[derive(Clone, Debug, Serialize)]
pub struct Module {
    /// Number of the adapter.
    pub adapter: usize,
    /// Its name.
    pub module: String,
    /// LoRA, or LoRA with DoRA's magnitudes.
    pub kind: &'static str,
    /// Rank of its matrices.
    pub rank: u64,
    /// Factor of their product.
    pub scale: f32,
    /// Frobenius norm of the change over that of the weights; `None` if it was not measured.
    pub relative_change: Option<f64>,
    /// The tensor that it changes.
    #[serde(skip)]
    pub(super) tensor: String,
    /// Its step of that tensor.
    #[serde(skip)]
    pub(super) step: usize,
}

/// An adapter on its way into a model.
pub(super) struct Application<'a> {
    pub(super) model: &'a mut Model,
    /// Number of the adapter.
    pub(super) index: usize,
    pub(super) adapter: &'a Adapter,
    pub(super) mode: Mode,
    pub(super) modules: Vec<Module>,
    /// Tensors that peft would not load.
    dropped: Vec<String>,
    /// True if something besides LoRA changes.
    has_other_effect: bool,
}

/// A module's tensors by part.
type Parts = BTreeMap<Part, SourceTensor>;

impl<'a> Application<'a> {
    pub(super) fn new(
        model: &'a mut Model,
        index: usize,
        adapter: &'a Adapter,
        mode: Mode,
    ) -> Application<'a> {
        Application {
            model,
            index,
            adapter,
            mode,
            modules: Vec::new(),
            dropped: Vec::new(),
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
        if !self.dropped.is_empty() {
            let dropped = std::mem::take(&mut self.dropped);
            self.warn(&format!(
                "tensors of modules that adapter_config.json does not target are left out, as peft does without a \
                 word: {}",
                few(&dropped)
            ));
        }
        Ok(self.modules)
    }

    fn warn(&mut self, problem: &str) {
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

    fn is_target(&self, module: &str) -> Result<bool, Error> {
        self.adapter.config.targets.contain(module).map_err(|error| self.slow(error))
    }

    fn slow(&self, source: PatternError) -> Error {
        let path = self.adapter.dir.join("adapter_config.json");
        Error::Config { path, source: config::Error::Slow(source) }
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

    fn base_name(&self) -> Option<String> {
        self.adapter.base_name().map(str::to_owned)
    }

    /// True if `module`, or one that holds it, is in `modules_to_save`.
    fn is_saved(&self, module: &str) -> bool {
        let ends = module.match_indices('.').map(|(at, _)| at).chain([module.len()]);
        ends.into_iter().any(|end| has_ending(&self.adapter.config.saved, &module[..end]))
    }

    /// The indices of trained tokens in `module`.
    fn indices(&self, module: &str) -> Option<&'a [u64]> {
        self.adapter.config.tokens.as_ref().and_then(|tokens| tokens.of_module(module))
    }

    /// True if `module` has trained tokens, or follows one that has.
    fn has_tokens(&self, module: &str) -> bool {
        let follows = module == HEAD_MODULE && self.model.is_tied;
        self.indices(module).is_some() || (follows && self.indices(EMBEDDING_MODULE).is_some())
    }

    /// Unties the head if the embedding or the head is saved as a whole.
    fn break_tie(&mut self) {
        let is_saved = self.is_saved(EMBEDDING_MODULE) || self.is_saved(HEAD_MODULE);
        if !self.model.is_tied || !is_saved || self.adapter.config.ensure_weight_tying {
            return;
        }
        self.model.untie();
        self.warn(
            "`modules_to_save` breaks the tie of the head and the embedding, as in peft: a matrix that the adapter \
             does not hold stays the base's, though the model was trained with one matrix for both",
        );
    }

    /// Puts whole tensors of the adapter in place of the base's.
    fn whole_tensors(&mut self, wrapped: &BTreeSet<String>) -> Result<(), Error> {
        let mut of_tied_head = None;
        let mut of_embedding = None;
        for (module, parts) in &self.adapter.modules {
            for (part, tensor) in parts {
                let is_plain = || !wrapped.contains(module) && !self.has_tokens(module);
                let (counts, end) = match part {
                    Part::Weight => (self.is_saved(module) || is_plain(), "weight"),
                    Part::Bias => (self.is_saved(module) || is_plain(), "bias"),
                    Part::BaseWeight => (wrapped.contains(module), "weight"),
                    Part::BaseBias => (wrapped.contains(module), "bias"),
                    Part::TokenBase => (self.has_tokens(module), "weight"),
                    _ => continue,
                };
                if !counts {
                    self.dropped.push(tensor.name.clone());
                    continue;
                }
                self.has_other_effect |= !matches!(part, Part::BaseWeight | Part::TokenBase);
                match format!("{module}.{end}") {
                    name if name == HEAD && self.model.is_tied => of_tied_head = Some(tensor),
                    name => {
                        if name == EMBEDDING {
                            of_embedding = Some(tensor);
                        }
                        self.replace(&name, module, tensor)?;
                    }
                }
            }
        }
        match (of_tied_head, of_embedding) {
            (Some(head), Some(embedding)) if !self.adapter.shards.same_bytes(head, embedding)? => {
                Err(Error::TiedTwice { path: self.adapter.dir.clone() })
            }
            (Some(head), None) => self.replace(EMBEDDING, HEAD_MODULE, head),
            _ => Ok(()),
        }
    }

    fn replace(&mut self, name: &str, module: &str, tensor: &SourceTensor) -> Result<(), Error> {
        let (adapter, dir) = (self.index, self.adapter.dir.clone());
        let Some(draft) = self.model.drafts.get_mut(name) else {
            return Err(self.missing(vec![module.to_owned()]));
        };
        let is_resizable = name == EMBEDDING || name == HEAD;
        let same = |shape: &[u64]| match (is_resizable, shape) {
            (true, [rows, rest @ ..]) => *rows > 0 && *rest == draft.tensor.shape[1..],
            _ => *shape == *draft.tensor.shape,
        };
        if !same(&tensor.shape) {
            let expected = draft.tensor.shape.clone();
            return Err(self.shape(tensor, expected));
        }
        if tensor.shape != draft.tensor.shape {
            self.has_other_effect = true;
            let (old, new) = (draft.tensor.shape[0], tensor.shape[0]);
            let warning = format!(
                "{}: {name} has {new} rows in the adapter and {old} in the base; the merged model has {new}",
                dir.display()
            );
            self.model.warnings.extend((new < old).then_some(warning));
        }
        draft.tensor.shape.clone_from(&tensor.shape);
        draft.start = Start::Adapter { adapter, tensor: tensor.clone() };
        draft.steps.clear();
        Ok(())
    }

    fn missing(&self, modules: Vec<String>) -> Error {
        let (path, base) = (self.adapter.dir.clone(), self.model.dir.clone());
        Error::MissingModules { path, base, modules, name: self.base_name() }
    }

    fn shape(&self, tensor: &SourceTensor, expected: Vec<u64>) -> Error {
        let (path, base) = (self.adapter.dir.clone(), self.model.dir.clone());
        let (tensor, found) = (tensor.name.clone(), tensor.shape.clone());
        Error::Shape { path, base, tensor, found, expected, name: self.base_name() }
    }

    /// Puts the rows of trained tokens in place.
    fn token_rows(&mut self) -> Result<(), Error> {
        for (module, parts) in &self.adapter.modules {
            let Some(tensor) = parts.get(&Part::TokenRows) else { continue };
            // A tied head follows the embedding.
            if module == HEAD_MODULE && self.model.is_tied {
                continue;
            }
            let Some(indices) = self.indices(module) else {
                self.dropped.push(tensor.name.clone());
                continue;
            };
            let problem = |problem: String| {
                let (path, module) = (self.adapter.dir.clone(), module.clone());
                Error::Tokens { path, module, problem }
            };
            let Some(draft) = self.model.drafts.get_mut(&format!("{module}.weight")) else {
                return Err(self.missing(vec![module.clone()]));
            };
            let expected = vec![indices.len() as u64, *draft.tensor.shape.last().unwrap_or(&0)];
            if tensor.shape != expected {
                return Err(self.shape(tensor, expected));
            }
            let rows = draft.tensor.shape[0];
            if let Some(index) = indices.iter().find(|&&index| index >= rows) {
                return Err(problem(format!("token {index} is beyond the {rows} rows of the base")));
            }
            let rows = indices.iter().copied().zip(0..).collect();
            draft.steps.push(Step::Rows { adapter: self.index, tensor: tensor.clone(), rows });
            self.has_other_effect = true;
        }
        self.warn_of_missing_rows();
        Ok(())
    }

    fn warn_of_missing_rows(&mut self) {
        let named = match &self.adapter.config.tokens {
            None => return,
            Some(TokenIndices::Embedding(_)) => vec!["embed_tokens".to_owned()],
            Some(TokenIndices::Modules(modules)) => modules.iter().map(|(name, _)| name.clone()).collect(),
        };
        let has_rows = |name: &String| {
            let mut modules = self.adapter.modules.iter();
            modules.any(|(module, parts)| {
                has_ending(std::slice::from_ref(name), module) && parts.contains_key(&Part::TokenRows)
            })
        };
        let missing: Vec<String> = named.into_iter().filter(|name| !has_rows(name)).collect();
        if !missing.is_empty() {
            self.warn(&format!("the file has no rows for `trainable_token_indices` of {}", few(&missing)));
        }
    }

    /// Adds LoRA: the embedding first and the head last, since a tied head is the same matrix.
    fn lora(&mut self, wrapped: &BTreeSet<String>) -> Result<(), Error> {
        let trained = self.adapter.modules.iter().filter(|(_, parts)| has_lora(parts));
        let mut modules: Vec<(&String, &Parts)> = trained.collect();
        if !modules.is_empty() && !self.adapter.config.has_targets {
            let path = self.adapter.dir.join("adapter_config.json");
            return Err(Error::Config { path, source: config::Error::NoTargets });
        }
        modules.sort_by_key(|(module, _)| (*module == HEAD_MODULE, *module != EMBEDDING_MODULE));
        let mut missing = Vec::new();
        for (module, parts) in modules {
            if wrapped.contains(module) {
                self.module(module, parts)?;
            } else if self.is_target(module)? {
                missing.push(module.clone());
            } else {
                self.dropped
                    .extend(parts.iter().filter(|(part, _)| is_lora(**part)).map(|(_, t)| t.name.clone()));
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(self.missing(missing)) }
    }

    /// Adds LoRA on one module.
    fn module(&mut self, module: &str, parts: &Parts) -> Result<(), Error> {
        let config = &self.adapter.config;
        let is_tied_head = module == HEAD_MODULE && self.model.is_tied;
        let name = if is_tied_head { EMBEDDING.to_owned() } else { format!("{module}.weight") };
        let is_embedding = module == EMBEDDING_MODULE;
        let (a, b) = match is_embedding {
            true => (Part::EmbeddingA, Part::EmbeddingB),
            false => (Part::A, Part::B),
        };
        let incomplete = |has, lacks| {
            let (path, module) = (self.adapter.dir.clone(), module.to_owned());
            Error::Incomplete { path, module, has, lacks }
        };
        let (a, b) = match (parts.get(&a), parts.get(&b)) {
            (Some(a), Some(b)) => (a, b),
            (Some(_), None) => return Err(incomplete("lora_A", "lora_B")),
            (None, Some(_)) => return Err(incomplete("lora_B", "lora_A")),
            (None, None) => return Err(incomplete("other tensors", "lora_A and lora_B")),
        };
        let rank = config.rank(module).map_err(|error| self.slow(error))?;
        let scale = config.scale(module).map_err(|error| self.slow(error))?;
        let draft = self.model.drafts.get(&name).ok_or_else(|| self.missing(vec![module.to_owned()]))?;
        let (rows, width) = (draft.tensor.shape[0], draft.tensor.shape[1]);
        let dtype = draft.tensor.dtype;
        let expected = match is_embedding {
            true => [(a, [rank, rows]), (b, [width, rank])],
            false => [(a, [rank, width]), (b, [rows, rank])],
        };
        self.check_rank(a, b, rank)?;
        for (tensor, shape) in expected {
            if tensor.shape != shape {
                return Err(self.shape(tensor, shape.to_vec()));
            }
        }
        let lora = Lora { adapter: self.index, a: a.clone(), b: b.clone(), scale };
        let step = match (config.use_dora, parts.get(&Part::Magnitude)) {
            (true, _) if is_embedding => {
                let (path, module) = (self.adapter.dir.clone(), module.to_owned());
                return Err(Error::EmbeddingDora { path, module });
            }
            (true, None) => return Err(incomplete("lora_A and lora_B", "lora_magnitude_vector")),
            (true, Some(magnitude)) if magnitude.shape != [rows] => {
                return Err(self.shape(magnitude, vec![rows]));
            }
            (true, Some(magnitude)) => Step::Dora(lora, magnitude.clone()),
            (false, magnitude) => {
                self.dropped.extend(magnitude.map(|tensor| tensor.name.clone()));
                if is_embedding { Step::Embedding(lora) } else { Step::Matrix(lora) }
            }
        };
        self.tell(module, rank, dtype, is_tied_head);
        let draft = self.model.drafts.get_mut(&name).expect("it was found above");
        self.modules.push(Module {
            adapter: self.index,
            module: module.to_owned(),
            kind: if config.use_dora { "dora" } else { "lora" },
            rank,
            scale,
            relative_change: None,
            tensor: name,
            step: draft.steps.len(),
        });
        draft.steps.push(step);
        self.bias(module, parts.get(&Part::BiasOfB), rows, scale)
    }

    fn check_rank(&self, a: &SourceTensor, b: &SourceTensor, expected: u64) -> Result<(), Error> {
        let ranks = [(a, a.shape.first()), (b, b.shape.last())];
        for (tensor, rank) in ranks {
            if let Some(&found) = rank
                && tensor.shape.len() == 2
                && found != expected
            {
                let (path, tensor) = (self.adapter.dir.clone(), tensor.name.clone());
                return Err(Error::Rank { path, tensor, found, expected });
            }
        }
        Ok(())
    }

    /// Tells what peft does to a module against the trained model's meaning.
    fn tell(&mut self, module: &str, rank: u64, dtype: Dtype, is_tied_head: bool) {
        let is_rounded = self.mode != Mode::F32 && dtype != Dtype::F32;
        if module == EMBEDDING_MODULE && is_rounded {
            self.warn(&format!(
                "the change of the embedding is rounded to {} before it is added, as peft does for no other matrix",
                dtype.name()
            ));
        }
        if is_tied_head && self.modules.iter().any(|module| module.module == EMBEDDING_MODULE) {
            self.warn(match self.adapter.config.ensure_weight_tying {
                true => {
                    "`ensure_weight_tying`: the change of the tied embedding is added twice, as peft 0.21 does; the \
                     model was trained with it once"
                }
                false => {
                    "the changes of the embedding and of the head are both added to the one tied matrix, as peft \
                     does; in training each had its own place"
                }
            });
        }
        if rank as usize > LONGEST_CHAIN && self.modules.iter().all(|module| module.rank != rank) {
            self.warn(&format!(
                "rank {rank} is above {LONGEST_CHAIN}: the last bits may differ from those of peft on other CPUs"
            ));
        }
    }

    /// Adds a trained bias of LoRA.
    fn bias(
        &mut self,
        module: &str,
        tensor: Option<&SourceTensor>,
        rows: u64,
        scale: f32,
    ) -> Result<(), Error> {
        let tensor = match (self.adapter.config.lora_bias, tensor) {
            (false, tensor) => {
                self.dropped.extend(tensor.map(|tensor| tensor.name.clone()));
                return Ok(());
            }
            (true, None) => {
                let (path, module) = (self.adapter.dir.clone(), module.to_owned());
                return Err(Error::Incomplete {
                    path,
                    module,
                    has: "lora_A and lora_B",
                    lacks: "lora_B.bias (`lora_bias`)",
                });
            }
            (true, Some(tensor)) => tensor,
        };
        let Some(draft) = self.model.drafts.get_mut(&format!("{module}.bias")) else {
            let (path, module) = (self.adapter.dir.clone(), module.to_owned());
            return Err(Error::NoBias { path, module });
        };
        if tensor.shape != [rows] {
            return Err(self.shape(tensor, vec![rows]));
        }
        draft.steps.push(Step::Bias { adapter: self.index, tensor: tensor.clone(), scale });
        self.has_other_effect = true;
        Ok(())
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
            let step = &self.model.drafts[&module.tensor].steps[module.step];
            match step {
                Step::Matrix(lora) | Step::Embedding(lora) => {
                    if module.scale != 0.0 && !lora.is_zero(&self.adapter.shards)? {
                        return Ok(());
                    }
                }
                // Its magnitudes change the rows by themselves.
                _ => return Ok(()),
            }
        }
        Err(no_effect("every lora_B is zero, as before the training"))
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
fn has_lora(parts: &Parts) -> bool {
    parts.keys().any(|part| is_lora(*part))
}

fn is_lora(part: Part) -> bool {
    use Part::{A, B, BiasOfB, EmbeddingA, EmbeddingB, Magnitude};
    matches!(part, A | B | BiasOfB | EmbeddingA | EmbeddingB | Magnitude)
}

/// The number of a module's layer.
fn layer_of(module: &str) -> Option<u64> {
    module.split_once("layers.")?.1.split('.').next()?.parse().ok()
}
