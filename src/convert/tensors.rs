//! The checkpoint's tensors, matched with those that its architecture expects.

use super::Error;
use crate::{
    arch::{EMBEDDING, HEAD, RopeFactors, Tensor, Transform, is_derived},
    checkpoint::{Checkpoint, SourceTensor},
};
use std::collections::BTreeMap;

/// A tensor of the model: its GGUF name and the source of its numbers.
#[derive(Clone, Debug)]
pub struct ModelTensor {
    /// GGUF's name.
    pub name: String,
    /// GGUF's dimensions: `dims[0]` is the length of a row.
    pub dims: Vec<u64>,
    /// Source of its numbers.
    pub origin: Origin,
    /// Change of its numbers on the way into the file.
    pub transform: Transform,
}

/// Source of a tensor's numbers.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A tensor of the checkpoint.
    Checkpoint(SourceTensor),
    /// Values computed by the architecture.
    Computed(Vec<f32>),
}

impl ModelTensor {
    /// Number of weights.
    pub fn element_count(&self) -> u64 {
        self.dims.iter().product()
    }

    /// Length of a row for its transform: a bias that is permuted has rows of one.
    pub fn row_len(&self) -> u64 {
        match self.transform {
            Transform::Permute { .. } if self.dims.len() == 1 => 1,
            _ => self.dims[0],
        }
    }

    /// Number of weights that its transform needs at once: a row, or the rows of a head.
    pub fn unit_len(&self) -> u64 {
        match self.transform {
            Transform::None => self.row_len(),
            Transform::Permute { head_width } => self.row_len() * head_width,
        }
    }

    /// The name for messages: the checkpoint's, or the GGUF name of a computed tensor.
    pub fn source_name(&self) -> &str {
        match &self.origin {
            Origin::Checkpoint(source) => &source.name,
            Origin::Computed(_) => &self.name,
        }
    }
}

/// The tensors of the file in the order of llama.cpp's converter: computed ones first, then the checkpoint's by
/// shard, and by name in each. The head is left out if `drop_head`.
///
/// # Errors
/// Tensors that are missing, unexpected, or of another shape than `config.json` implies.
pub fn match_tensors(checkpoint: &Checkpoint, drop_head: bool) -> Result<Vec<ModelTensor>, Error> {
    let (config, shards) = (&checkpoint.config, &checkpoint.shards);
    let (architecture, sizes) = (config.architecture, config.sizes());
    let (class, layers) = (architecture.class, config.num_hidden_layers);
    let mut expected = BTreeMap::new();
    for tensor in (architecture.outer_tensors)(&sizes) {
        // A head may be stored although `config.json` ties it to the embedding.
        let is_stored_head = tensor.source == HEAD && shards.tensor(HEAD).is_some();
        if tensor.is_in(config) || is_stored_head {
            expected.insert(tensor.source.to_owned(), (tensor.name.to_owned(), tensor));
        }
    }
    // Bounded, so that a config.json with more layers than there are tensors does not fill the memory.
    let mut layer_tensors = (architecture.layer_tensors)(&sizes);
    layer_tensors.retain(|tensor| tensor.is_in(config));
    for layer in 0..layers.min(shards.tensors().len() as u64 + 1) {
        for tensor in &layer_tensors {
            let source = format!("model.layers.{layer}.{}", tensor.source);
            expected.insert(source, (format!("blk.{layer}.{}", tensor.name), tensor.clone()));
        }
    }

    let mut extra = Vec::new();
    let computed_factors = |factors: &RopeFactors| Some(computed(factors.name, (factors.values)(config)?));
    let mut tensors: Vec<ModelTensor> =
        architecture.rope_factors.iter().filter_map(computed_factors).collect();
    for source in shards.tensors() {
        match expected.remove(&source.name) {
            Some((name, expected)) => {
                check_shape(source, &expected)?;
                if !(drop_head && source.name == HEAD) {
                    tensors.push(from_checkpoint(name, source, &expected));
                }
            }
            None if is_derived(&source.name) => {}
            None => extra.push(source.name.clone()),
        }
    }
    if !expected.is_empty() {
        let names = expected.into_keys().collect();
        return Err(Error::MissingTensors { class, layers, names, others: extra });
    }
    if !extra.is_empty() {
        return Err(Error::ExtraTensors { class, layers, names: extra });
    }
    Ok(tensors)
}

fn computed(name: &str, values: Vec<f32>) -> ModelTensor {
    let (name, dims) = (name.to_owned(), vec![values.len() as u64]);
    ModelTensor { name, dims, origin: Origin::Computed(values), transform: Transform::None }
}

fn from_checkpoint(name: String, source: &SourceTensor, expected: &Tensor) -> ModelTensor {
    ModelTensor {
        name,
        dims: expected.dims(),
        origin: Origin::Checkpoint(source.clone()),
        transform: expected.transform,
    }
}

fn check_shape(source: &SourceTensor, expected: &Tensor) -> Result<(), Error> {
    if source.shape == expected.shape {
        return Ok(());
    }
    Err(Error::Shape {
        name: source.name.clone(),
        found: source.shape.clone(),
        expected: expected.shape.clone(),
    })
}

/// Output head in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// None: the embedding is the head.
    Absent,
    /// A separate matrix, as `config.json` states.
    Untied,
    /// A copy of the embedding, although `config.json` ties the two.
    TiedCopy,
    /// A matrix that differs from the embedding, although `config.json` ties the two.
    TiedButDifferent,
}

/// The kind of the stored head. If `config.json` ties it to the embedding, the two are compared.
///
/// # Errors
/// The shards cannot be read.
pub fn stored_head(checkpoint: &Checkpoint) -> Result<Head, Error> {
    let shards = &checkpoint.shards;
    let (Some(head), Some(embedding)) = (shards.tensor(HEAD), shards.tensor(EMBEDDING)) else {
        return Ok(Head::Absent);
    };
    if !checkpoint.config.tie_word_embeddings {
        return Ok(Head::Untied);
    }
    Ok(if shards.same_bytes(head, embedding)? { Head::TiedCopy } else { Head::TiedButDifferent })
}

/// True if the stored head equals the embedding byte for byte, or if there is none.
///
/// # Errors
/// The shards cannot be read.
pub fn head_is_embedding(checkpoint: &Checkpoint) -> Result<bool, Error> {
    let shards = &checkpoint.shards;
    match (shards.tensor(HEAD), shards.tensor(EMBEDDING)) {
        (Some(head), Some(embedding)) => Ok(shards.same_bytes(head, embedding)?),
        _ => Ok(true),
    }
}
