//! The base's tensors while adapters are applied to them, one after another; no weights are computed yet.

use super::{
    Error,
    rounding::Rounding,
    steps::{Computed, Mode, Start, Step},
};
use crate::{
    arch::{EMBEDDING, HEAD},
    checkpoint::{Checkpoint, Dtype, SourceTensor},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// A tensor and what was done to it so far.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// Its name, its shape by now, and its place among the base's files.
    pub(super) tensor: SourceTensor,
    pub(super) start: Start,
    pub(super) steps: Vec<Step>,
}

/// The model that adapters are applied to.
#[derive(Debug)]
pub(super) struct Model {
    /// Folder of the base.
    pub(super) dir: PathBuf,
    pub(super) drafts: BTreeMap<String, Draft>,
    /// True if the head is the embedding.
    pub(super) is_tied: bool,
    pub(super) warnings: Vec<String>,
}

impl Model {
    /// The base without changes. A stored head that is a copy of the tied embedding is left out, as transformers
    /// leaves it out when it saves a model.
    ///
    /// # Errors
    /// A base that cannot be read.
    pub(super) fn new(base: &Checkpoint) -> Result<Model, Error> {
        let draft = |tensor: &SourceTensor| {
            let (start, steps) = (Start::Base(tensor.clone()), Vec::new());
            (tensor.name.clone(), Draft { tensor: tensor.clone(), start, steps })
        };
        let mut model = Model {
            dir: base.dir.clone(),
            drafts: base.shards.tensors().iter().map(draft).collect(),
            is_tied: base.config.tie_word_embeddings,
            warnings: base.warnings.clone(),
        };
        if let (true, Some(head), Some(embedding)) =
            (model.is_tied, base.shards.tensor(HEAD), base.shards.tensor(EMBEDDING))
        {
            if base.shards.same_bytes(head, embedding)? {
                model.drafts.remove(HEAD);
            } else {
                model.is_tied = false;
                model.warnings.push(
                    "config.json of the base ties the head to the embedding, but the stored lm_head.weight is \
                     another matrix; they are merged as two, as in transformers 5"
                        .to_owned(),
                );
            }
        }
        Ok(model)
    }

    /// The modules that LoRA can be put on: those with a matrix, and the head.
    pub(super) fn modules(&self) -> BTreeSet<String> {
        let matrices = self.drafts.values().filter(|draft| draft.tensor.shape.len() == 2);
        let names = matrices.filter_map(|draft| draft.tensor.name.strip_suffix(".weight"));
        let head = HEAD.strip_suffix(".weight").filter(|_| self.is_tied);
        names.chain(head).map(str::to_owned).collect()
    }

    /// Gives the head a matrix of its own: the embedding as it is by now.
    pub(super) fn untie(&mut self) {
        if let Some(mut head) = self.drafts.get(EMBEDDING).cloned() {
            head.tensor.name = HEAD.to_owned();
            self.drafts.insert(HEAD.to_owned(), head);
        }
        self.is_tied = false;
    }

    /// The merged checkpoint's tensors: in the order of the base's, and the steps of those that change.
    pub(super) fn finish(self, base: &mut Checkpoint, mode: Mode) -> Vec<Computed> {
        let mut computed = Vec::new();
        let mut tensors = Vec::new();
        let rows = |name: &str| self.drafts.get(name).and_then(|draft| draft.tensor.shape.first().copied());
        let vocabulary = rows(EMBEDDING).unwrap_or(base.config.vocab_size);
        set_config(base, vocabulary, self.is_tied);
        for (name, draft) in self.drafts {
            let mut tensor = draft.tensor;
            let is_stored = matches!(&draft.start, Start::Base(start) if start.name == name);
            if !is_stored || !draft.steps.is_empty() {
                let width = if tensor.shape.len() == 2 { tensor.shape[1] as usize } else { 1 };
                tensor.overlay = Some(computed.len());
                let roundings = mode.roundings(Rounding::to(tensor.dtype));
                computed.push(Computed { start: draft.start, steps: draft.steps, roundings, width });
                if mode == Mode::F32 {
                    tensor.dtype = Dtype::F32;
                }
            }
            tensors.push(tensor);
        }
        let shards = std::mem::take(&mut base.shards);
        base.shards = shards.with_tensors(tensors);
        base.warnings = self.warnings;
        computed
    }
}

/// Writes what the merge changes into the config.
fn set_config(base: &mut Checkpoint, vocab_size: u64, is_tied: bool) {
    let config = &mut base.config;
    config.vocab_size = vocab_size;
    config.tie_word_embeddings = is_tied;
    config.raw.insert("vocab_size".to_owned(), vocab_size.into());
    config.raw.insert("tie_word_embeddings".to_owned(), is_tied.into());
    // It would name the merged model after its base.
    config.raw.remove("_name_or_path");
}
