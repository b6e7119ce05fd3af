//! The verdict: the quantisation to ship, decided from paired scores.
//!
//! The rules are fixed before the run. A candidate is *worse* if its mean is lower and its p-value, adjusted for the
//! number of candidates (Holm), is below 0.05. Its loss is *within the margin* if the lower end of the difference's
//! interval is above minus the margin. Candidates are tested against the margin from the largest file down, and the
//! first failure ends the sequence, so that the error rate of all tests is that of one. A candidate that is neither is
//! *not resolved*. One can be both: a loss can be certain and small. The verdict names the smallest file within the
//! margin.

use super::stats::{
    self, Cluster, Interval, Random, bootstrap, conversations_needed, holm, mcnemar_exact, sign_flip,
    supported_margin,
};
use serde::{Deserialize, Serialize};

/// Parameters of the decision, fixed before the scores are known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// Largest acceptable loss, as a fraction: 0.03 is 3 points.
    pub margin: f64,
    /// Significance level for the adjusted p-value.
    pub alpha: f64,
    /// Number of bootstrap samples, and of sign flips.
    pub draws: usize,
    /// Random seed.
    pub seed: u64,
    /// Minimum number of conversations for a verdict.
    pub min_conversations: usize,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules { margin: 0.03, alpha: 0.05, draws: 10_000, seed: 20_260_101, min_conversations: 20 }
    }
}

/// Scores of reference and candidate on the same case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedRow {
    /// Index of the conversation.
    pub conversation: usize,
    /// The reference's score.
    pub reference: f64,
    /// The candidate's score.
    pub candidate: f64,
}

/// A candidate, with its scores paired with the reference's.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Name of the candidate.
    pub name: String,
    /// Size of its file in bytes.
    pub file_bytes: u64,
    /// Paired scores, in any order.
    pub rows: Vec<PairedRow>,
}

/// Difference between a candidate and the reference by one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Number of paired rows.
    pub rows: usize,
    /// Number of their conversations.
    pub conversations: usize,
    /// Mean of the reference over these rows.
    pub reference_mean: f64,
    /// Mean of the candidate over these rows.
    pub candidate_mean: f64,
    /// Candidate minus reference.
    pub delta: f64,
    /// 95 % interval of the difference, from a bootstrap over conversations; `None` without rows.
    pub interval: Option<Interval>,
    /// Rows with a lower score than the reference's.
    pub broken: usize,
    /// Rows with a higher score than the reference's.
    pub fixed: usize,
    /// Two-sided p-value of the sign-flip test over conversations.
    pub p: f64,
    /// P-value of the exact McNemar test, for scores of 0 and 1 only.
    pub p_mcnemar: Option<f64>,
}

/// Compares row by row. `binary` adds McNemar's test.
///
/// The random numbers depend on the rules alone, so all candidates get the same samples.
pub fn compare(rows: &[PairedRow], binary: bool, rules: &Rules) -> Comparison {
    let clusters = clusters(rows);
    let sums: Vec<f64> = clusters.iter().map(|cluster| cluster.sum).collect();
    let (mut picks, mut flips) = (Random::new(rules.seed), Random::new(rules.seed ^ 1));
    let broken = rows.iter().filter(|row| row.candidate < row.reference).count();
    let fixed = rows.iter().filter(|row| row.candidate > row.reference).count();
    let mean_of = |score: fn(&PairedRow) -> f64| {
        if rows.is_empty() { 0.0 } else { rows.iter().map(score).sum::<f64>() / rows.len() as f64 }
    };
    Comparison {
        rows: rows.len(),
        conversations: clusters.len(),
        reference_mean: mean_of(|row| row.reference),
        candidate_mean: mean_of(|row| row.candidate),
        delta: stats::delta(&clusters),
        interval: bootstrap(&clusters, rules.draws, &mut || picks.below(clusters.len())),
        broken,
        fixed,
        p: sign_flip(&sums, rules.draws, &mut || flips.coin()),
        p_mcnemar: binary.then(|| mcnemar_exact(broken, fixed)),
    }
}

/// Differences of the rows, grouped by conversation.
fn clusters(rows: &[PairedRow]) -> Vec<Cluster> {
    let mut by_conversation = std::collections::BTreeMap::<usize, Cluster>::new();
    for row in rows {
        let cluster = by_conversation.entry(row.conversation).or_default();
        cluster.sum += row.candidate - row.reference;
        cluster.rows += 1;
    }
    by_conversation.into_values().collect()
}

/// Result of the margin test for one candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Margin {
    /// The data rule out a loss beyond the margin.
    Within,
    /// The data do not rule out a loss beyond the margin.
    NotResolved {
        /// Smallest loss that they rule out.
        supported: f64,
        /// Conversations needed to rule out the margin if the difference stayed the same; `None` if the difference
        /// itself exceeds it.
        conversations_needed: Option<usize>,
    },
    /// Not tested, because a larger file had failed.
    NotTested {
        /// Name of that file.
        after: String,
        /// Smallest loss that the data rule out for this candidate alone.
        supported: f64,
    },
    /// Too few conversations for a verdict.
    TooFewConversations,
}

/// Findings on one candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Name of the candidate.
    pub name: String,
    /// Size of its file in bytes.
    pub file_bytes: u64,
    /// Difference from the reference.
    pub comparison: Comparison,
    /// P-value adjusted for the number of candidates.
    pub p_adjusted: f64,
    /// True if the mean is lower and the adjusted p-value is significant.
    pub worse: bool,
    /// Result of the margin test.
    pub margin: Margin,
}

/// The decision by the primary metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Findings, the largest file first.
    pub findings: Vec<Finding>,
    /// Name of the smallest file within the margin, if any.
    pub ship: Option<String>,
    /// True if no candidate has enough conversations for a verdict.
    pub too_few_conversations: bool,
}

/// Decides by the primary metric's scores.
pub fn decide(mut candidates: Vec<Candidate>, binary: bool, rules: &Rules) -> Verdict {
    candidates.sort_by(|a, b| b.file_bytes.cmp(&a.file_bytes).then_with(|| a.name.cmp(&b.name)));
    let comparisons: Vec<Comparison> =
        candidates.iter().map(|candidate| compare(&candidate.rows, binary, rules)).collect();
    let p: Vec<f64> = comparisons.iter().map(|comparison| comparison.p).collect();
    let mut failed: Option<String> = None;
    let mut ship = None;
    let mut findings = Vec::new();
    for ((candidate, comparison), p_adjusted) in candidates.into_iter().zip(comparisons).zip(holm(&p)) {
        let enough = comparison.conversations >= rules.min_conversations;
        let margin = match (enough, comparison.interval, &failed) {
            (true, Some(interval), None) if interval.low > -rules.margin => Margin::Within,
            (true, Some(interval), None) => Margin::NotResolved {
                supported: supported_margin(interval),
                conversations_needed: conversations_needed(
                    comparison.delta,
                    interval,
                    comparison.conversations,
                    rules.margin,
                ),
            },
            (true, Some(interval), Some(after)) => {
                Margin::NotTested { after: after.clone(), supported: supported_margin(interval) }
            }
            _ => Margin::TooFewConversations,
        };
        match margin {
            Margin::Within => ship = Some(candidate.name.clone()),
            _ if failed.is_none() => failed = Some(candidate.name.clone()),
            _ => {}
        }
        findings.push(Finding {
            name: candidate.name,
            file_bytes: candidate.file_bytes,
            worse: enough && comparison.delta < 0.0 && p_adjusted < rules.alpha,
            comparison,
            p_adjusted,
            margin,
        });
    }
    let too_few_conversations = !findings.is_empty()
        && findings.iter().all(|finding: &Finding| finding.margin == Margin::TooFewConversations);
    Verdict { findings, ship, too_few_conversations }
}

impl Finding {
    /// The finding in words; `rules` are those of the decision.
    pub fn words(&self, rules: &Rules) -> String {
        let points = |share: f64| format!("{:.1}", share * 100.0);
        let margin = points(rules.margin);
        match (&self.margin, self.worse) {
            (Margin::Within, false) => format!("no loss beyond {margin} points"),
            (Margin::Within, true) => format!("worse, but by no more than {margin} points"),
            (Margin::NotResolved { .. } | Margin::NotTested { .. }, true) => "worse".into(),
            (Margin::NotResolved { supported, conversations_needed: Some(n) }, false) => format!(
                "not resolved at {} rows: the data rule out a loss beyond {} points; {margin} would take about {n} \
                 conversations",
                self.comparison.rows,
                rounded_up(*supported),
            ),
            (Margin::NotResolved { supported, conversations_needed: None }, false) => format!(
                "not resolved at {} rows: the data rule out a loss beyond {} points, and the loss seen is {margin} or \
                 more",
                self.comparison.rows,
                rounded_up(*supported),
            ),
            (Margin::NotTested { after, supported }, false) => format!(
                "not resolved at {} rows: not tested, as {after} had failed; by itself it rules out a loss beyond {} \
                 points",
                self.comparison.rows,
                rounded_up(*supported),
            ),
            (Margin::TooFewConversations, _) => {
                let signed = |share: f64| format!("{:+.1}", share * 100.0 + 0.0);
                let range = self.comparison.interval.map_or(String::new(), |interval| {
                    format!(" (95 %: {} to {})", signed(interval.low), signed(interval.high))
                });
                format!("no verdict yet; so far {} points{range}", signed(self.comparison.delta))
            }
        }
    }
}

/// Formats a margin in points, rounded up so that the statement still holds.
fn rounded_up(margin: f64) -> String {
    // A tenth with a rounding error in its last bits stays that tenth.
    format!("{:.1}", (margin * 1000.0 - 1e-9).ceil().max(0.0) / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { margin: 0.03, alpha: 0.05, draws: 2000, seed: 7, min_conversations: 20 };

    /// 34 conversations of ten rows; of every hundred rows, `broken` and `fixed` flip, spread evenly.
    fn candidate(name: &str, file_bytes: u64, broken: usize, fixed: usize) -> Candidate {
        let rows = (0..340)
            .map(|i| {
                let place = (i * 37) % 100;
                let (reference, candidate) = match place {
                    _ if place < broken => (1.0, 0.0),
                    _ if place < broken + fixed => (0.0, 1.0),
                    _ => (f64::from(i as u32 % 2), f64::from(i as u32 % 2)),
                };
                PairedRow { conversation: i / 10, reference, candidate }
            })
            .collect();
        Candidate { name: name.into(), file_bytes, rows }
    }

    #[test]
    fn the_same_answers_are_no_loss_and_the_smallest_file_is_shipped() {
        let verdict = decide(
            vec![candidate("q4", 400, 0, 0), candidate("f16", 1600, 0, 0), candidate("q8", 800, 0, 0)],
            true,
            &RULES,
        );
        assert_eq!(verdict.findings.iter().map(|f| &*f.name).collect::<Vec<_>>(), ["f16", "q8", "q4"]);
        assert!(
            verdict.findings.iter().all(|f| f.margin == Margin::Within && !f.worse && f.p_adjusted == 1.0)
        );
        assert_eq!(verdict.ship.as_deref(), Some("q4"));
        assert_eq!(verdict.findings[0].words(&RULES), "no loss beyond 3.0 points");
    }

    #[test]
    fn a_clear_loss_is_worse_and_ends_the_sequence() {
        let verdict = decide(
            vec![candidate("q8", 800, 0, 0), candidate("q5", 500, 12, 0), candidate("q4", 400, 0, 0)],
            true,
            &RULES,
        );
        let [q8, q5, q4] = &verdict.findings[..] else { panic!() };
        assert_eq!((q8.worse, &q8.margin), (false, &Margin::Within));
        assert!(q5.worse && q5.p_adjusted < 0.01 && q5.comparison.p_mcnemar.unwrap() < 1e-6);
        assert_eq!(q5.words(&RULES), "worse");
        // The smaller file has no loss at all, and is still not tested.
        assert_eq!(q4.margin, Margin::NotTested { after: "q5".into(), supported: 0.0 });
        assert_eq!(verdict.ship.as_deref(), Some("q8"));
    }

    #[test]
    fn what_is_not_resolved_says_what_would_resolve_it() {
        let rules = Rules { margin: 0.01, ..RULES };
        let verdict = decide(vec![candidate("q4", 400, 10, 10)], true, &rules);
        let finding = &verdict.findings[0];
        let Margin::NotResolved { supported, conversations_needed: Some(needed) } = finding.margin else {
            panic!("{finding:?}")
        };
        assert!(!finding.worse && supported > 0.01 && needed > 34, "{supported} {needed}");
        assert!(finding.words(&rules).contains("conversations"), "{}", finding.words(&rules));
        assert_eq!(verdict.ship, None);
    }

    #[test]
    fn a_certain_loss_can_be_small_enough_to_ship() {
        let rules = Rules { margin: 0.1, ..RULES };
        let verdict = decide(vec![candidate("q4", 400, 6, 0)], true, &rules);
        assert_eq!(verdict.findings[0].words(&rules), "worse, but by no more than 10.0 points");
        assert_eq!(verdict.ship.as_deref(), Some("q4"));
    }

    #[test]
    fn under_twenty_conversations_nothing_is_decided() {
        let mut small = candidate("q4", 400, 50, 0);
        small.rows.retain(|row| row.conversation < 19);
        let verdict = decide(vec![small], true, &RULES);
        assert!(verdict.too_few_conversations && verdict.ship.is_none() && !verdict.findings[0].worse);
        assert_eq!(
            verdict.findings[0].words(&RULES),
            "no verdict yet; so far -50.0 points (95 %: -53.7 to -46.3)"
        );
        let empty =
            decide(vec![Candidate { name: "x".into(), file_bytes: 1, rows: Vec::new() }], true, &RULES);
        assert_eq!(empty.findings[0].margin, Margin::TooFewConversations);
    }

    #[test]
    fn a_comparison_is_the_same_whatever_the_order_of_its_rows() {
        let candidate = candidate("q4", 400, 7, 3);
        let mut reversed = candidate.rows.clone();
        reversed.reverse();
        let comparison = compare(&candidate.rows, true, &RULES);
        assert_eq!(comparison, compare(&reversed, true, &RULES));
        assert_eq!((comparison.broken + comparison.fixed, comparison.conversations), (34, 34));
        assert!((comparison.delta - (comparison.candidate_mean - comparison.reference_mean)).abs() < 1e-12);
    }

    #[test]
    fn a_margin_is_rounded_to_the_side_on_which_it_holds() {
        assert_eq!(rounded_up(0.0301), "3.1");
        assert_eq!(rounded_up(0.03), "3.0");
        assert_eq!(rounded_up(0.0), "0.0");
    }
}
