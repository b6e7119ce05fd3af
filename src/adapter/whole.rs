//! Whole tensors of an adapter, and rows of trained tokens, in place of the base's.

use super::{
    Error,
    apply::Application,
    evidence::{same_rows, same_sample},
    keys::Part,
    steps::{Start, Step},
    targets::{EMBEDDING_MODULE, HEAD_MODULE, TokenIndices, has_ending},
};
use crate::{
    arch::{EMBEDDING, HEAD},
    checkpoint::SourceTensor,
    display::few,
};
use std::collections::BTreeSet;

impl<'a> Application<'a> {
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
    pub(super) fn break_tie(&mut self) {
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
    pub(super) fn whole_tensors(&mut self, wrapped: &BTreeSet<String>) -> Result<(), Error> {
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
                self.compare(module, *part, &format!("{module}.{end}"), tensor)?;
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

    /// Compares a whole tensor with the base's.
    fn compare(&mut self, module: &str, part: Part, name: &str, tensor: &SourceTensor) -> Result<(), Error> {
        let is_tied_head = name == HEAD && self.model.is_tied;
        let name = if is_tied_head { EMBEDDING } else { name };
        let Some(stored) = self.base.tensor(name) else { return Ok(()) };
        let is_same = same_sample(self.base, stored, &self.adapter.shards, tensor)?;
        match part {
            Part::BaseWeight | Part::TokenBase if !is_same => self.other_copies.push(tensor.name.clone()),
            Part::Weight if is_same && tensor.shape == stored.shape && self.is_saved(module) => {
                self.already.push(tensor.name.clone());
            }
            _ => {}
        }
        Ok(())
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

    /// Puts the rows of trained tokens in place.
    pub(super) fn token_rows(&mut self) -> Result<(), Error> {
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
            if let Some(stored) = self.base.tensor(&draft.tensor.name)
                && same_rows(self.base, stored, &self.adapter.shards, tensor, indices)?
            {
                self.already.push(tensor.name.clone());
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
}
