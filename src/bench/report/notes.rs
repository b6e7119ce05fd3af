//! Notes that a reader needs for the figures of a report.

use super::{
    model::{MetricComparison, ModeVerdict, NoiseFloor, Report},
    pairing,
    variants::VariantRows,
};
use crate::bench::{
    data::published,
    row::{Mode, Rendering, Role},
    score::{
        judge::JudgeSummary,
        metric::{self, METRICS},
        verdict::{self, Margin},
    },
};
use std::collections::BTreeSet;

/// All notes of a report, in the order of its sections.
pub(super) fn notes(report: &Report, variants: &[VariantRows<'_>]) -> Vec<String> {
    let mut notes = vec![if report.labelled { decided_note(report) } else { undecided_note(report) }];
    notes.extend(report.verdicts.iter().flat_map(|verdict| verdict_notes(report, verdict, variants)));
    notes.extend(incomplete_notes(report));
    notes.extend(sequence_note(report));
    notes.extend(kernel_notes(report));
    notes.extend(settings_note(variants));
    notes.extend(variants.iter().filter_map(server_note));
    notes.extend(prompt_notes(report, variants));
    notes.extend(report.judges.iter().map(JudgeSummary::words));
    notes.extend(published::note(report.variants.iter().filter_map(|variant| variant.published.as_ref())));
    notes.push(noise_note(report));
    notes.extend(cost_note(report));
    notes.extend(key_order_note(report, variants));
    notes.extend(caveats(variants));
    notes
}

/// Note on the statistics of a verdict.
fn decided_note(report: &Report) -> String {
    format!(
        "{} was named as the primary metric before the run; all others are descriptive. Differences are candidate \
         minus reference, row by row; intervals are 95 % percentile bootstraps over {} conversations ({} draws, seed \
         {}), a little narrow with so few; p is a sign-flip permutation by conversation, adjusted after Holm for the \
         candidates of a mode.",
        report.primary, report.conversations, report.rules.draws, report.rules.seed
    )
}

/// Note on the figures of unlabelled data, which have no verdict.
fn undecided_note(report: &Report) -> String {
    format!(
        "No line of the test set has an `answer`, so whatever compares with right answers is a dash, and no file is called \
         worse or fit to ship. Calls that the assistant makes within a conversation are a log of some model, not right \
         answers: each was asked for again. What can be seen is how far a candidate is from the reference, which may be \
         wrong itself: look at the calls that differ (the page lists them, other functions first, and so does the JSON), \
         at KL, and at what the noise floor says of differences of that size. The same call is the same function with \
         the same arguments in whatever order; intervals are 95 % percentile bootstraps over {} conversations ({} draws, \
         seed {}). KL, top-1 and NLL are along what the reference wrote in the same mode; that NLL is none of right \
         answers, and lower is not better. For a verdict give every line its `answer`; it takes {} conversations.",
        report.conversations, report.rules.draws, report.rules.seed, report.rules.min_conversations
    )
}

/// Notes on a reference that nobody named, and on candidates with missing rows.
fn verdict_notes(report: &Report, verdict: &ModeVerdict, variants: &[VariantRows<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    if variants.iter().any(|variant| {
        (&variant.name, variant.mode()) == (&verdict.reference, verdict.mode)
            && variant.role() != Role::Reference
    }) {
        notes.push(format!(
            "No reference was named for the mode {}; {} is the largest file and took its place.",
            verdict.mode, verdict.reference
        ));
    }
    let short = |finding: &&verdict::Finding| finding.comparison.rows < report.cases;
    let why = match metric::named(&report.primary).is_some_and(|primary| primary.needs_judge()) {
        true => "the others have no verdict on one side, or no row",
        false => "the run is not complete",
    };
    notes.extend(verdict.verdict.findings.iter().filter(short).map(|finding| {
        format!(
            "{} ({}) is paired on {} of {} calls; {why}.",
            finding.name, verdict.mode, finding.comparison.rows, report.cases
        )
    }));
    notes
}

/// Notes on candidates with missing rows, in unlabelled data.
fn incomplete_notes(report: &Report) -> impl Iterator<Item = String> {
    let short = report.distances.iter().filter(|d| !report.labelled && d.rows < report.cases);
    short.map(|distance| {
        format!(
            "{} is compared on {} of {} calls; the run is not complete.",
            distance.candidate, distance.rows, report.cases
        )
    })
}

/// Note on files that were not tested because a larger one had failed.
fn sequence_note(report: &Report) -> Option<String> {
    let not_tested = |finding: &verdict::Finding| matches!(finding.margin, Margin::NotTested { .. });
    let mut findings = report.verdicts.iter().flat_map(|verdict| &verdict.verdict.findings);
    findings.any(not_tested).then(|| {
        "Files are held to the margin from the largest down, and the first failure ends that; smaller files are not \
         tested after it, whatever their own interval says."
            .into()
    })
}

/// Notes on pairs whose two sides were computed by different CPU kernels.
fn kernel_notes(report: &Report) -> impl Iterator<Item = String> {
    one_each(report).filter(|comparison| comparison.cross_kernel_pairs > 0).map(|comparison| {
        format!(
            "{} of {} pairs of {} were made on different CPU kernels than the reference's, which can flip an answer \
             by itself.",
            comparison.cross_kernel_pairs, comparison.comparison.rows, comparison.candidate
        )
    })
}

/// Note on a model that a server ran.
fn server_note(variant: &VariantRows<'_>) -> Option<String> {
    let served = variant.endpoint()?;
    let (name, server) = (&variant.label, &served.server);
    Some(match served.rendering {
        Rendering::Ours => format!(
            "{name}: a server answered ({server}). It was sent our prompt as text, and asked for the likeliest \
             tokens; how it cut the text into tokens, and with what kernels and in what batches it computed, is \
             its own, and can flip an answer by itself. It gives no logits, so there are no NLL and no KL. Seconds \
             are those from here, the way there included. It is no file, so it is compared and gets no verdict."
        ),
        Rendering::Server => format!(
            "{name}: a server answered ({server}) and wrote the prompts itself from messages and tools; neither \
             the prompt nor what constrained the answer was ours. Its differences are descriptive: no verdict \
             rests on them."
        ),
    })
}

/// Note on the noise floor.
fn noise_note(report: &Report) -> String {
    let largest = |share: fn(&NoiseFloor) -> Option<f64>| {
        report.noise_floor.iter().filter_map(share).max_by(f64::total_cmp)
    };
    let (otherwise, flips) = match report.labelled {
        true => ("scores otherwise", largest(NoiseFloor::score_flips)),
        false => ("makes another call", largest(NoiseFloor::call_flips)),
    };
    match (largest(NoiseFloor::output_flips), flips) {
        (Some(outputs), Some(flips)) => {
            let changes: BTreeSet<&str> =
                report.noise_floor.iter().filter_map(|noise| noise.changed_to.as_deref()).collect();
            format!(
                "Noise: answering again ({}) the reference itself writes something else on up to {:.1} % of rows and \
                 {otherwise} on up to {:.1} %. Differences of that size are no quantisation damage.",
                changes.into_iter().collect::<Vec<_>>().join("; "),
                outputs * 100.0,
                flips * 100.0
            )
        }
        _ => "The noise floor was not measured: the reference has not answered again under other conditions."
            .into(),
    }
}

/// Note on the costs of local models.
fn cost_note(report: &Report) -> Option<String> {
    let is_measured =
        report.variants.iter().any(|variant| variant.endpoint.is_none() && !variant.costs.is_empty());
    is_measured.then(|| {
        "Cost was measured apart from the answers: each model in a process of its own, taking turns conversation by \
         conversation. What a prompt shares with the last one is not computed again. Files were in the page cache \
         when they were loaded; peak memory includes the mapped weights. °C is the highest, MHz the lowest that was \
         seen."
            .into()
    })
}

/// Note on calls with other settings than those of the benchmark.
fn settings_note(variants: &[VariantRows<'_>]) -> Option<String> {
    let changed: BTreeSet<String> = variants
        .iter()
        .filter_map(|variant| Some(variant.rows[0].key.variant.changed.as_ref()?.words()))
        .collect();
    let words = changed.into_iter().collect::<Vec<_>>().join("; ");
    (!words.is_empty()).then(|| format!("The calls were not made as the benchmark makes them: {words}."))
}

/// Note on ROUGE of answers with their keys in the schema's order.
fn key_order_note(report: &Report, variants: &[VariantRows<'_>]) -> Option<String> {
    let has_schema_rows = variants.iter().any(|variant| variant.mode() == Mode::Schema);
    (report.labelled && has_schema_rows)
        .then(|| "ROUGE of schema rows is not comparable: the order of keys alone costs about 0.18.".into())
}

/// Caveats of the metrics that any row has.
fn caveats(variants: &[VariantRows<'_>]) -> impl Iterator<Item = String> {
    let has = |name: &str| {
        variants.iter().any(|variant| variant.rows.iter().any(|row| row.scores.contains_key(name)))
    };
    METRICS.iter().filter_map(move |metric| {
        let caveat = metric.caveat().filter(|_| has(metric.name()))?;
        Some(format!("{}: {caveat}", metric.name()))
    })
}

/// One comparison for each candidate.
fn one_each(report: &Report) -> impl Iterator<Item = &MetricComparison> {
    let mut seen = BTreeSet::new();
    report.comparisons.iter().filter(move |comparison| seen.insert(&comparison.candidate))
}

/// Notes on served models whose prompts differ from those that they are compared with.
fn prompt_notes(report: &Report, variants: &[VariantRows<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    for comparison in one_each(report) {
        let variant = |label: &str| variants.iter().find(|variant| variant.label == label);
        let (Some(a), Some(b)) = (variant(&comparison.reference), variant(&comparison.candidate)) else {
            continue;
        };
        let is_served = a.endpoint().is_some() || b.endpoint().is_some();
        let pairs = pairing::pairs(a, b);
        let others = pairing::other_prompts(&pairs);
        if is_served && a.has_our_prompt() && b.has_our_prompt() && others > 0 {
            notes.push(format!(
                "{others} of {} pairs of {} and {} were asked with different prompts, so models are not all that differs; \
                 give both the same template.",
                pairs.len(),
                a.label,
                b.label
            ));
        }
    }
    notes
}
