//! Makes a report from rows.

use super::{
    model::{ModeVerdict, Report, SCHEMA_VERSION},
    noise::noise_floor,
    notes::notes,
    pairing::{self, Measures, is_binary},
    variant_report::{score_rows, variant_report},
    variants::{VariantRows, reference, variants},
    words::{sentence, sentence_without_labels},
};
use crate::bench::{
    data::DataId,
    row::{Mode, Role, Row, RowFile, sort},
    score::{
        judge,
        metric::{METRICS, Metric, Source},
        verdict::{Candidate, Rules, decide},
    },
};
use std::collections::BTreeSet;

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
    let metrics = metrics(&rows, &primary, &first.data);
    let measures = Measures { primary: &primary, metrics: &metrics, rules: &rules };
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
        variants: variants.iter().map(|variant| variant_report(variant, &file.speeds, &measures)).collect(),
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
            variants.iter().filter(|variant| variant.mode() == mode).collect();
        if let Some(reference) = reference(&of_mode) {
            add_mode(&mut report, reference, &of_mode, &measures);
            report.noise_floor.extend(noise_floor(reference, &of_mode, &skipped, &measures));
        }
    }
    add_constraints(&mut report, &variants, &measures);
    report.notes = notes(&report, &variants);
    Some(report)
}

/// Metrics of the rows: the primary one first, then in the order of [`METRICS`]. Without ground truth the metrics that
/// need it are listed too, so that a reader sees what is missing.
fn metrics(rows: &[Row], primary: &str, data: &DataId) -> Vec<String> {
    let labelled = rows.iter().any(Row::is_labelled);
    let present: BTreeSet<&String> = rows.iter().flat_map(|row| row.scores.keys()).collect();
    let is_missing = |metric: &dyn Metric| {
        !labelled && metric.needs_label() && !metric.needs_judge() && metric.applies_to(Source::Dataset(data))
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

/// Compares the variants of a mode with its reference, and decides.
fn add_mode(
    report: &mut Report,
    reference: &VariantRows<'_>,
    of_mode: &[&VariantRows<'_>],
    measures: &Measures<'_>,
) {
    let (mode, Measures { primary, rules, .. }) = (reference.mode(), *measures);
    let others = || of_mode.iter().filter(|variant| variant.label != reference.label);
    let (mut candidates, labelled) = (Vec::new(), report.labelled);
    for candidate in others().filter(|variant| variant.role() != Role::NoiseFloor) {
        let rows = pairing::paired_scores(&pairing::pairs(reference, candidate), primary);
        let file_bytes = candidate.rows[0].file_bytes;
        // A served model is not a file, so no verdict names it.
        if candidate.endpoint().is_none() && labelled {
            candidates.push(Candidate { name: candidate.name.clone(), file_bytes, rows });
        }
        report.comparisons.extend(pairing::comparisons(reference, candidate, measures));
        report.distances.push(pairing::distance(reference, candidate, measures));
        report.flips.extend(pairing::flips(reference, candidate, primary));
    }
    let verdict = decide(candidates, is_binary(primary), rules);
    report.verdicts.push(ModeVerdict {
        mode,
        reference: reference.name.clone(),
        sentence: match labelled {
            true => sentence(&verdict, &reference.name, primary, rules),
            false => sentence_without_labels(report, mode, reference),
        },
        words: verdict.findings.iter().map(|finding| finding.words(rules)).collect(),
        verdict,
    });
}

/// Compares each constrained mode with free decoding of the same file and settings.
fn add_constraints(report: &mut Report, variants: &[VariantRows<'_>], measures: &Measures<'_>) {
    let but_for_mode = |variant: &VariantRows<'_>| {
        let mut key = variant.rows[0].key.variant.clone();
        key.mode = Mode::Free;
        (key, variant.role())
    };
    let compared =
        |variant: &&VariantRows<'_>| variant.mode() != Mode::Free && variant.role() != Role::NoiseFloor;
    for constrained in variants.iter().filter(compared) {
        let free = variants.iter().find(|variant| {
            variant.mode() == Mode::Free && but_for_mode(variant) == but_for_mode(constrained)
        });
        if let Some(free) = free {
            report.constraints.extend(pairing::comparisons(free, constrained, measures));
        }
    }
}
