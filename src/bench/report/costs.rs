//! Costs of a variant, summed up by host.

use super::{model::CostReport, variants::VariantRows};
use crate::bench::{
    row::{Cost, Speed},
    score::stats,
};
use std::collections::BTreeMap;

/// Cost of a variant, by host, from the separate pass that measures speed. The rows' own times are not used: one model
/// may have run alone on a cold CPU and another not.
pub(super) fn costs(variant: &VariantRows<'_>, speeds: &[Speed]) -> Vec<CostReport> {
    let mut hosts: BTreeMap<&str, Vec<&Cost>> = BTreeMap::new();
    let measured =
        speeds.iter().filter(|speed| speed.variant == variant.rows[0].key.variant).map(|speed| &speed.cost);
    // A server is not part of the speed pass, so its costs come from its rows.
    let served =
        variant.rows.iter().filter(|_| variant.endpoint().is_some()).filter_map(|row| row.cost.as_ref());
    for cost in measured.chain(served) {
        hosts.entry(&cost.host).or_default().push(cost);
    }
    hosts.into_iter().map(|(host, costs)| host_cost(host, &costs)).collect()
}

fn host_cost(host: &str, costs: &[&Cost]) -> CostReport {
    let sorted = |value: fn(&Cost) -> Option<f64>| {
        let mut values: Vec<f64> = costs.iter().filter_map(|cost| value(cost)).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let sum = |value: fn(&Cost) -> f64| costs.iter().map(|cost| value(cost)).sum::<f64>();
    let rate = |tokens: f64, seconds: f64| (seconds > 0.0).then(|| tokens / seconds);
    let wall = sorted(|cost| Some(cost.wall_s));
    let throttled: Vec<bool> = costs.iter().filter_map(|cost| cost.throttled).collect();
    CostReport {
        host: host.to_owned(),
        calls: costs.len(),
        wall_s_p50: stats::quantile(&wall, 0.5).unwrap_or(0.0),
        wall_s_p95: stats::quantile(&wall, 0.95).unwrap_or(0.0),
        cpu_s: stats::mean(&sorted(|cost| cost.cpu_s)),
        prefill_tokens_per_s: rate(sum(|cost| cost.computed_tokens as f64), sum(|cost| cost.prefill_s)),
        decode_tokens_per_s: rate(sum(|cost| cost.generated_tokens as f64), sum(|cost| cost.decode_s)),
        prompt_tokens: costs.iter().map(|cost| cost.prompt_tokens).sum(),
        computed_tokens: costs.iter().map(|cost| cost.computed_tokens).sum(),
        load_s: stats::quantile(&sorted(|cost| cost.load_s), 0.5),
        peak_resident_bytes: costs.iter().filter_map(|cost| cost.peak_resident_bytes).max(),
        celsius: sorted(|cost| cost.celsius).last().copied(),
        mhz: sorted(|cost| cost.mhz).first().copied(),
        throttled: (!throttled.is_empty()).then(|| throttled.contains(&true)),
    }
}
