//! Sentences of a report: the verdict, and the notes that a reader needs for the figures.

use super::{
    ArmReport, Distance, MetricComparison, Report,
    collect::mode_of,
    judging,
    noise::NoiseFloor,
    pairing::{self, ArmRows},
    percent,
};
use crate::bench::{
    judge,
    metric::JUDGE_PROXY_LABEL,
    published,
    row::{Mode, Rendering, Role},
    verdict::{self, Margin, Rules, Verdict},
};
use std::collections::BTreeSet;

/// First sentence of a report on unlabelled data.
pub(super) fn sentence_without_labels(report: &Report, mode: Mode, reference: &ArmRows<'_>) -> String {
    let same = |(arm, distance): (&ArmReport, &Distance)| {
        Some(format!("{} {} %", arm.name, percent(Some(distance.same_call_share()?))))
    };
    let same: Vec<String> = report.distances_of(mode).filter_map(same).collect();
    match same.is_empty() {
        true => "No verdict: the test set has no answers.".into(),
        false => format!(
            "No verdict: the test set has no answers. The same call as {}: {}.",
            reference.name,
            same.join("; ")
        ),
    }
}

/// The verdict in one sentence.
pub(super) fn sentence(verdict: &Verdict, reference: &str, primary: &str, rules: &Rules) -> String {
    let Some(finding) = verdict.findings.first() else {
        return format!("No verdict: there is no other file to compare with {reference}.");
    };
    let comparison = &finding.comparison;
    let size = format!("{} rows of {} conversations", comparison.rows, comparison.conversations);
    let margin = format!("{:.1} points of {primary}", rules.margin * 100.0);
    if verdict.too_few_conversations {
        return format!(
            "No verdict: {size} against {reference}, and it takes {} conversations.",
            rules.min_conversations
        );
    }
    match &verdict.ship {
        Some(ship) => {
            let found = verdict.findings.iter().find(|finding| finding.name == *ship);
            let how = match found {
                Some(finding) if finding.worse => "worse, but by no more than",
                _ => "no loss beyond",
            };
            format!("Ship {ship}: {how} {margin} against {reference}, on {size}.")
        }
        None => {
            let worse: Vec<&str> =
                verdict.findings.iter().filter(|f| f.worse).map(|f| f.name.as_str()).collect();
            let worse =
                if worse.is_empty() { String::new() } else { format!(" Worse: {}.", worse.join(", ")) };
            format!(
                "Keep {reference}: for no other file do the data rule out a loss beyond {margin}, on {size}.{worse}"
            )
        }
    }
}

/// Note on the noise floor, or on the option that measures it.
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

/// Notes that a reader needs for the figures.
pub(super) fn notes(report: &Report, arms: &[ArmRows<'_>]) -> Vec<String> {
    let mut notes = vec![if report.labelled { decided_note(report) } else { undecided_note(report) }];
    for verdict in &report.verdicts {
        if arms.iter().any(|arm| {
            (&arm.name, mode_of(arm)) == (&verdict.reference, verdict.mode)
                && arm.rows[0].role != Role::Reference
        }) {
            notes.push(format!(
                "No reference was named for the mode {}; {} is the largest file and took its place.",
                verdict.mode, verdict.reference
            ));
        }
        let short = |finding: &&verdict::Finding| finding.comparison.rows < report.cases;
        let why = match &*report.primary {
            judge::METRIC => "the others have no verdict on one side, or no row",
            _ => "the run is not complete",
        };
        for finding in verdict.verdict.findings.iter().filter(short) {
            notes.push(format!(
                "{} ({}) is paired on {} of {} calls; {why}.",
                finding.name, verdict.mode, finding.comparison.rows, report.cases
            ));
        }
    }
    for distance in report.distances.iter().filter(|d| !report.labelled && d.rows < report.cases) {
        notes.push(format!(
            "{} is compared on {} of {} calls; the run is not complete.",
            distance.candidate, distance.rows, report.cases
        ));
    }
    let not_tested = |finding: &verdict::Finding| matches!(finding.margin, Margin::NotTested { .. });
    if report.verdicts.iter().flat_map(|verdict| &verdict.verdict.findings).any(not_tested) {
        notes.push(
            "Files are held to the margin from the largest down, and the first failure ends that; smaller files are \
             not tested after it, whatever their own interval says."
                .into(),
        );
    }
    for comparison in one_each(report).filter(|c| c.cross_kernel_pairs > 0) {
        notes.push(format!(
            "{} of {} pairs of {} were made on different CPU kernels than the reference's, which can flip an answer \
             by itself.",
            comparison.cross_kernel_pairs, comparison.comparison.rows, comparison.candidate
        ));
    }
    for arm in arms {
        let Some(served) = arm.endpoint() else { continue };
        let (name, server) = (&arm.label, &served.server);
        notes.push(match served.rendering {
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
        });
    }
    notes.extend(prompt_notes(report, arms));
    notes.extend(report.judges.iter().map(judging::Judging::words));
    notes.extend(published::note(report.arms.iter().filter_map(|arm| arm.published.as_ref())));
    notes.push(noise_note(report));
    if report.arms.iter().any(|arm| arm.endpoint.is_none() && !arm.costs.is_empty()) {
        notes.push(
            "Cost was measured apart from the answers: each model in a process of its own, taking turns conversation \
             by conversation. What a prompt shares with the last one is not computed again. Files were in the page \
             cache when they were loaded; peak memory includes the mapped weights. °C is the highest, MHz the lowest \
             that was seen."
                .into(),
        );
    }
    if report.labelled && arms.iter().any(|arm| mode_of(arm) == Mode::Schema) {
        notes
            .push("ROUGE of schema rows is not comparable: the order of keys alone costs about 0.18.".into());
    }
    if arms.iter().any(|arm| arm.rows.iter().any(|row| row.scores.contains_key("judge_proxy"))) {
        notes.push(format!("judge_proxy: {JUDGE_PROXY_LABEL}"));
    }
    notes
}

/// One comparison for each candidate.
fn one_each(report: &Report) -> impl Iterator<Item = &MetricComparison> {
    let mut seen = BTreeSet::new();
    report.comparisons.iter().filter(move |comparison| seen.insert(&comparison.candidate))
}

/// Notes on served models whose prompts differ from those that they are compared with.
fn prompt_notes(report: &Report, arms: &[ArmRows<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    for comparison in one_each(report) {
        let arm = |label: &str| arms.iter().find(|arm| arm.label == label);
        let (Some(a), Some(b)) = (arm(&comparison.reference), arm(&comparison.candidate)) else { continue };
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
