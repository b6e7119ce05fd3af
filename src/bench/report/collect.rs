//! Makes a report from rows.

use super::{
    CostReport, FunctionReport, Mean, ModeVerdict, Report, SCHEMA_VERSION, ScoreRow, VariantReport, noise,
    pairing::{self, VariantRows, is_binary},
    words::{notes, sentence, sentence_without_labels},
};
use crate::bench::{
    data::{Call, published},
    row::{Cost, Mode, ReferenceTokens, Rendering, Role, Row, RowFile, Speed, sort},
    score::{
        confusion::Confusion,
        judge,
        metric::{METRICS, Metric},
        stats::{self, Cluster, Random},
        verdict::{Candidate, Rules, decide},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// Makes the report of a run's rows; their order does not matter. `None` without rows.
///
/// `rules` configure the statistics. The margin and the primary metric are taken from the rows, where they were fixed
/// before the run.
pub fn collect(file: &RowFile, rules: &Rules) -> Option<Report> {
    let mut rows = file.rows.clone();
    sort(&mut rows);
    let first = rows.first()?;
    let rules = Rules { margin: first.margin, ..*rules };
    let primary = first.primary.clone();
    let variants = variants(&rows);
    let labelled = rows.iter().any(Row::is_labelled);
    let metrics = metrics(&rows, &primary, labelled);
    let mut report = Report {
        schema_version: SCHEMA_VERSION,
        verdicts: Vec::new(),
        labelled,
        primary: primary.clone(),
        rules,
        data: first.data.clone(),
        conversations: rows.iter().map(|row| row.conversation).collect::<BTreeSet<_>>().len(),
        cases: rows.iter().map(Row::case).collect::<BTreeSet<_>>().len(),
        notes: Vec::new(),
        variants: variants
            .iter()
            .map(|variant| VariantReport {
                costs: costs(variant, &file.speeds),
                ..variant_report(variant, &metrics, &primary, &rules)
            })
            .collect(),
        comparisons: Vec::new(),
        constraints: Vec::new(),
        judges: judge::judges(&rows),
        noise_floor: Vec::new(),
        distances: Vec::new(),
        flips: Vec::new(),
        rows: variants.iter().flat_map(score_rows).collect(),
        environment: file.starts.clone(),
    };
    let skipped = file.starts.iter().flat_map(|start| start.skipped.clone()).collect();
    for mode in Mode::ALL {
        let of_mode: Vec<&VariantRows<'_>> =
            variants.iter().filter(|variant| mode_of(variant) == mode).collect();
        if let Some(reference) = reference(&of_mode) {
            add_mode(&mut report, mode, reference, &of_mode, &metrics);
            let noise = noise::noise_floor(mode, reference, &of_mode, &skipped, &primary, &rules);
            report.noise_floor.extend(noise);
        }
    }
    add_constraints(&mut report, &variants, &metrics);
    report.notes = notes(&report, &variants);
    Some(report)
}

/// Formats one setting of a variant for its name.
pub(super) type Setting = fn(&Row) -> String;

pub(super) fn threads(row: &Row) -> String {
    match row.key.variant.threads {
        1 => "1 thread".into(),
        n => format!("{n} threads"),
    }
}

pub(super) fn n_ubatch(row: &Row) -> String {
    format!("n_ubatch {}", row.key.variant.n_ubatch)
}

pub(super) fn repack(row: &Row) -> String {
    if row.key.variant.repack { "repacked".into() } else { "not repacked".into() }
}

/// Settings that may distinguish variants of the same model and mode.
const SETTINGS: [Setting; 7] = [
    |row| format!("KV {}", row.key.variant.kv_type),
    threads,
    n_ubatch,
    repack,
    |row| {
        if row.key.variant.flash_attention { "flash attention".into() } else { "no flash attention".into() }
    },
    |row| format!("{} tokens", row.key.variant.max_tokens),
    |row| row.key.variant.engine.clone(),
];

/// Groups sorted rows by variant and gives each variant a unique label.
fn variants(rows: &[Row]) -> Vec<VariantRows<'_>> {
    let mut variants: Vec<VariantRows<'_>> = Vec::new();
    for row in rows {
        match variants.last_mut().filter(|variant| {
            variant.rows[0].key.variant == row.key.variant && variant.rows[0].role == row.role
        }) {
            Some(variant) => variant.rows.push(row),
            None => variants.push(VariantRows { name: String::new(), label: String::new(), rows: vec![row] }),
        }
    }
    // A setting is part of the name only if variants differ in it. Those of the noise floor do not count, since they
    // differ on purpose.
    let is_local =
        |variant: &&VariantRows<'_>| variant.endpoint().is_none() && variant.rows[0].role != Role::NoiseFloor;
    let local = || variants.iter().filter(is_local).map(|variant| variant.rows[0]);
    let differing: Vec<&Setting> =
        SETTINGS.iter().filter(|setting| local().map(setting).collect::<BTreeSet<_>>().len() > 1).collect();
    let several_modes = variants.iter().map(mode_of).collect::<BTreeSet<_>>().len() > 1;
    let mut taken = BTreeSet::new();
    let varied: Vec<Option<&Row>> = variants
        .iter()
        .map(|variant| noise::varied(variant, &variants).map(|variant| variant.rows[0]))
        .collect();
    for (variant, varied) in variants.iter_mut().zip(varied) {
        let mut name = vec![variant.rows[0].model.clone()];
        match variant.endpoint() {
            None if variant.rows[0].role == Role::NoiseFloor => {
                name = vec![noise::name(variant.rows[0], varied)]
            }
            None => name.extend(differing.iter().map(|setting| setting(variant.rows[0]))),
            Some(served) => name.push(match served.rendering {
                Rendering::Ours => "over HTTP".into(),
                Rendering::Server => "over HTTP, the server's prompt".into(),
            }),
        }
        // Two files with the same name, or two servers with the same model.
        if taken.contains(&(mode_of(variant), name.join(", "))) {
            name.push(match variant.endpoint() {
                None => variant.rows[0].key.variant.file_sha256.chars().take(8).collect(),
                Some(served) => served.server.clone(),
            });
        }
        variant.name = name.join(", ");
        variant.label = if several_modes {
            format!("{}, {}", variant.name, mode_of(variant))
        } else {
            variant.name.clone()
        };
        taken.insert((mode_of(variant), variant.name.clone()));
    }
    variants
}

/// Metrics of the rows: the primary one first, then in the order of [`METRICS`]. Without ground truth the metrics that
/// need it are listed too, so that a reader sees what is missing.
fn metrics(rows: &[Row], primary: &str, labelled: bool) -> Vec<String> {
    let present: BTreeSet<&String> = rows.iter().flat_map(|row| row.scores.keys()).collect();
    let is_missing = |metric: &dyn Metric| {
        !labelled && metric.needs_label() && ![judge::METRIC, "judge_proxy"].contains(&metric.name())
    };
    let known = METRICS
        .iter()
        .filter(|metric| is_missing(**metric) || present.iter().any(|have| *have == metric.name()))
        .map(|metric| metric.name());
    let unknown =
        present.iter().map(|name| name.as_str()).filter(|name| METRICS.iter().all(|m| m.name() != *name));
    let mut names = vec![primary.to_owned()];
    names.extend(known.chain(unknown).filter(|name| *name != primary).map(str::to_owned));
    names
}

pub(super) fn mode_of(variant: &VariantRows<'_>) -> Mode {
    variant.rows[0].key.variant.mode
}

/// The variant that the others are compared with: the one named as the reference, else the largest file. A variant
/// whose prompts a server rendered cannot be the reference.
fn reference<'a, 'r>(of_mode: &[&'a VariantRows<'r>]) -> Option<&'a VariantRows<'r>> {
    let with =
        |role| move |variant: &&&VariantRows<'_>| variant.rows[0].role == role && variant.has_our_prompt();
    // A served model is a reference only if the user named it; a file may have become one by default.
    let served = of_mode.iter().filter(with(Role::Reference)).find(|variant| variant.endpoint().is_some());
    let named = served.or_else(|| of_mode.iter().find(with(Role::Reference)));
    // Variants are sorted by file size within their role.
    named.or_else(|| of_mode.iter().find(with(Role::Candidate))).copied()
}

fn add_mode(
    report: &mut Report,
    mode: Mode,
    reference: &VariantRows<'_>,
    of_mode: &[&VariantRows<'_>],
    metrics: &[String],
) {
    let (primary, rules) = (report.primary.clone(), report.rules);
    let others = || of_mode.iter().filter(|variant| variant.label != reference.label);
    let (mut candidates, labelled) = (Vec::new(), report.labelled);
    for candidate in others().filter(|variant| variant.rows[0].role != Role::NoiseFloor) {
        let rows = pairing::paired_scores(&pairing::pairs(reference, candidate), &primary);
        let file_bytes = candidate.rows[0].file_bytes;
        // A served model is not a file, so no verdict names it.
        if candidate.endpoint().is_none() && labelled {
            candidates.push(Candidate { name: candidate.name.clone(), file_bytes, rows });
        }
        report.comparisons.extend(pairing::comparisons(reference, candidate, metrics, &rules));
        report.distances.push(pairing::distance(reference, candidate, &primary, &rules));
        report.flips.extend(pairing::flips(reference, candidate, &primary));
    }
    let verdict = decide(candidates, is_binary(&primary), &rules);
    report.verdicts.push(ModeVerdict {
        mode,
        reference: reference.name.clone(),
        sentence: match labelled {
            true => sentence(&verdict, &reference.name, &primary, &rules),
            false => sentence_without_labels(report, mode, reference),
        },
        words: verdict.findings.iter().map(|finding| finding.words(&rules)).collect(),
        verdict,
    });
}

/// Compares each constrained mode with free decoding of the same file and settings.
fn add_constraints(report: &mut Report, variants: &[VariantRows<'_>], metrics: &[String]) {
    let but_for_mode = |variant: &VariantRows<'_>| {
        let mut key = variant.rows[0].key.variant.clone();
        key.mode = Mode::Free;
        (key, variant.rows[0].role)
    };
    let compared = |variant: &&VariantRows<'_>| {
        mode_of(variant) != Mode::Free && variant.rows[0].role != Role::NoiseFloor
    };
    for constrained in variants.iter().filter(compared) {
        let free = variants.iter().find(|variant| {
            mode_of(variant) == Mode::Free && but_for_mode(variant) == but_for_mode(constrained)
        });
        if let Some(free) = free {
            report.constraints.extend(pairing::comparisons(free, constrained, metrics, &report.rules));
        }
    }
}

fn variant_report(
    variant: &VariantRows<'_>,
    metrics: &[String],
    primary: &str,
    rules: &Rules,
) -> VariantReport {
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
        mode: first.key.variant.mode,
        role: first.role,
        endpoint: variant.endpoint().cloned(),
        file_sha256: first.key.variant.file_sha256.clone(),
        file_bytes: first.file_bytes,
        bits_per_weight: first.bits_per_weight,
        kv_type: first.key.variant.kv_type.clone(),
        threads: first.key.variant.threads,
        engine: first.key.variant.engine.clone(),
        rules: first.key.variant.rules,
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
        costs: Vec::new(),
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

/// Cost of a variant, by host, from the separate pass that measures speed. The rows' own times are not used: one model
/// may have run alone on a cold CPU and another not.
fn costs(variant: &VariantRows<'_>, speeds: &[Speed]) -> Vec<CostReport> {
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

fn score_rows(variant: &VariantRows<'_>) -> Vec<ScoreRow> {
    let row = |row: &&Row| ScoreRow {
        variant: variant.label.clone(),
        conversation: row.conversation,
        turn: row.turn,
        function: row.function(),
        scores: row.scores.clone(),
    };
    variant.rows.iter().map(row).collect()
}
