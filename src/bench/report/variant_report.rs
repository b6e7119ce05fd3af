//! Results of one variant.

use super::{
    costs,
    model::{FunctionReport, Mean, ScoreRow, VariantReport},
    pairing::Measures,
    variants::VariantRows,
};
use crate::bench::{
    data::{Call, published},
    row::{ReferenceTokens, Row, Speed},
    score::{
        confusion::Confusion,
        stats::{self, Cluster, Random},
        verdict::Rules,
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// Results of a variant; `speeds` are the measured calls of all variants.
pub(super) fn variant_report(
    variant: &VariantRows<'_>,
    speeds: &[Speed],
    measures: &Measures<'_>,
) -> VariantReport {
    let Measures { primary, metrics, rules } = *measures;
    let first = variant.rows[0];
    let mut confusion = Confusion::default();
    let mut rejected = BTreeMap::new();
    let mut functions: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in &variant.rows {
        let predicted = Call::parse(&row.prediction);
        if let Ok(gold) = Call::parse(&row.gold) {
            confusion.add(&gold, &predicted);
        }
        if let Err(cause) = predicted {
            *rejected.entry(row.call_error.unwrap_or(cause)).or_default() += 1;
        }
        functions.entry(row.function().unwrap_or_default()).or_default().extend(row.scores.get(primary));
    }
    let nll_per_token = |reference_tokens: ReferenceTokens| {
        let divergences = || {
            variant
                .rows
                .iter()
                .filter_map(|row| row.divergence.as_ref())
                .filter(|divergence| divergence.reference_tokens == reference_tokens)
        };
        let tokens: usize = divergences().map(|divergence| divergence.tokens).sum();
        (tokens > 0).then(|| divergences().map(|divergence| divergence.nll).sum::<f64>() / tokens as f64)
    };
    let kernels: BTreeSet<&String> =
        variant.rows.iter().map(|row| &row.key.kernels).filter(|kernels| !kernels.is_empty()).collect();
    VariantReport {
        label: variant.label.clone(),
        name: variant.name.clone(),
        model: first.model.clone(),
        mode: variant.mode(),
        role: variant.role(),
        endpoint: variant.endpoint().cloned(),
        file_sha256: first.key.variant.file_sha256.clone(),
        file_bytes: first.file_bytes,
        bits_per_weight: first.bits_per_weight,
        kv_type: first.key.variant.kv_type.clone(),
        threads: first.key.variant.threads,
        engine: first.key.variant.engine.clone(),
        rules: first.key.variant.rules,
        changed: first.key.variant.changed.clone(),
        kernels: kernels.into_iter().cloned().collect(),
        rows: variant.rows.len(),
        means: metrics.iter().map(|metric| mean(variant, metric, rules)).collect(),
        functions: functions
            .into_iter()
            .filter_map(|(function, scores)| {
                Some(FunctionReport { function, rows: scores.len(), mean: stats::mean(&scores)? })
            })
            .collect(),
        rejected,
        confusion,
        published: published::published_score(first.checkpoint.as_deref(), &first.data),
        nll_per_token: nll_per_token(ReferenceTokens::Gold),
        reference_nll_per_token: nll_per_token(ReferenceTokens::Reference),
        costs: costs::costs(variant, speeds),
    }
}

fn mean(variant: &VariantRows<'_>, metric: &str, rules: &Rules) -> Mean {
    let mut clusters: BTreeMap<usize, Cluster> = BTreeMap::new();
    for row in &variant.rows {
        if let Some(score) = row.scores.get(metric) {
            let cluster = clusters.entry(row.conversation).or_default();
            cluster.sum += score;
            cluster.rows += 1;
        }
    }
    let clusters: Vec<Cluster> = clusters.into_values().collect();
    let mut picks = Random::new(rules.seed);
    Mean {
        metric: metric.to_owned(),
        rows: clusters.iter().map(|cluster| cluster.rows).sum(),
        interval: stats::bootstrap(&clusters, rules.draws, &mut || picks.below(clusters.len())),
        mean: (!clusters.is_empty()).then(|| stats::delta(&clusters)),
    }
}

/// Scores of a variant, row by row.
pub(super) fn score_rows(variant: &VariantRows<'_>) -> Vec<ScoreRow> {
    let row = |row: &&Row| ScoreRow {
        variant: variant.label.clone(),
        conversation: row.conversation,
        turn: row.turn,
        function: row.function(),
        scores: row.scores.clone(),
    };
    variant.rows.iter().map(row).collect()
}
