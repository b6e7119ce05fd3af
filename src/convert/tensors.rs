//! The checkpoint's tensors, matched with what its architecture expects.

use super::{
    Error,
    arch::{Architecture, EMBEDDING, Expected, HEAD, is_derived, outer_tensors},
};
use crate::checkpoint::{Checkpoint, SourceTensor};
use std::collections::BTreeMap;

/// A tensor of the model: what the file calls it and where its numbers come from.
#[derive(Clone, Debug)]
pub struct ModelTensor {
    /// GGUF's name.
    pub name: String,
    /// GGUF's dimensions: `dims[0]` is the length of a row.
    pub dims: Vec<u64>,
    /// Where the numbers are.
    pub origin: Origin,
    /// Where the two halves of each head's rows are interleaved: the width of a head.
    pub interleaved_heads: Option<u64>,
}

/// Where a tensor's numbers come from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A tensor of the checkpoint.
    Checkpoint(SourceTensor),
    /// The architecture's own arithmetic.
    Computed(Vec<f32>),
}

impl ModelTensor {
    /// How many numbers it has.
    pub fn element_count(&self) -> u64 {
        self.dims.iter().product()
    }

    /// The length of a row as far as reordering goes: a bias of a reordered matrix has rows of one.
    pub fn row_len(&self) -> u64 {
        if self.dims.len() == 1 && self.interleaved_heads.is_some() { 1 } else { self.dims[0] }
    }

    /// What messages call it: the name in the checkpoint, where it has one.
    pub fn source_name(&self) -> &str {
        match &self.origin {
            Origin::Checkpoint(source) => &source.name,
            Origin::Computed(_) => &self.name,
        }
    }
}

/// The tensors of the file in the reference converter's order: computed ones, then the checkpoint's
/// shard by shard and by name. The head is left out if `drop_head`.
///
/// # Errors
/// Tensors that are missing, unexpected or of another shape than `config.json` says.
pub fn match_tensors(
    checkpoint: &Checkpoint,
    architecture: &dyn Architecture,
    drop_head: bool,
) -> Result<Vec<ModelTensor>, Error> {
    let (config, shards) = (&checkpoint.config, &checkpoint.shards);
    let (class, layers) = (architecture.class(), config.num_hidden_layers);
    let has_head = shards.tensor(HEAD).is_some();
    let mut expected = BTreeMap::new();
    for tensor in outer_tensors(config, has_head || !config.tie_word_embeddings) {
        expected.insert(tensor.source.to_owned(), (tensor.name.to_owned(), tensor));
    }
    // A config.json that claims more layers than there are tensors would only fill memory.
    let layer_tensors = architecture.layer_tensors(config);
    for layer in 0..layers.min(shards.tensors().len() as u64 + 1) {
        for tensor in &layer_tensors {
            let source = format!("model.layers.{layer}.{}", tensor.source);
            expected.insert(source, (format!("blk.{layer}.{}", tensor.name), tensor.clone()));
        }
    }

    let mut extra = Vec::new();
    let mut tensors: Vec<ModelTensor> =
        architecture.computed_tensors(config).into_iter().map(computed).collect();
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
        return Err(Error::MissingTensors { class, layers, names });
    }
    if !extra.is_empty() {
        return Err(Error::ExtraTensors { class, layers, names: extra });
    }
    Ok(tensors)
}

fn computed((name, values): (String, Vec<f32>)) -> ModelTensor {
    let dims = vec![values.len() as u64];
    ModelTensor { name, dims, origin: Origin::Computed(values), interleaved_heads: None }
}

fn from_checkpoint(name: String, source: &SourceTensor, expected: &Expected) -> ModelTensor {
    ModelTensor {
        name,
        dims: source.shape.iter().rev().copied().collect(),
        origin: Origin::Checkpoint(source.clone()),
        interleaved_heads: expected.interleaved_heads,
    }
}

fn check_shape(source: &SourceTensor, expected: &Expected) -> Result<(), Error> {
    if source.shape == expected.shape {
        return Ok(());
    }
    Err(Error::Shape {
        name: source.name.clone(),
        found: source.shape.clone(),
        expected: expected.shape.clone(),
    })
}

/// What a checkpoint stores as its output head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// None: the head is the embedding.
    Absent,
    /// One of its own, as `config.json` says.
    Untied,
    /// The embedding once more, although `config.json` ties the two.
    TiedCopy,
    /// Another matrix, although `config.json` ties the two.
    TiedButDifferent,
}

/// Looks at the stored head, and compares it with the embedding where the two ought to be the same.
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
    Ok(if same_bytes(checkpoint, head, embedding)? { Head::TiedCopy } else { Head::TiedButDifferent })
}

/// Whether the stored head is the embedding, byte for byte.
///
/// # Errors
/// The shards cannot be read.
pub fn head_is_embedding(checkpoint: &Checkpoint) -> Result<bool, Error> {
    let shards = &checkpoint.shards;
    match (shards.tensor(HEAD), shards.tensor(EMBEDDING)) {
        (Some(head), Some(embedding)) => same_bytes(checkpoint, head, embedding),
        _ => Ok(true),
    }
}

fn same_bytes(checkpoint: &Checkpoint, a: &SourceTensor, b: &SourceTensor) -> Result<bool, Error> {
    const CHUNK: u64 = 1 << 20;
    if a.dtype != b.dtype || a.shape != b.shape {
        return Ok(false);
    }
    let files = checkpoint.shards.files();
    let (mut left, mut right) = (vec![0; CHUNK as usize], vec![0; CHUNK as usize]);
    let total = a.range.end - a.range.start;
    let mut done = 0;
    while done < total {
        let len = CHUNK.min(total - done) as usize;
        files[a.shard].read_at(&mut left[..len], a.range.start + done)?;
        files[b.shard].read_at(&mut right[..len], b.range.start + done)?;
        if left[..len] != right[..len] {
            return Ok(false);
        }
        done += len as u64;
    }
    Ok(true)
}
