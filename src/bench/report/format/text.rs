//! The report as text for a terminal.

use super::Exporter;
use crate::bench::{
    report::{Distance, Mean, Report, VariantReport, decimals, megabytes, p_value, percent, points},
    row::{Mode, Role},
    score::judge,
};

/// Exporter of fixed-width tables.
pub struct Text;

impl Exporter for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn export(&self, report: &Report) -> String {
        let mut out = String::new();
        let mode = |mode: Mode| if report.verdicts.len() > 1 { format!("{mode}: ") } else { String::new() };
        for verdict in &report.verdicts {
            out += &format!("{}{}\n", mode(verdict.mode), verdict.sentence);
        }
        out += &report.nothing_to_compare().map_or(String::new(), |words| format!("{words}\n"));
        add(&mut out, &variants(report));
        add(&mut out, &if report.labelled { differences(report) } else { distances(report) });
        for verdict in &report.verdicts {
            for found in report.findings(verdict) {
                out += &format!("\n{}{}: {}", mode(verdict.mode), found.name, found.words);
            }
        }
        if out.ends_with(|c| c != '\n') {
            out.push('\n');
        }
        for table in [costs(report), noise_floor(report), constraints(report)] {
            add(&mut out, &table);
        }
        for note in &report.notes {
            out += &format!("\n{note}\n");
        }
        out
    }
}

/// Table of variants: mean of the primary metric, and divergence from the reference.
pub(super) fn variants(report: &Report) -> Vec<Vec<String>> {
    let mut table = vec![
        [
            "model",
            "mode",
            "MB",
            "bits/weight",
            "rows",
            &report.primary,
            "function",
            "no call",
            "same output",
            "KL (nats)",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let has_judge = report.primary != judge::METRIC
        && report.variants.iter().any(|variant| variant.mean(judge::METRIC).is_some());
    let has_published = report.variants.iter().any(|variant| variant.published.is_some());
    table[0].extend(has_judge.then(|| format!("{} (95 %)", judge::METRIC)));
    table[0].extend(has_published.then(|| "published".to_owned()));
    for variant in report.compared() {
        let distance = report.distances.iter().find(|distance| distance.candidate == variant.label);
        table.push(vec![
            format!("{}{}", variant.name, role(report, variant)),
            variant.mode.to_string(),
            megabytes(variant.file_bytes),
            decimals(variant.bits_per_weight, 2),
            variant.rows.to_string(),
            percent(variant.mean(&report.primary).and_then(|mean| mean.mean)),
            percent(variant.mean("function_name").and_then(|mean| mean.mean)),
            variant.rejected.values().sum::<usize>().to_string(),
            percent(distance.and_then(Distance::same_output_share)),
            decimals(distance.and_then(|distance| distance.kl_mean), 4),
        ]);
        let row = table.last_mut().expect("it was added");
        row.extend(has_judge.then(|| variant.mean(judge::METRIC).map_or("—".into(), with_interval)));
        row.extend(has_published.then(|| {
            variant
                .published
                .as_ref()
                .map_or("—".into(), |known| format!("{} {}", percent(Some(known.mean)), known.metric))
        }));
    }
    table
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
    match variant.role {
        // If joined files name two references, only one of them is used.
        Role::Reference
            if report.verdicts.iter().all(|v| v.mode != variant.mode || v.reference == variant.name) =>
        {
            " (reference)"
        }
        Role::Reference => "",
        Role::Candidate | Role::NoiseFloor => "",
    }
}

/// Table of differences by the primary metric, in points.
pub(super) fn differences(report: &Report) -> Vec<Vec<String>> {
    let head = [
        &*format!("{} (points)", report.primary),
        "mode",
        "delta",
        "95 % from",
        "to",
        "broken",
        "fixed",
        "noise (%)",
        "p",
        "p (Holm)",
        "p (McNemar)",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    let findings =
        report.verdicts.iter().flat_map(|v| v.verdict.findings.iter().map(|finding| (v.mode, finding)));
    for (mode, finding) in findings {
        let comparison = &finding.comparison;
        table.push(vec![
            finding.name.clone(),
            mode.to_string(),
            points(Some(comparison.delta)),
            points(comparison.interval.map(|interval| interval.low)),
            points(comparison.interval.map(|interval| interval.high)),
            comparison.broken.to_string(),
            comparison.fixed.to_string(),
            percent(report.noise(mode)),
            p_value(comparison.p),
            p_value(finding.p_adjusted),
            comparison.p_mcnemar.map_or("—".into(), p_value),
        ]);
    }
    // Candidates without a verdict are descriptive, so their p-values are not adjusted.
    let is_served = |label: &str| report.variant(label).is_some_and(|variant| variant.endpoint.is_some());
    for row in report.comparisons.iter().filter(|c| c.metric == report.primary && is_served(&c.candidate)) {
        let comparison = &row.comparison;
        table.push(vec![
            report.variant(&row.candidate).map_or_else(String::new, |variant| variant.name.clone()),
            row.mode.to_string(),
            points(Some(comparison.delta)),
            points(comparison.interval.map(|interval| interval.low)),
            points(comparison.interval.map(|interval| interval.high)),
            comparison.broken.to_string(),
            comparison.fixed.to_string(),
            percent(report.noise(row.mode)),
            p_value(comparison.p),
            "—".into(),
            comparison.p_mcnemar.map_or("—".into(), p_value),
        ]);
    }
    table
}

/// Table of divergences from the reference.
pub(super) fn distances(report: &Report) -> Vec<Vec<String>> {
    let nll_header = if report.labelled { "NLL/token" } else { "NLL/token of the reference's text" };
    let head = [
        "beside the reference",
        "mode",
        "rows",
        "same output (%)",
        "same call (%)",
        "95 % from",
        "to",
        "noise (%)",
        "other function",
        "other score",
        "first differing token",
        "KL mean (nats)",
        "KL p99",
        "top-1 (%)",
        nll_header,
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    let mut last: Option<&str> = None;
    let nll = |variant: &VariantReport| match report.labelled {
        true => variant.nll_per_token,
        false => variant.reference_nll_per_token,
    };
    for distance in &report.distances {
        let Some(variant) = report.variant(&distance.candidate) else { continue };
        let interval = distance.same_calls_interval;
        // The reference's own NLL, to compare the others with.
        let reference = report.variant(&distance.reference).filter(|_| last != Some(&*distance.reference));
        if let Some(reference) = reference.filter(|reference| nll(reference).is_some()) {
            let mut row = vec!["—".to_owned(); table[0].len()];
            row[0] = format!("{} (reference)", reference.name);
            row[1] = reference.mode.to_string();
            row[2] = reference.rows.to_string();
            *row.last_mut().expect("there are columns") = decimals(nll(reference), 4);
            table.push(row);
        }
        last = Some(&distance.reference);
        table.push(vec![
            variant.name.clone(),
            variant.mode.to_string(),
            distance.rows.to_string(),
            percent(distance.same_output_share()),
            percent(distance.same_call_share()),
            percent(interval.map(|interval| interval.low)),
            percent(interval.map(|interval| interval.high)),
            percent(report.noise(variant.mode)),
            distance.name_flips.to_string(),
            distance.score_flips.map_or("—".into(), |flips| flips.to_string()),
            decimals(distance.first_divergence, 0),
            decimals(distance.kl_mean, 4),
            decimals(distance.kl_p99, 4),
            percent(distance.top1_agreement),
            decimals(nll(variant), 4),
        ]);
    }
    table
}

/// Table of costs.
pub(super) fn costs(report: &Report) -> Vec<Vec<String>> {
    let head = [
        "model",
        "host",
        "calls",
        "s/call p50",
        "s/call p95",
        "CPU s/call",
        "prefill tok/s",
        "decode tok/s",
        "load s",
        "peak MB",
        "°C",
        "MHz",
        "throttled",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    for (variant, cost) in
        report.variants.iter().flat_map(|variant| variant.costs.iter().map(move |cost| (variant, cost)))
    {
        table.push(vec![
            variant.label.clone(),
            if cost.host.is_empty() { "—".into() } else { cost.host.clone() },
            cost.calls.to_string(),
            format!("{:.3}", cost.wall_s_p50),
            format!("{:.3}", cost.wall_s_p95),
            decimals(cost.cpu_s, 3),
            decimals(cost.prefill_tokens_per_s, 1),
            decimals(cost.decode_tokens_per_s, 1),
            decimals(cost.load_s, 2),
            cost.peak_resident_bytes.map_or("—".into(), megabytes),
            decimals(cost.celsius, 0),
            decimals(cost.mhz, 0),
            cost.throttled.map_or("—", |yes| if yes { "yes" } else { "no" }).into(),
        ]);
    }
    table
}

/// Table of the noise floor.
pub(super) fn noise_floor(report: &Report) -> Vec<Vec<String>> {
    let head = [
        "reference once more",
        "mode",
        "rows",
        "other output (%)",
        "score (%)",
        "function (%)",
        "delta",
        "KL (nats)",
        "KL p99",
        "not measured",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    for noise in &report.noise_floor {
        let distance = noise.distance.as_ref();
        let functions = distance.map(|distance| distance.name_flips as f64 / distance.rows.max(1) as f64);
        table.push(vec![
            noise.changed_to.clone().unwrap_or_else(|| noise.condition.clone()),
            noise.mode.to_string(),
            distance.map_or("—".into(), |distance| distance.rows.to_string()),
            percent(noise.output_flips()),
            percent(noise.score_flips()),
            percent(functions),
            points(noise.delta),
            decimals(distance.and_then(|distance| distance.kl_mean), 6),
            decimals(distance.and_then(|distance| distance.kl_p99), 6),
            noise.reason.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// Table of differences between constrained and free decoding.
pub(super) fn constraints(report: &Report) -> Vec<Vec<String>> {
    let head = ["constraint against free (points)", "metric", "delta", "95 % from", "to", "broken", "fixed"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    for row in report.constraints.iter().filter(|row| row.metric == report.primary || !report.labelled) {
        table.push(vec![
            row.candidate.clone(),
            row.metric.clone(),
            points(Some(row.comparison.delta)),
            points(row.comparison.interval.map(|interval| interval.low)),
            points(row.comparison.interval.map(|interval| interval.high)),
            row.comparison.broken.to_string(),
            row.comparison.fixed.to_string(),
        ]);
    }
    table
}

/// Appends a table after an empty line, unless it has no rows besides its header.
fn add(out: &mut String, table: &[Vec<String>]) {
    if table.len() > 1 {
        out.push('\n');
        *out += &aligned(table);
    }
}

/// Formats a table: the first column is left-aligned, the others are right-aligned.
fn aligned(table: &[Vec<String>]) -> String {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        table.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    table.iter().map(line).collect()
}
