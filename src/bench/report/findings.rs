//! Findings of a report in words, candidate by candidate.

use super::{
    model::{Distance, ModeVerdict, Report},
    numbers::percent,
};

/// One line of the findings.
pub(super) struct FindingLine<'r> {
    pub(super) name: &'r str,
    pub(super) words: String,
    /// True if the finding is good, false if it is bad; `None` for neither.
    pub(super) good: Option<bool>,
}

impl Report {
    /// First sentence of a report without any verdict.
    pub fn nothing_to_compare(&self) -> Option<&'static str> {
        let words = "No verdict: no model here was sent our prompts, so there is nothing to compare with.";
        self.verdicts.is_empty().then_some(words)
    }

    /// Findings of a mode, candidate by candidate.
    pub(super) fn findings<'r>(&'r self, verdict: &'r ModeVerdict) -> Vec<FindingLine<'r>> {
        if self.labelled {
            let found = verdict.verdict.findings.iter().zip(&verdict.words);
            return found
                .map(|(finding, words)| FindingLine {
                    name: &finding.name,
                    words: words.clone(),
                    good: match (finding.worse, verdict.verdict.ship.as_ref() == Some(&finding.name)) {
                        (true, _) => Some(false),
                        (_, ship) => ship.then_some(true),
                    },
                })
                .collect();
        }
        let found = self.distances_of(verdict.mode);
        found
            .map(|(variant, distance)| FindingLine {
                name: &variant.name,
                words: distance.words(),
                good: None,
            })
            .collect()
    }
}

impl Distance {
    /// The divergence in words.
    pub(super) fn words(&self) -> String {
        let range = self.same_calls_interval.map_or(String::new(), |interval| {
            format!(" ({} to {})", percent(Some(interval.low)), percent(Some(interval.high)))
        });
        let kl = self.kl_mean.map_or(String::new(), |kl| format!(", KL {kl:.4} nats"));
        format!(
            "the same call on {} %{range} of {} rows, another function on {}{kl}",
            percent(self.same_call_share()),
            self.rows,
            self.name_flips
        )
    }
}
