//! The verdict of a mode in one sentence.

use super::{
    model::{Distance, Report, VariantReport},
    numbers::percent,
    variants::VariantRows,
};
use crate::bench::{
    row::Mode,
    score::verdict::{Rules, Verdict},
};

/// First sentence of a report on unlabelled data.
pub(super) fn sentence_without_labels(report: &Report, mode: Mode, reference: &VariantRows<'_>) -> String {
    let same = |(variant, distance): (&VariantReport, &Distance)| {
        Some(format!("{} {} %", variant.name, percent(Some(distance.same_call_share()?))))
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

/// A number with its noun, such as `1 call` or `2 calls`.
pub(super) fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// The verdict in one sentence.
pub(super) fn sentence(verdict: &Verdict, reference: &str, primary: &str, rules: &Rules) -> String {
    let Some(finding) = verdict.findings.first() else {
        return format!("No verdict: there is no other file to compare with {reference}.");
    };
    let comparison = &finding.comparison;
    let size =
        format!("{} of {}", count(comparison.rows, "row"), count(comparison.conversations, "conversation"));
    let margin = format!("{:.1} points of {primary}", rules.margin * 100.0);
    if verdict.too_few_conversations {
        return format!(
            "No verdict: {}; at least {} are needed. Add {}.",
            count(comparison.conversations, "conversation"),
            rules.min_conversations,
            count(rules.min_conversations - comparison.conversations, "conversation")
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
