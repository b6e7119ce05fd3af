//! The weights of a file against the witness's marks of them, tensor by tensor.

use super::{
    Error, Finding, Witness, blame,
    finding::Cause,
    mark::{Distance, Mark},
    pair::Pair,
    tensors::{Order, Tensors},
    tolerance,
};
use crate::arch::{Arithmetic, EMBEDDING, HEAD, Part, TOKEN_EMBEDDING, Tensor, Transform};
use serde::Serialize;
use std::collections::BTreeMap;

/// Result of the comparison of weights.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WeightsReport {
    /// Number of tensors that were compared.
    pub tensors: usize,
    /// Number of tensors with other weights.
    pub different: usize,
    /// Number of tensors whose type cannot be decoded here.
    pub skipped: usize,
    /// The tensor that is nearest to its limit, or furthest beyond it.
    pub largest: Option<Deviation>,
    /// Types of the matrices, most weights first.
    pub types: Vec<&'static str>,
    /// Factor of the adapter in the file; `None` without an adapter.
    pub adapter_scale: Option<f64>,
}

/// The deviation of a tensor from the witness's marks.
#[derive(Clone, Debug, Serialize)]
pub struct Deviation {
    /// GGUF's name.
    pub tensor: String,
    /// Its type.
    pub r#type: &'static str,
    /// The deviation, relative to the root mean square of its weights.
    pub relative: f64,
    /// The largest deviation of a good tensor of this type.
    pub allowed: f64,
}

/// A tensor that the architecture has: names, layer, order.
struct Expected {
    name: String,
    source: String,
    part: &'static str,
    layer: Option<u64>,
    order: Order,
}

/// The order of a tensor's rows in the file; `None` for a tensor that is not compared, as its numbers differ from the
/// trainer's or as it is a part of another.
fn order(tensor: &Tensor) -> Option<Order> {
    let is_whole = matches!(tensor.part, Part::Whole | Part::Top);
    match tensor.transform {
        _ if !is_whole || tensor.is_kernel() || tensor.arithmetic != Arithmetic::None => None,
        Transform::None => Some(Order::Same),
        Transform::Permute { head_width } => Some(Order::Interleaved { head_width }),
        Transform::TileRows(_) | Transform::TileColumns(_) => None,
    }
}

/// Every tensor of the witness's model that can be compared.
fn expected(witness: &Witness) -> Vec<Expected> {
    let (architecture, sizes) = (witness.model.architecture, witness.model.sizes());
    let mut all: Vec<Expected> = (architecture.outer_tensors)(&sizes)
        .into_iter()
        .filter_map(|tensor| {
            Some(Expected {
                name: tensor.name.to_owned(),
                source: tensor.source.to_owned(),
                part: tensor.source,
                layer: None,
                order: order(&tensor)?,
            })
        })
        .collect();
    // Bounded, so that a configuration with more layers than there are tensors does not fill the memory.
    for layer in 0..witness.model.num_hidden_layers.min(witness.tensors.len() as u64 + 1) {
        let layer_tensors = (architecture.layer_tensors)(&sizes, witness.model.layer_kind(layer));
        all.extend(layer_tensors.iter().filter_map(|tensor| {
            Some(Expected {
                name: format!("blk.{layer}.{}", tensor.name),
                source: format!("model.layers.{layer}.{}", tensor.source),
                part: tensor.source,
                layer: Some(layer),
                order: order(tensor)?,
            })
        }));
    }
    all
}

/// Compares every tensor; `None` if `go_on` says so.
///
/// # Errors
/// None yet: the files were mapped before.
pub(super) fn compare(
    tensors: &Tensors,
    witness: &Witness,
    findings: &mut Vec<Finding>,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Option<WeightsReport>, Error> {
    let mut pairs = Vec::new();
    let mut report = WeightsReport { types: types(tensors, witness), ..WeightsReport::default() };
    let is_merged = !witness.base.is_empty();
    let is_head_apart = witness.tensors.contains_key(HEAD);
    let mut missing = Vec::new();
    for Expected { name, source, part, layer, order } in expected(witness) {
        if !go_on() {
            return Ok(None);
        }
        let is_head = source == HEAD;
        // A tied head, where the file has one, should be the embedding.
        let mark = match is_head && !is_head_apart {
            true => witness.tensors.get(EMBEDDING),
            false => witness.tensors.get(&source),
        };
        let Some(mark) = mark else { continue };
        if !tensors.has(&name) {
            match is_head {
                true if is_head_apart => findings.extend(lost_head(witness, mark)),
                true => {}
                false => missing.push(name),
            }
            continue;
        }
        let limit = tensors.ggml_type(&name).and_then(|ggml_type| tolerance::distance(ggml_type, is_merged));
        let (Some(tensor), Some(allowed)) = (tensors.get(&name), limit) else {
            report.skipped += 1;
            continue;
        };
        if tensor.shape() != mark.shape {
            let what =
                format!("`{name}` is {:?} in the file and {:?} in the trainer", tensor.shape(), mark.shape);
            findings.push(Finding::wrong(Cause::Sizes, what));
            continue;
        }
        // A configuration of other heads, which is a finding by itself, cannot order these rows.
        let order = if order.fits(mark.n_rows()) { order } else { Order::Same };
        let found = tensor.mark(order);
        let distance = found.as_ref().ok().and_then(|found| Distance::between(mark, found));
        pairs.push(Pair { name, source, part, layer, order, expected: mark, found, distance, allowed });
    }
    if !missing.is_empty() {
        let what = format!("the file has no {}", crate::display::few(&missing));
        findings.push(Finding::wrong(Cause::MissingTensor, what));
    }
    report.tensors = pairs.len();
    report.different = pairs.iter().filter(|pair| pair.differs()).count();
    report.largest = largest(&pairs, tensors);
    report.adapter_scale = blame::assign(&pairs, tensors, witness, findings);
    Ok(Some(report))
}

/// A head of its own in the trainer and none in the file, unless it is the embedding all the same.
fn lost_head(witness: &Witness, head: &Mark) -> Option<Finding> {
    let embedding = witness.tensors.get(EMBEDDING)?;
    let is_copy = Distance::between(embedding, head).is_some_and(|distance| distance.largest() < 1e-6);
    let what = "the file has no `output.weight`, so that the embedding is the output head; in the trainer `lm_head` is another \
                matrix";
    (!is_copy).then(|| Finding::wrong(Cause::HeadLost, what))
}

fn largest(pairs: &[Pair<'_>], tensors: &Tensors) -> Option<Deviation> {
    let share = |pair: &Pair<'_>| Some(pair.distance?.largest() / pair.allowed);
    let furthest = pairs
        .iter()
        .filter(|pair| share(pair).is_some())
        .max_by(|a, b| share(a).unwrap_or(0.0).total_cmp(&share(b).unwrap_or(0.0)))?;
    Some(Deviation {
        tensor: furthest.name.clone(),
        r#type: tensors.ggml_type(&furthest.name)?.name(),
        relative: furthest.distance?.largest(),
        allowed: furthest.allowed,
    })
}

/// Types of the layers' matrices by their number of weights; the embedding alone if there is none.
fn types(tensors: &Tensors, witness: &Witness) -> Vec<&'static str> {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for tensor in expected(witness) {
        let Some(ggml_type) = tensors.ggml_type(&tensor.name) else { continue };
        let shape = tensors.get(&tensor.name).map_or(Vec::new(), |tensor| tensor.shape());
        if shape.len() == 2 && (tensor.layer.is_some() || tensor.name == TOKEN_EMBEDDING) {
            let weight = if tensor.layer.is_some() { shape.iter().product() } else { 1 };
            *counts.entry(ggml_type.name()).or_default() += weight;
        }
    }
    let mut types: Vec<(&'static str, u64)> = counts.into_iter().collect();
    types.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    types.into_iter().map(|(name, _)| name).collect()
}
