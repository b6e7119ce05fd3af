//! The tables of a report.

use super::table::{Columns, Table};
use crate::bench::{
    report::{
        Distance, Mean, MetricComparison, Report, VariantReport,
        definitions::{EXACT, column},
        numbers::{decimals, megabytes, p_value, percent, points},
    },
    row::{Mode, Role},
    score::{
        metric::{FunctionName, METRICS, Metric},
        verdict::Comparison,
    },
};

/// A dash, for a figure that was not measured.
const NONE: &str = "—";

/// Names of the metrics in the table of variants, the primary one first.
fn first_metrics(report: &Report) -> Vec<&str> {
    let mut names = vec![report.primary.as_str()];
    names.extend([EXACT, FunctionName.name()].into_iter().filter(|name| *name != report.primary));
    names
}

/// Headers of the scores in the table of [`variants`].
pub(super) fn scores(report: &Report) -> Vec<String> {
    let names = first_metrics(report);
    names.iter().enumerate().map(|(at, name)| if at == 0 { *name } else { column(name) }.to_owned()).collect()
}

/// Variants: mean of the primary metric, and divergence from the reference.
pub(super) fn variants(report: &Report) -> Table {
    let distance = |variant: &VariantReport| report.distances.iter().find(|d| d.candidate == variant.label);
    let mean =
        |variant: &VariantReport, metric: &str| percent(variant.mean(metric).and_then(|mean| mean.mean));
    let mut columns = Columns::over(report.compared())
        .column("model", |variant| format!("{}{}", variant.name, role(report, variant)))
        .column("mode", |variant| variant.mode.to_string())
        .column("MB", |variant| megabytes(variant.file_bytes))
        .column("bits/weight", |variant| decimals(variant.bits_per_weight, 2))
        .column("rows", |variant| variant.rows.to_string());
    for (header, name) in scores(report).iter().zip(first_metrics(report)) {
        columns = columns.column(header, |variant| mean(variant, name));
    }
    columns = columns
        .column("no call", |variant| variant.rejected.values().sum::<usize>().to_string())
        .column("same output", |variant| percent(distance(variant).and_then(Distance::same_output_share)))
        .column("KL (nats)", |variant| decimals(distance(variant).and_then(|distance| distance.kl_mean), 4));
    let judged = METRICS.iter().map(|metric| (metric.name(), metric.needs_judge()));
    for (name, _) in judged.filter(|(name, needs_judge)| *needs_judge && *name != report.primary) {
        if report.variants.iter().any(|variant| variant.mean(name).is_some()) {
            columns = columns.column(format!("{name} (95 %)"), |variant| {
                variant.mean(name).map_or(NONE.into(), with_interval)
            });
        }
    }
    if report.variants.iter().any(|variant| variant.published.is_some()) {
        columns = columns.column("published", |variant| {
            let published = variant.published.as_ref();
            published.map_or(NONE.into(), |known| format!("{} {}", percent(Some(known.mean)), known.metric))
        });
    }
    columns.table()
}

/// Formats a mean in per cent with its interval.
fn with_interval(mean: &Mean) -> String {
    match mean.interval {
        Some(i) => {
            format!("{} ({} to {})", percent(mean.mean), percent(Some(i.low)), percent(Some(i.high)))
        }
        None => percent(mean.mean),
    }
}

fn role(report: &Report, variant: &VariantReport) -> &'static str {
    // If joined files name two references, only one of them is used.
    let is_used = || report.verdicts.iter().all(|v| v.mode != variant.mode || v.reference == variant.name);
    match variant.role {
        Role::Reference if is_used() => " (reference)",
        Role::Reference | Role::Candidate | Role::NoiseFloor => "",
    }
}

/// Adds the columns of a paired difference, in points.
fn difference<T>(columns: Columns<T>, comparison: impl Fn(&T) -> &Comparison) -> Columns<T> {
    columns
        .column("delta", |item| points(Some(comparison(item).delta)))
        .column("95 % from", |item| points(comparison(item).interval.map(|interval| interval.low)))
        .column("to", |item| points(comparison(item).interval.map(|interval| interval.high)))
        .column("broken", |item| comparison(item).broken.to_string())
        .column("fixed", |item| comparison(item).fixed.to_string())
}

/// A candidate's difference by the primary metric.
struct PrimaryDifference<'r> {
    name: &'r str,
    mode: Mode,
    comparison: &'r Comparison,
    /// `None` for a candidate without a verdict: it is descriptive, so its p-value is not adjusted.
    p_adjusted: Option<f64>,
}

/// Differences by the primary metric, in points.
pub(super) fn differences(report: &Report) -> Table {
    let decided = report.verdicts.iter().flat_map(|verdict| {
        verdict.verdict.findings.iter().map(|finding| PrimaryDifference {
            name: &finding.name,
            mode: verdict.mode,
            comparison: &finding.comparison,
            p_adjusted: Some(finding.p_adjusted),
        })
    });
    let is_served = |label: &str| report.variant(label).is_some_and(|variant| variant.endpoint.is_some());
    let served = report.comparisons.iter().filter(|c| c.metric == report.primary && is_served(&c.candidate));
    let served = served.map(|row| PrimaryDifference {
        name: report.variant(&row.candidate).map_or("", |variant| &variant.name),
        mode: row.mode,
        comparison: &row.comparison,
        p_adjusted: None,
    });
    let columns = Columns::over(decided.chain(served))
        .column(format!("{} (points)", report.primary), |row| row.name.to_owned())
        .column("mode", |row| row.mode.to_string());
    difference(columns, |row| row.comparison)
        .column("noise (%)", |row| percent(report.noise(row.mode)))
        .column("p", |row| p_value(row.comparison.p))
        .column("p (Holm)", |row| row.p_adjusted.map_or(NONE.into(), p_value))
        .column("p (McNemar)", |row| row.comparison.p_mcnemar.map_or(NONE.into(), p_value))
        .table()
}

/// Divergences from the reference. Each reference with an NLL of its own comes first, to compare the others with.
pub(super) fn distances(report: &Report) -> Table {
    let nll = |variant: &VariantReport| match report.labelled {
        true => variant.nll_per_token,
        false => variant.reference_nll_per_token,
    };
    let mut rows: Vec<(&VariantReport, Option<&Distance>)> = Vec::new();
    let mut last: Option<&str> = None;
    for distance in &report.distances {
        let Some(variant) = report.variant(&distance.candidate) else { continue };
        let reference = report.variant(&distance.reference).filter(|_| last != Some(&*distance.reference));
        rows.extend(
            reference.filter(|reference| nll(reference).is_some()).map(|reference| (reference, None)),
        );
        last = Some(&distance.reference);
        rows.push((variant, Some(distance)));
    }
    let count = |count: Option<usize>| count.map_or(NONE.into(), |count| count.to_string());
    let nll_header = if report.labelled { "NLL/token" } else { "NLL/token of the reference's text" };
    Columns::over(rows)
        .column("beside the reference", |(variant, distance)| match distance {
            Some(_) => variant.name.clone(),
            None => format!("{} (reference)", variant.name),
        })
        .column("mode", |(variant, _)| variant.mode.to_string())
        .column("rows", |(variant, distance)| distance.map_or(variant.rows, |d| d.rows).to_string())
        .column("same output (%)", |(_, distance)| percent(distance.and_then(Distance::same_output_share)))
        .column("same call (%)", |(_, distance)| percent(distance.and_then(Distance::same_call_share)))
        .column("95 % from", |(_, d)| percent(d.and_then(|d| d.same_calls_interval).map(|i| i.low)))
        .column("to", |(_, d)| percent(d.and_then(|d| d.same_calls_interval).map(|i| i.high)))
        .column("noise (%)", |(variant, d)| percent(d.and_then(|_| report.noise(variant.mode))))
        .column("other function", |(_, distance)| count(distance.map(|d| d.name_flips)))
        .column("other score", |(_, distance)| count(distance.and_then(|d| d.score_flips)))
        .column("first differing token", |(_, d)| decimals(d.and_then(|d| d.first_divergence), 0))
        .column("KL mean (nats)", |(_, distance)| decimals(distance.and_then(|d| d.kl_mean), 4))
        .column("KL p99", |(_, distance)| decimals(distance.and_then(|d| d.kl_p99), 4))
        .column("top-1 (%)", |(_, distance)| percent(distance.and_then(|d| d.top1_agreement)))
        .column(nll_header, |(variant, _)| decimals(nll(variant), 4))
        .table()
}

/// Costs.
pub(super) fn costs(report: &Report) -> Table {
    let costs =
        report.variants.iter().flat_map(|variant| variant.costs.iter().map(move |cost| (variant, cost)));
    Columns::over(costs)
        .column("model", |(variant, _)| variant.label.clone())
        .column("host", |(_, cost)| if cost.host.is_empty() { NONE.into() } else { cost.host.clone() })
        .column("calls", |(_, cost)| cost.calls.to_string())
        .column("s/call p50", |(_, cost)| format!("{:.3}", cost.wall_s_p50))
        .column("s/call p95", |(_, cost)| format!("{:.3}", cost.wall_s_p95))
        .column("CPU s/call", |(_, cost)| decimals(cost.cpu_s, 3))
        .column("prefill tok/s", |(_, cost)| decimals(cost.prefill_tokens_per_s, 1))
        .column("decode tok/s", |(_, cost)| decimals(cost.decode_tokens_per_s, 1))
        .column("load s", |(_, cost)| decimals(cost.load_s, 2))
        .column("peak MB", |(_, cost)| cost.peak_resident_bytes.map_or(NONE.into(), megabytes))
        .column("°C", |(_, cost)| decimals(cost.celsius, 0))
        .column("MHz", |(_, cost)| decimals(cost.mhz, 0))
        .column("throttled", |(_, cost)| {
            cost.throttled.map_or(NONE, |yes| if yes { "yes" } else { "no" }).into()
        })
        .table()
}

/// The noise floor.
pub(super) fn noise_floor(report: &Report) -> Table {
    let functions = |distance: &Distance| distance.name_flips as f64 / distance.rows.max(1) as f64;
    let rows = |distance: &Distance| distance.rows.to_string();
    Columns::over(&report.noise_floor)
        .column("reference once more", |noise| {
            noise.changed_to.clone().unwrap_or_else(|| noise.condition.clone())
        })
        .column("mode", |noise| noise.mode.to_string())
        .column("rows", |noise| noise.distance.as_ref().map_or(NONE.into(), rows))
        .column("other output (%)", |noise| percent(noise.output_flips()))
        .column("score (%)", |noise| percent(noise.score_flips()))
        .column("function (%)", |noise| percent(noise.distance.as_ref().map(functions)))
        .column("delta", |noise| points(noise.delta))
        .column("KL (nats)", |noise| decimals(noise.distance.as_ref().and_then(|d| d.kl_mean), 6))
        .column("KL p99", |noise| decimals(noise.distance.as_ref().and_then(|d| d.kl_p99), 6))
        .column("not measured", |noise| noise.reason.clone().unwrap_or_default())
        .table()
}

/// Differences between constrained and free decoding.
pub(super) fn constraints(report: &Report) -> Table {
    let shown = report.constraints.iter().filter(|row| row.metric == report.primary || !report.labelled);
    let columns = Columns::over(shown)
        .column("constraint against free (points)", |row| row.candidate.clone())
        .column("metric", |row| row.metric.clone());
    difference(columns, |row| &row.comparison).table()
}

/// Differences by every metric, in short.
pub(super) fn metrics(report: &Report) -> Table {
    let interval = |row: &MetricComparison| {
        let range = |low, high| format!("{} to {}", points(Some(low)), points(Some(high)));
        row.comparison.interval.map_or(NONE.into(), |interval| range(interval.low, interval.high))
    };
    Columns::over(&report.comparisons)
        .column("model", |row| row.candidate.clone())
        .column("metric", |row| row.metric.clone())
        .column("reference", |row| row.reference.clone())
        .column("delta (points)", |row| points(Some(row.comparison.delta)))
        .column("95 %", |row| interval(row))
        .table()
}

/// Differences by every metric, with means and p-values.
pub(super) fn metrics_in_full(report: &Report) -> Table {
    let columns = Columns::over(&report.comparisons)
        .column("candidate", |row| row.candidate.clone())
        .column("metric", |row| row.metric.clone())
        .column("mean", |row| percent(Some(row.comparison.candidate_mean)))
        .column("reference", |row| percent(Some(row.comparison.reference_mean)));
    difference(columns, |row| &row.comparison).column("p", |row| p_value(row.comparison.p)).table()
}

/// Means of the primary metric by ground-truth function.
pub(super) fn functions(report: &Report) -> Table {
    let mut names: Vec<&str> = report
        .compared()
        .flat_map(|variant| &variant.functions)
        .map(|function| &*function.function)
        .collect();
    names.sort_unstable();
    names.dedup();
    // Without functions there is nothing to show of any variant.
    let shown = report.compared().filter(|_| !names.is_empty());
    let columns =
        Columns::over(shown).column(format!("{} (%)", report.primary), |variant| variant.label.clone());
    let with_function = |columns: Columns<_>, name: &&str| {
        columns.column(*name, |variant: &&VariantReport| {
            let function = variant.functions.iter().find(|function| function.function == *name);
            function.map_or(NONE.into(), |f| format!("{} (n = {})", percent(Some(f.mean)), f.rows))
        })
    };
    names.iter().fold(columns, with_function).table()
}
