//! The fault that explains a group of tensors: an adapter, another step of the training, another model.

use super::super::{
    Finding, Witness,
    finding::Cause,
    mark::{Mark, features},
    pair::Pair,
};
use crate::display::few;
use std::collections::{BTreeMap, BTreeSet};

/// Share of the tensors that another model differs in.
const MOST: f64 = 0.8;
/// Difference of the adapter's factor from 1 that is a fault.
const MAX_SCALE_ERROR: f64 = 0.1;
/// Cosine of two tensors above which one is a later step of the other.
const RELATED: f64 = 0.5;

/// Adds the findings on the tensors of `left`, which nothing explains one by one. Returns the factor of the adapter in the
/// file, if there is an adapter.
pub(super) fn assign(
    pairs: &[Pair<'_>],
    left: &[&Pair<'_>],
    witness: &Witness,
    findings: &mut Vec<Finding>,
) -> Option<f64> {
    if witness.base.is_empty() {
        findings.extend(without_adapter(pairs, left));
        return None;
    }
    let is_adapted = |pair: &Pair<'_>| witness.base.contains_key(&pair.source);
    let others = pairs.iter().filter(|pair| !is_adapted(pair)).count();
    let (adapted, foreign): (Vec<&Pair<'_>>, Vec<&Pair<'_>>) = left.iter().partition(|pair| is_adapted(pair));
    if foreign.len() as f64 >= MOST * others as f64 && others > 0 && !foreign.is_empty() {
        let what = format!(
            "{} of the {others} tensors that the adapter leaves alone are others than in the trainer{}",
            foreign.len(),
            kinship(&foreign)
        );
        findings.push(Finding::wrong(Cause::WrongBase, what));
        return None;
    }
    findings.extend(without_adapter(pairs, &foreign));
    let scale = AdapterScale::fit(pairs, witness)?;
    match scale.cause() {
        Some(cause) => {
            let what = format!(
                "the adapter is in the file with {:.2} times the strength of the trainer's (± {:.2}, from {} tensors)",
                scale.factor,
                2.0 * scale.error,
                scale.tensors
            );
            findings.push(Finding::wrong(cause, what));
        }
        None => findings.extend(without_adapter(pairs, &adapted)),
    }
    Some(scale.factor)
}

/// Explains tensors that no adapter, as far as the witness knows, has changed.
fn without_adapter(pairs: &[Pair<'_>], left: &[&Pair<'_>]) -> Option<Finding> {
    if left.is_empty() {
        return None;
    }
    if left.len() as f64 >= MOST * pairs.len() as f64 {
        let what = format!("{} of {} tensors have other weights{}", left.len(), pairs.len(), kinship(left));
        return Some(Finding::wrong(Cause::OtherModel, what));
    }
    if let Some(parts) = adapted_parts(pairs, left) {
        let what = format!(
            "{} differ in every layer, and nothing else does: as if an adapter had been merged with another strength, or not \
             at all",
            few(&parts)
        );
        return Some(Finding::wrong(Cause::AdapterScale, what));
    }
    let names: Vec<String> = left.iter().map(|pair| pair.name.clone()).collect();
    let mut what = format!("{} has other weights{}", few(&names), kinship(left));
    if let [layers @ .., last] = layers(left).as_slice() {
        let list = layers.iter().map(|layer| format!("{layer}, ")).collect::<String>();
        what = format!("{} tensors have other weights, in layers {list}{last}{}", left.len(), kinship(left));
    }
    let files: BTreeSet<Option<&String>> = left.iter().map(|pair| pair.expected.file.as_ref()).collect();
    if let (1, Some(Some(file))) = (files.len(), files.first()) {
        what += &format!("; all lie in {file}");
    }
    Some(Finding::wrong(Cause::OtherStep, what))
}

/// Layers of all of these, in order; empty if some lie outside the layers.
fn layers(left: &[&Pair<'_>]) -> Vec<u64> {
    let layers: Option<BTreeSet<u64>> = left.iter().map(|pair| pair.layer).collect();
    layers.unwrap_or_default().into_iter().collect()
}

/// Names of the matrices that differ, if each differs in every layer and nothing but matrices of layers does.
fn adapted_parts(pairs: &[Pair<'_>], left: &[&Pair<'_>]) -> Option<Vec<String>> {
    let mut layers: BTreeMap<&str, u64> = BTreeMap::new();
    for pair in left {
        pair.layer.filter(|_| pair.expected.shape.len() == 2)?;
        *layers.entry(pair.part).or_default() += 1;
    }
    let n_layers = pairs.iter().filter_map(|pair| pair.layer).max()? + 1;
    let is_whole = n_layers > 1 && layers.values().all(|count| *count == n_layers);
    is_whole.then(|| layers.into_keys().map(str::to_owned).collect())
}

/// Words on the likeness of the tensors with the trainer's.
fn kinship(left: &[&Pair<'_>]) -> String {
    let cosines: Vec<f64> = left
        .iter()
        .filter(|pair| pair.expected.shape.len() == 2)
        .filter_map(|pair| Some(cosine(pair.expected, pair.found.as_ref().ok()?)))
        .collect();
    if cosines.is_empty() {
        return String::new();
    }
    let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    match mean > RELATED {
        true => format!(", near the trainer's (cosine {mean:.3}): those of another step"),
        false => format!(", unlike the trainer's (cosine {mean:.3})"),
    }
}

fn cosine(a: &Mark, b: &Mark) -> f64 {
    let (a, b) = (features(a, 1.0), features(b, 1.0));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt().max(1e-30)
}

/// Factor of the adapter in the file: the file is `base + factor * (merged - base)`, by least squares over all tensors that the
/// adapter changes.
struct AdapterScale {
    factor: f64,
    /// Standard error of the factor.
    error: f64,
    tensors: usize,
}

impl AdapterScale {
    fn fit(pairs: &[Pair<'_>], witness: &Witness) -> Option<AdapterScale> {
        let (mut tensors, mut points) = (0, Vec::new());
        for pair in pairs {
            let (Some(base), Ok(found)) = (witness.base.get(&pair.source), &pair.found) else { continue };
            let rms = base.rms();
            let base = features(base, rms);
            let minus_base =
                |mark| features(mark, rms).into_iter().zip(&base).map(|(f, b)| f - b).collect::<Vec<_>>();
            points.extend(minus_base(pair.expected).into_iter().zip(minus_base(found)));
            tensors += 1;
        }
        let squares: f64 = points.iter().map(|(delta, _)| delta * delta).sum();
        if squares == 0.0 || points.len() < 2 {
            return None;
        }
        let factor = points.iter().map(|(delta, found)| delta * found).sum::<f64>() / squares;
        let rest: f64 = points.iter().map(|(delta, found)| (found - factor * delta).powi(2)).sum();
        let error = (rest / (points.len() - 1) as f64 / squares).sqrt();
        Some(AdapterScale { factor, error, tensors })
    }

    fn cause(&self) -> Option<Cause> {
        let off = (self.factor - 1.0).abs();
        if off <= MAX_SCALE_ERROR.max(5.0 * self.error) {
            return None;
        }
        let is_missing = self.factor.abs() <= MAX_SCALE_ERROR.max(5.0 * self.error);
        Some(if is_missing { Cause::AdapterMissing } else { Cause::AdapterScale })
    }
}
