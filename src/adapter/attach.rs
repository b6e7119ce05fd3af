//! LoRA on the modules of a model.

use super::{
    Error,
    apply::{Application, Parts, has_lora, is_lora},
    fields,
    keys::Part,
    lora::Lora,
    module::Module,
    product::LONGEST_CHAIN,
    steps::{Mode, Step},
    targets::{EMBEDDING_MODULE, HEAD_MODULE},
};
use crate::{
    arch::EMBEDDING,
    checkpoint::{Dtype, SourceTensor},
};
use std::collections::BTreeSet;

impl Application<'_> {
    /// Adds LoRA: the embedding first and the head last, since a tied head is the same matrix.
    pub(super) fn lora(&mut self, wrapped: &BTreeSet<String>) -> Result<(), Error> {
        let trained = self.adapter.modules.iter().filter(|(_, parts)| has_lora(parts));
        let mut modules: Vec<(&String, &Parts)> = trained.collect();
        if !modules.is_empty() && !self.adapter.config.has_targets {
            let path = self.adapter.dir.join("adapter_config.json");
            return Err(Error::Config { path, source: fields::Error::NoTargets });
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
}
