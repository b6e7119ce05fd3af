//! Pairs of rows from two variants.

use super::{
    model::{Distance, Flip, MetricComparison},
    variants::VariantRows,
};
use crate::bench::{
    data::Call,
    row::Row,
    score::{
        confusion::Confusion,
        metric,
        stats::{self, Cluster, Random},
        verdict::{PairedRow, Rules, compare},
    },
};
use std::collections::BTreeMap;

/// Choices of a report: its metrics, and the parameters of the statistics.
#[derive(Clone, Copy)]
pub(super) struct Measures<'r> {
    pub(super) primary: &'r str,
    /// All metrics, the primary one first.
    pub(super) metrics: &'r [String],
    pub(super) rules: &'r Rules,
}

/// Rows of the cases that both variants have; the reference's row comes first.
pub(super) fn pairs<'a>(reference: &VariantRows<'a>, candidate: &VariantRows<'a>) -> Vec<(&'a Row, &'a Row)> {
    let by_case: BTreeMap<(usize, usize), &Row> =
        reference.rows.iter().map(|row| (row.case(), *row)).collect();
    let pair = |row: &&'a Row| Some((*by_case.get(&row.case())?, *row));
    candidate.rows.iter().filter_map(pair).collect()
}

/// Scores of the pairs that have one on both sides.
pub(super) fn paired_scores(pairs: &[(&Row, &Row)], metric: &str) -> Vec<PairedRow> {
    let scores = |(reference, candidate): &(&Row, &Row)| {
        Some(PairedRow {
            conversation: reference.conversation,
            reference: *reference.scores.get(metric)?,
            candidate: *candidate.scores.get(metric)?,
        })
    };
    pairs.iter().filter_map(scores).collect()
}

/// One comparison for each metric that both variants have.
pub(super) fn comparisons(
    reference: &VariantRows<'_>,
    candidate: &VariantRows<'_>,
    measures: &Measures<'_>,
) -> Vec<MetricComparison> {
    let pairs = pairs(reference, candidate);
    let Some((_, first)) = pairs.first() else { return Vec::new() };
    // A server's kernels are unknown; a note of the report says so.
    let known = |kernels: &str| !kernels.is_empty();
    let differ = |(a, b): &&(&Row, &Row)| {
        known(&a.key.kernels) && known(&b.key.kernels) && a.key.kernels != b.key.kernels
    };
    let cross_kernel_pairs = pairs.iter().filter(differ).count();
    measures
        .metrics
        .iter()
        .filter_map(|metric| {
            let scores = paired_scores(&pairs, metric);
            (!scores.is_empty()).then(|| MetricComparison {
                candidate: candidate.label.clone(),
                reference: reference.label.clone(),
                mode: first.key.variant.mode,
                metric: metric.clone(),
                cross_kernel_pairs,
                comparison: compare(&scores, is_binary(metric), measures.rules),
            })
        })
        .collect()
}

/// True if every score of the metric is 0 or 1.
pub(super) fn is_binary(metric: &str) -> bool {
    metric::named(metric).is_some_and(|metric| metric.is_binary())
}

/// Divergence of the candidate's answers from the reference's.
pub(super) fn distance(
    reference: &VariantRows<'_>,
    candidate: &VariantRows<'_>,
    measures: &Measures<'_>,
) -> Distance {
    let pairs = pairs(reference, candidate);
    let Measures { primary, rules, .. } = *measures;
    let mut first_divergences: Vec<f64> = pairs
        .iter()
        .filter_map(|(a, b)| first_divergence(&a.tokens, &b.tokens))
        .map(|at| at as f64)
        .collect();
    first_divergences.sort_by(f64::total_cmp);
    let divergences = || candidate.rows.iter().filter_map(|row| row.divergence.as_ref());
    let mut kl: Vec<f64> = divergences().flat_map(|divergence| &divergence.kl).copied().collect();
    kl.sort_by(f64::total_cmp);
    let with_top1 =
        || divergences().filter_map(|divergence| Some((divergence.top1_agreeing?, divergence.tokens)));
    let positions: usize = with_top1().map(|(_, tokens)| tokens).sum();
    let agreeing: usize = with_top1().map(|(agreeing, _)| agreeing).sum();
    let mut functions = Confusion::default();
    let mut clusters: BTreeMap<usize, Cluster> = BTreeMap::new();
    for (a, b) in &pairs {
        functions.add_names(called(a).as_deref(), called(b).as_deref());
        let cluster = clusters.entry(b.conversation).or_default();
        cluster.sum += f64::from(u8::from(same_call(a, b)));
        cluster.rows += 1;
    }
    let clusters: Vec<Cluster> = clusters.into_values().collect();
    let mut picks = Random::new(rules.seed);
    let is_labelled = pairs.iter().any(|(_, row)| row.is_labelled());
    let score_flips = pairs.iter().filter(|(a, b)| a.scores.get(primary) != b.scores.get(primary)).count();
    Distance {
        candidate: candidate.label.clone(),
        reference: reference.label.clone(),
        rows: pairs.len(),
        same_outputs: pairs.iter().filter(|(a, b)| a.raw_output == b.raw_output).count(),
        same_calls: pairs.iter().filter(|(a, b)| same_call(a, b)).count(),
        same_calls_interval: stats::bootstrap(&clusters, rules.draws, &mut || picks.below(clusters.len())),
        name_flips: pairs.iter().filter(|(a, b)| called(a) != called(b)).count(),
        called: functions,
        score_flips: is_labelled.then_some(score_flips),
        first_divergence: stats::quantile(&first_divergences, 0.5),
        kl_mean: stats::mean(&kl),
        kl_p99: stats::quantile(&kl, 0.99),
        top1_agreement: (positions > 0).then(|| agreeing as f64 / positions as f64),
    }
}

/// Pairs with another function or primary score. In unlabelled data: pairs with another call; those with another
/// function come first.
pub(super) fn flips(reference: &VariantRows<'_>, candidate: &VariantRows<'_>, primary: &str) -> Vec<Flip> {
    let score = |row: &Row| match row.is_labelled() {
        true => Some(row.scores.get(primary).copied().unwrap_or(0.0)),
        false => None,
    };
    let mut flips: Vec<Flip> = pairs(reference, candidate)
        .into_iter()
        .filter(|(a, b)| has_flipped(a, b, primary))
        .map(|(a, b)| Flip {
            candidate: candidate.label.clone(),
            reference: reference.label.clone(),
            conversation: b.conversation,
            turn: b.turn,
            prompt_tail: b.prompt_tail.clone(),
            gold: b.is_labelled().then(|| b.gold.clone()),
            other_function: called(a) != called(b),
            reference_output: a.raw_output.clone(),
            reference_score: score(a),
            candidate_output: b.raw_output.clone(),
            candidate_score: score(b),
        })
        .collect();
    if flips.iter().all(|flip| flip.gold.is_none()) {
        flips.sort_by_key(|flip| !flip.other_function);
    }
    flips
}

/// True if two answers call different functions, or have different scores; in unlabelled data, if they are different
/// calls.
fn has_flipped(a: &Row, b: &Row, primary: &str) -> bool {
    if !b.is_labelled() {
        return !same_call(a, b);
    }
    let scores = a.scores.get(primary).zip(b.scores.get(primary));
    called(a) != called(b) || scores.is_some_and(|(a, b)| a != b)
}

/// Number of pairs with different prompts.
pub(super) fn other_prompts(pairs: &[(&Row, &Row)]) -> usize {
    pairs.iter().filter(|(a, b)| a.key.prompt_sha256 != b.key.prompt_sha256).count()
}

/// True if two answers are the same call; if neither is a call, true if their texts are equal.
fn same_call(a: &Row, b: &Row) -> bool {
    match (call(a), call(b)) {
        (None, None) => a.raw_output == b.raw_output,
        (a, b) => a == b,
    }
}

/// Call of a row, if its prediction is one.
fn call(row: &Row) -> Option<Call> {
    Call::parse(&row.prediction).ok()
}

/// Function that a row calls, if its prediction is a call.
fn called(row: &Row) -> Option<String> {
    call(row).map(|call| call.name)
}

/// First position at which two token sequences differ; `None` if they are equal or were not stored.
fn first_divergence(a: &[i32], b: &[i32]) -> Option<usize> {
    if a.is_empty() || b.is_empty() || a == b {
        return None;
    }
    let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    Some(common)
}

#[cfg(test)]
mod tests {
    use super::first_divergence;

    #[test]
    fn runs_differ_first_where_a_token_does_or_one_of_them_ends() {
        assert_eq!(first_divergence(&[1, 2, 3], &[1, 5, 3]), Some(1));
        assert_eq!(first_divergence(&[1, 2], &[1, 2, 3]), Some(2));
        assert_eq!(first_divergence(&[1, 2], &[1, 2]), None);
        assert_eq!(first_divergence(&[], &[1]), None);
    }
}
