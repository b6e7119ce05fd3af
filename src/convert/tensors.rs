//! The checkpoint's tensors, matched with those that its architecture expects.

use super::Error;
use crate::{
    arch::{Arithmetic, EMBEDDING, HEAD, LayerKind, RopeFactors, Tensor, Transform, is_derived},
    checkpoint::{Checkpoint, SourceTensor, names},
};
use std::{collections::BTreeMap, ops::Range};

/// A tensor of the model: its GGUF name and the source of its numbers.
#[derive(Clone, Debug)]
pub struct ModelTensor {
    /// GGUF's name.
    pub name: String,
    /// GGUF's dimensions: `dims[0]` is the length of a row.
    pub dims: Vec<u64>,
    /// Source of its numbers.
    pub origin: Origin,
    /// Index of the first of its rows in the source.
    pub first_row: u64,
    /// Change of the order of its numbers on the way into the file.
    pub transform: Transform,
    /// Change of its numbers on the way into the file.
    pub arithmetic: Arithmetic,
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

    /// Length of a row for its transform: a tensor of one dimension whose rows are reordered has rows of one.
    pub fn row_len(&self) -> u64 {
        match self.transform {
            Transform::Permute { .. } | Transform::TileRows(_) if self.dims.len() == 1 => 1,
            _ => self.dims[0],
        }
    }

    /// Number of weights that its transform needs at once: a row, or the rows of a head.
    pub fn unit_len(&self) -> u64 {
        match self.transform {
            Transform::None | Transform::TileRows(_) | Transform::TileColumns(_) => self.row_len(),
            Transform::Permute { head_width } => self.row_len() * head_width,
        }
    }

    /// The runs of weights in the source that follow each other in `weights`, which is whole rows of the file.
    ///
    /// Weights of permuted heads are taken in the source's order.
    pub fn runs(&self, weights: Range<u64>) -> Vec<Range<u64>> {
        let row_len = self.row_len();
        let first = self.first_row * row_len;
        let Transform::TileRows(tile) = self.transform else {
            return std::iter::once(first + weights.start..first + weights.end).collect();
        };
        let (mut row, end) = (weights.start / row_len, weights.end / row_len);
        let mut runs = Vec::new();
        while row < end {
            let next = tile.run_end(row).min(end);
            let start = first + tile.source(row) * row_len;
            runs.push(start..start + (next - row) * row_len);
            row = next;
        }
        runs
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
/// shard, and by name in each, the parts of a tensor that is split at its place. The head is left out if `drop_head`.
///
/// Returns the names of tensors that are left out, too, as they belong to another part of the model.
///
/// # Errors
/// Tensors that are missing, unexpected, or of another shape than `config.json` implies.
pub fn match_tensors(
    checkpoint: &Checkpoint,
    drop_head: bool,
) -> Result<(Vec<ModelTensor>, Vec<String>), Error> {
    let (config, shards) = (&checkpoint.config, &checkpoint.shards);
    let architecture = config.architecture;
    let (class, layers) = (architecture.class, config.num_hidden_layers);
    let mut expected = expected(checkpoint);
    let (mut extra, mut left_out) = (Vec::new(), Vec::new());
    let computed_factors = |factors: &RopeFactors| Some(computed(factors.name, (factors.values)(config)?));
    let mut tensors: Vec<ModelTensor> =
        architecture.rope_factors.iter().filter_map(computed_factors).collect();
    for source in shards.tensors() {
        match expected.remove(&source.name) {
            Some(parts) => {
                for (name, expected) in parts {
                    check_shape(source, &expected)?;
                    if !(drop_head && source.name == HEAD) {
                        tensors.push(from_checkpoint(name, source, &expected));
                    }
                }
            }
            None if is_derived(&source.name) => {}
            None if config.is_text_part && names::is_of_another_part(&source.name) => {
                left_out.push(source.name.clone());
            }
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
    Ok((tensors, left_out))
}

/// A tensor of the file by its GGUF name.
type Named = (String, Tensor);

/// The tensors that the model must have, by their names in the checkpoint; several where one is split.
fn expected(checkpoint: &Checkpoint) -> BTreeMap<String, Vec<Named>> {
    let (config, shards) = (&checkpoint.config, &checkpoint.shards);
    let (architecture, sizes) = (config.architecture, config.sizes());
    let mut expected: BTreeMap<String, Vec<Named>> = BTreeMap::new();
    let mut add = |source: String, name: String, tensor: &Tensor| {
        expected.entry(source).or_default().push((name, tensor.clone()));
    };
    for tensor in (architecture.outer_tensors)(&sizes) {
        // A head may be stored although `config.json` ties it to the embedding.
        let is_stored_head = tensor.source == HEAD && shards.tensor(HEAD).is_some();
        if tensor.is_in(config) || is_stored_head {
            add(tensor.source.to_owned(), tensor.name.to_owned(), &tensor);
        }
    }
    // Bounded, so that a config.json with more layers than there are tensors does not fill the memory.
    let layers = config.num_hidden_layers;
    let layer_tensors = [LayerKind::Attention, LayerKind::Recurrent].map(|kind| {
        let mut tensors = (architecture.layer_tensors)(&sizes, kind);
        tensors.retain(|tensor| tensor.is_in(config));
        (kind, tensors)
    });
    for layer in 0..layers.min(shards.tensors().len() as u64 + 1) {
        let kind = config.layer_kind(layer);
        let tensors = layer_tensors.iter().filter(|(of, _)| *of == kind).flat_map(|(_, tensors)| tensors);
        for tensor in tensors {
            let name = format!("blk.{layer}.{}", tensor.name);
            add(format!("model.layers.{layer}.{}", tensor.source), name, tensor);
        }
    }
    if let Some(prediction) = architecture.prediction.as_ref().filter(|_| config.prediction_layers > 0) {
        for tensor in (prediction.tensors)(&sizes) {
            add(tensor.source.to_owned(), format!("blk.{layers}.{}", tensor.name), &tensor);
        }
    }
    expected
}

fn computed(name: &str, values: Vec<f32>) -> ModelTensor {
    let (name, dims) = (name.to_owned(), vec![values.len() as u64]);
    ModelTensor {
        name,
        dims,
        origin: Origin::Computed(values),
        first_row: 0,
        transform: Transform::None,
        arithmetic: Arithmetic::None,
    }
}

fn from_checkpoint(name: String, source: &SourceTensor, expected: &Tensor) -> ModelTensor {
    ModelTensor {
        name,
        dims: expected.dims(),
        origin: Origin::Checkpoint(source.clone()),
        first_row: expected.first_row(),
        transform: expected.transform,
        arithmetic: expected.arithmetic,
    }
}

fn check_shape(source: &SourceTensor, expected: &Tensor) -> Result<(), Error> {
    if expected.fits(&source.shape) {
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
