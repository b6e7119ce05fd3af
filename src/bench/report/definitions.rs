//! Definitions of the figures in a report's tables, and the margin in calls.

use super::model::Report;
use crate::bench::score::metric::{self, FunctionName, Metric, StagedToolCall};

/// Metric of the column "exactly right".
pub(super) const EXACT: &str = "binary_tool_call";

/// Name of a metric in tables.
pub(super) fn column(metric: &str) -> &str {
    match metric {
        EXACT => "exactly right",
        _ if metric == FunctionName.name() => "function",
        other => other,
    }
}

impl Report {
    /// Definitions of the first table's columns, one sentence each.
    pub(super) fn definitions(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.labelled {
            let first = [self.primary.as_str(), EXACT, FunctionName.name()];
            let shown = first.iter().enumerate().filter(|(at, name)| !first[..*at].contains(*name));
            sentences.extend(shown.filter_map(|(_, name)| definition(name)));
        }
        let kl = match self.distances.iter().any(|distance| distance.kl_mean.is_some()) {
            true => "; KL: how far the probabilities of tokens are from the reference's, 0 for equal",
            false => "",
        };
        sentences.push(format!(
            "no call: the number of answers that are not one tool call; same output: the share of answers that are the \
             reference's to the letter{kl}."
        ));
        sentences.extend(self.margin_in_calls());
        sentences
    }

    /// Definitions of the metrics that the table of all metrics has beyond those of the first table.
    pub(super) fn further_definitions(&self) -> Vec<String> {
        let first = [self.primary.as_str(), EXACT, FunctionName.name()];
        let mut names: Vec<&str> = Vec::new();
        for comparison in &self.comparisons {
            let name = comparison.metric.as_str();
            let is_defined_first = self.labelled && first.contains(&name);
            if !is_defined_first && !names.contains(&name) {
                names.push(name);
            }
        }
        names.into_iter().filter_map(definition).collect()
    }

    /// The margin as a number of calls; `None` without right answers.
    fn margin_in_calls(&self) -> Option<String> {
        let calls = self.rules.margin * self.cases as f64;
        // A product that should be whole may lie below it in its last bits.
        let whole = |calls: f64| match (calls + 1e-9).floor() {
            0.0 => "less than 1 call".to_owned(),
            1.0 => "1 call".to_owned(),
            calls => format!("{calls} calls"),
        };
        let lost = match self.primary == StagedToolCall.name() {
            true => format!(
                "{} with a wrong value where it was right, or {} with no call where there was the right one",
                whole(calls * 4.0),
                whole(calls)
            ),
            false => format!("{} with a wrong answer where it was right", whole(calls)),
        };
        let margin = self.rules.margin * 100.0;
        self.labelled.then(|| format!("Of {} calls, {margin:.1} points are {lost}.", self.cases))
    }
}

fn definition(name: &str) -> Option<String> {
    let about = metric::named(name)?.about();
    Some(match column(name) {
        shown if shown == name => format!("{name}: {about}."),
        shown => format!("{shown} ({name}): {about}."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_a_definition_of_one_sentence() {
        for metric in metric::METRICS {
            let sentence = definition(metric.name()).unwrap();
            assert!(sentence.contains(metric.name()) && sentence.ends_with('.'), "{sentence}");
            assert!(!metric.about().contains(". ") && !metric.about().ends_with('.'), "{sentence}");
        }
    }
}
