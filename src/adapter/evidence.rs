//! Signs that a base is not the one that an adapter belongs to: it has been merged already, or it is another model.

use super::{
    Error,
    folder::Adapter,
    lora::{Layer, Lora, read},
    model::Model,
    module::Module,
    rounding::Rounding,
    steps::{Start, Step},
};
use crate::checkpoint::{self, Shards, SourceTensor};

/// Rows of a tensor that are compared.
const SAMPLE_ROWS: u64 = 32;
/// Modules that are looked at.
const SAMPLE_MODULES: usize = 32;
/// Largest standard error with which the sample tells anything.
const MAX_ERROR: f64 = 0.1;

/// True if evenly spaced rows of an adapter's tensor, rounded to the base's dtype, are those of the base's tensor.
pub(super) fn same_sample(
    base: &Shards,
    stored: &SourceTensor,
    adapter: &Shards,
    tensor: &SourceTensor,
) -> Result<bool, checkpoint::Error> {
    if stored.shape.get(1) != tensor.shape.get(1) || stored.shape.is_empty() || tensor.shape.is_empty() {
        return Ok(false);
    }
    let rounding = Rounding::to(stored.dtype);
    let width = stored.shape.get(1).copied().unwrap_or(1);
    let (mut raw, mut ours) = (Vec::new(), vec![0.0; width as usize]);
    let mut theirs = ours.clone();
    for row in sampled(stored.shape[0].min(tensor.shape[0])) {
        read(base, stored, row * width, &mut raw, &mut ours)?;
        read(adapter, tensor, row * width, &mut raw, &mut theirs)?;
        rounding.apply(&mut theirs);
        if ours != theirs {
            return Ok(false);
        }
    }
    Ok(true)
}

/// True if every row of trained tokens is the base's row already.
pub(super) fn same_rows(
    base: &Shards,
    stored: &SourceTensor,
    adapter: &Shards,
    tensor: &SourceTensor,
    indices: &[u64],
) -> Result<bool, checkpoint::Error> {
    let width = tensor.shape.get(1).copied().unwrap_or(1);
    let (mut raw, mut ours) = (Vec::new(), vec![0.0; width as usize]);
    let mut theirs = ours.clone();
    for (row, &index) in (0..).zip(indices) {
        if stored.shape.first().is_none_or(|rows| index >= *rows) {
            return Ok(false);
        }
        read(base, stored, index * width, &mut raw, &mut ours)?;
        read(adapter, tensor, row * width, &mut raw, &mut theirs)?;
        Rounding::to(stored.dtype).apply(&mut theirs);
        if ours != theirs {
            return Ok(false);
        }
    }
    Ok(!indices.is_empty())
}

/// True if DoRA's magnitudes are the lengths of the base's rows, as before the training, in a sample of rows.
pub(super) fn has_first_magnitudes(
    base: &Shards,
    tensor: &SourceTensor,
    adapter: &Shards,
    magnitude: &SourceTensor,
) -> Result<bool, checkpoint::Error> {
    /// Magnitudes may have been stored in BF16.
    const TOLERANCE: f64 = 0.005;
    let (width, mut raw) = (tensor.shape[1], Vec::new());
    let (mut weights, mut length) = (vec![0.0; width as usize], [0.0]);
    for row in sampled(tensor.shape[0]) {
        read(base, tensor, row * width, &mut raw, &mut weights)?;
        read(adapter, magnitude, row, &mut raw, &mut length)?;
        let norm = weights.iter().map(|weight| f64::from(*weight).powi(2)).sum::<f64>().sqrt();
        if (f64::from(length[0]) - norm).abs() > TOLERANCE * norm {
            return Ok(false);
        }
    }
    Ok(true)
}

fn sampled(rows: u64) -> impl Iterator<Item = u64> {
    let count = rows.min(SAMPLE_ROWS);
    (0..count).map(move |i| i * rows / count)
}

/// Products of weights and change, summed over a sample of rows.
#[derive(Clone, Copy, Default)]
struct Sums {
    weights_change: f64,
    change: f64,
    weights: f64,
    count: f64,
}

/// A warning for each adapter whose change the base seems to contain already.
///
/// The part of the weights that lies along the change is about as large as the change if it was added once, and small
/// against it if it was not. A sample of rows tells, unless the change is tiny against the weights.
pub(super) fn merged_already(
    base: &Shards,
    adapters: &[Adapter],
    model: &Model,
    modules: &[Module],
) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    for (index, adapter) in adapters.iter().enumerate() {
        let candidates: Vec<(&SourceTensor, &Lora)> = modules
            .iter()
            .filter(|module| module.adapter == index)
            .filter_map(|m| matrix(model, m))
            .collect();
        let step = candidates.len().div_ceil(SAMPLE_MODULES).max(1);
        let mut sums = Vec::new();
        for (tensor, lora) in candidates.into_iter().step_by(step) {
            sums.push(sample(base, tensor, &adapter.shards, lora)?);
        }
        if looks_merged(&sums) {
            warnings.push(format!(
                "{}: the base seems to have this adapter merged into it already: its weights contain the adapter's \
                 change once, by a sample of {} modules; the result would contain it twice",
                adapter.dir.display(),
                sums.len()
            ));
        }
    }
    Ok(warnings)
}

/// The base's tensor and the matrices of a module on a matrix.
fn matrix<'a>(model: &'a Model, module: &Module) -> Option<(&'a SourceTensor, &'a Lora)> {
    let draft = &model.drafts[&module.tensor];
    match (&draft.start, &draft.steps[module.step]) {
        (Start::Base(tensor), Step::Matrix(lora) | Step::Dora(lora, _)) => Some((tensor, lora)),
        _ => None,
    }
}

fn sample(base: &Shards, tensor: &SourceTensor, adapter: &Shards, lora: &Lora) -> Result<Sums, Error> {
    let (mut raw, mut coefficients) = (Vec::new(), Vec::new());
    let factors = lora.factors(adapter, Layer::Linear, Rounding::None, &mut raw)?;
    let width = tensor.shape[1];
    let (mut weights, mut change) = (vec![0.0; width as usize], vec![0.0; width as usize]);
    let mut sums = Sums::default();
    for row in sampled(tensor.shape[0]) {
        read(base, tensor, row * width, &mut raw, &mut weights)?;
        let rows = row..row + 1;
        lora.coefficients(adapter, Layer::Linear, Rounding::None, rows, &mut raw, &mut coefficients)?;
        lora.change(&coefficients, &factors, &mut change);
        for (weight, change) in weights.iter().zip(&change) {
            let (weight, change) = (f64::from(*weight), f64::from(*change));
            sums.weights_change += weight * change;
            sums.change += change * change;
            sums.weights += weight * weight;
            sums.count += 1.0;
        }
    }
    Ok(sums)
}

/// True if the weights contain the change once, in all of the modules together and in nearly all by themselves.
fn looks_merged(modules: &[Sums]) -> bool {
    let (along, change): (f64, f64) =
        (modules.iter().map(|sums| sums.weights_change).sum(), modules.iter().map(|sums| sums.change).sum());
    let variance: f64 = modules.iter().map(|sums| sums.weights * sums.change / sums.count.max(1.0)).sum();
    let is_one = |share: f64, within: f64| (share - 1.0).abs() < within;
    let alone = modules.iter().filter(|sums| is_one(sums.weights_change / sums.change, 0.5)).count();
    change > 0.0
        && variance.sqrt() / change < MAX_ERROR
        && is_one(along / change, 0.25)
        && alone * 10 >= modules.len() * 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_over_all_rows() {
        assert_eq!(sampled(3).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(sampled(64).last(), Some(62));
        assert_eq!(sampled(0).count(), 0);
    }

    #[test]
    fn only_a_change_that_the_weights_contain_once_is_told() {
        let sums = |weights_change| Sums { weights_change, change: 1.0, weights: 100.0, count: 1e5 };
        assert!(looks_merged(&[sums(1.1), sums(0.9)]));
        assert!(!looks_merged(&[sums(0.1), sums(-0.2)]));
        assert!(!looks_merged(&[sums(2.0), sums(0.0)]), "once on average only");
        assert!(!looks_merged(&[Sums { weights: 1e6, ..sums(1.0) }]), "too small to tell");
        assert!(!looks_merged(&[]));
    }
}
