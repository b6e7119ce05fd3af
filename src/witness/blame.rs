//! The fault that explains tensors with other weights: first of each tensor by itself, then of those that are left.

mod groups;

use super::{
    Finding, Witness,
    finding::Cause,
    mark::{Distance, Mark},
    pair::Pair,
    tensors::{NotFinite, Order, Tensor, Tensors},
};
use crate::arch::{EMBEDDING, HEAD};
use std::collections::BTreeMap;

/// Most rows by which an embedding may be shifted.
const MAX_SHIFT: i64 = 64;
/// Share of the single weights that must fit an explanation.
const MOST: f64 = 0.9;
/// Fewest single weights that can tell a shift.
const FEWEST: usize = 4;

/// Adds the findings on tensors that differ. Returns the factor of the adapter in the file, if there is an adapter.
pub(super) fn assign(
    pairs: &[Pair<'_>],
    tensors: &Tensors,
    witness: &Witness,
    findings: &mut Vec<Finding>,
) -> Option<f64> {
    let mut explained: BTreeMap<(Cause, String), Vec<String>> = BTreeMap::new();
    let mut left = Vec::new();
    for pair in pairs.iter().filter(|pair| pair.differs()) {
        match tensors.get(&pair.name).and_then(|tensor| explain(pair, tensor, witness)) {
            Some(found) => explained.entry(found).or_default().push(pair.name.clone()),
            None => left.push(pair),
        }
    }
    for ((cause, how), names) in explained {
        findings.push(Finding::wrong(cause, format!("{how}: {}", crate::display::few(&names))));
    }
    groups::assign(pairs, &left, witness, findings)
}

/// The fault that explains a single tensor by itself.
fn explain(pair: &Pair<'_>, tensor: Tensor<'_>, witness: &Witness) -> Option<(Cause, String)> {
    let found = match &pair.found {
        Err(NotFinite { row, column }) => {
            let how = format!("weights that are no numbers, as at row {row}, column {column}");
            return Some((Cause::Overflow, how));
        }
        Ok(found) => found,
    };
    if let Some(other) = other_layer(pair, witness) {
        let how = format!("layer {} has the weights of layer {other}", pair.layer.unwrap_or(0));
        return Some((Cause::LayersSwapped, how));
    }
    if let Some(offset) = offset(pair.expected, found) {
        return Some((Cause::NormOffset, format!("weights of a norm with {offset:+.0} on each")));
    }
    if let Some(order) = other_order(pair, tensor, witness) {
        return Some((Cause::PermutedRows, order));
    }
    if pair.source == HEAD && !witness.tensors.contains_key(HEAD) {
        let how =
            "the file has an output head of its own, and in the trainer the embedding is the head".to_owned();
        return Some((Cause::HeadUntied, how));
    }
    if let Some(shift) = shift(pair, tensor) {
        let side = if shift > 0 { "behind" } else { "before" };
        return Some((Cause::ShiftedRows, format!("rows {} {side} their tokens", shift.abs())));
    }
    // Sums of columns do not depend on the order of rows.
    let distance = pair.distance?;
    let is_reordered =
        distance.rows > pair.allowed && distance.columns.max(distance.scale) <= pair.allowed / 4.0;
    (is_reordered && pair.expected.shape.len() == 2)
        .then(|| (Cause::PermutedRows, "the same rows in another order".to_owned()))
}

/// Another layer whose weights these are.
fn other_layer(pair: &Pair<'_>, witness: &Witness) -> Option<u64> {
    let layer = pair.layer?;
    let mark = |other: u64| witness.tensors.get(&format!("model.layers.{other}.{}", pair.part));
    let n_layers = witness.model.num_hidden_layers.min(witness.tensors.len() as u64);
    (0..n_layers)
        .filter(|other| *other != layer)
        .find(|other| mark(*other).is_some_and(|mark| pair.fits(mark)))
}

/// One that was added to every weight of a vector, or taken from it.
fn offset(expected: &Mark, found: &Mark) -> Option<f64> {
    let differences: Vec<f64> = found.values.iter().zip(&expected.values).map(|(f, e)| f - e).collect();
    let offset = differences.first()?.round();
    let fits = differences.iter().all(|difference| (difference - offset).abs() < 0.02);
    (expected.shape.len() == 1 && offset.abs() == 1.0 && fits).then_some(offset)
}

/// Another order of the rows of each head.
fn other_order(pair: &Pair<'_>, tensor: Tensor<'_>, witness: &Witness) -> Option<String> {
    let head_width = witness.model.head_width();
    if !["q_proj", "k_proj"].iter().any(|part| pair.part.contains(part))
        || !pair.expected.n_rows().is_multiple_of(head_width)
    {
        return None;
    }
    let orders = [
        (Order::Same, "the rows of each head in transformers' order, and not in llama.cpp's"),
        (Order::Interleaved { head_width }, "the rows of each head in the order of llama.cpp's Llama"),
        (Order::Parted { head_width }, "the rows of each head in the inverse of llama.cpp's order"),
    ];
    let fits = |order: Order| {
        let values =
            pair.expected.positions().map(|(row, column)| tensor.value(order, row, column)).collect();
        let Ok(found) = &pair.found else { return false };
        let distance = Distance::between(pair.expected, &Mark { values, ..found.clone() });
        distance.is_some_and(|distance| distance.values.max(distance.scale) <= pair.allowed)
    };
    let (_, name) = orders.into_iter().find(|(order, _)| *order != pair.order && fits(*order))?;
    Some(name.to_owned())
}

/// Rows by which an embedding, or a part of it, is shifted against its tokens.
fn shift(pair: &Pair<'_>, tensor: Tensor<'_>) -> Option<i64> {
    if ![EMBEDDING, HEAD].contains(&pair.part) {
        return None;
    }
    let Mark { values, .. } = pair.expected;
    let near = 1.5 * pair.allowed * pair.expected.rms();
    let fits = |row: u64, column: u64, value: f64, shift: i64| {
        let row = row.checked_add_signed(shift).filter(|row| *row < pair.expected.n_rows());
        row.map(|row| (tensor.value(Order::Same, row, column) - value).abs() <= near)
    };
    let weights: Vec<(u64, u64, f64)> =
        pair.expected.positions().zip(values).map(|((row, column), value)| (row, column, *value)).collect();
    // A shift may begin behind some of the rows.
    let misfits: Vec<_> = weights
        .into_iter()
        .filter(|&(row, column, value)| fits(row, column, value, 0) == Some(false))
        .collect();
    let share = |shift: i64| {
        let known = misfits.iter().filter_map(|&(row, column, value)| fits(row, column, value, shift));
        let known: Vec<bool> = known.collect();
        match known.len() < FEWEST {
            true => 0.0,
            false => known.iter().filter(|fits| **fits).count() as f64 / known.len() as f64,
        }
    };
    let shifts = (1..=MAX_SHIFT).flat_map(|shift| [shift, -shift]);
    let best = shifts.max_by(|a, b| share(*a).total_cmp(&share(*b)).then(b.abs().cmp(&a.abs())))?;
    (share(best) >= MOST).then_some(best)
}
