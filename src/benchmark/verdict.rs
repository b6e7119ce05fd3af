//! Which quantisation to ship: the decision, from paired scores.
//!
//! Three findings, fixed before the run. A candidate is *worse* if its mean is lower and its p, adjusted for the number
//! of candidates (Holm), is below 0.05. Its loss is *within the margin* if the interval of its difference ends above
//! minus the margin; candidates are held to that from the largest file down, and the first failure ends the sequence,
//! which keeps the error of the whole at that of one test. What is neither is *not resolved*. Both can be true: a loss
//! can be certain and small. The one to ship is the smallest file that passed.

use super::stats::{
    self, Cluster, Interval, Random, bootstrap, conversations_needed, holm, mcnemar_exact, sign_flip,
    supported_margin,
};
use serde::{Deserialize, Serialize};

/// What is decided before the scores are seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// The loss that one could live with, as a share: 0.03 is 3 points.
    pub margin: f64,
    /// The adjusted p below which a lower mean is worse.
    pub alpha: f64,
    /// Draws of the bootstrap and of the sign flips.
    pub draws: usize,
    /// Where the draws start.
    pub seed: u64,
    /// Fewer conversations than this decide nothing.
    pub min_conversations: usize,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules { margin: 0.03, alpha: 0.05, draws: 10_000, seed: 20_260_101, min_conversations: 20 }
    }
}

/// One row that reference and candidate have both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedRow {
    /// The row's conversation.
    pub conversation: usize,
    /// The reference's score.
    pub reference: f64,
    /// The candidate's.
    pub candidate: f64,
}

/// A candidate with its scores beside the reference's.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What it is called.
    pub name: String,
    /// The size of its file.
    pub file_bytes: u64,
    /// Its rows, in any order.
    pub rows: Vec<PairedRow>,
}

/// How a candidate differs from the reference by one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Paired rows.
    pub rows: usize,
    /// Conversations that they come from.
    pub conversations: usize,
    /// The reference's mean over these rows.
    pub reference_mean: f64,
    /// The candidate's.
    pub candidate_mean: f64,
    /// Candidate minus reference.
    pub delta: f64,
    /// The 95 % interval of the difference, conversations drawn; none without rows.
    pub interval: Option<Interval>,
    /// Rows that score lower than the reference's.
    pub broken: usize,
    /// Rows that score higher.
    pub fixed: usize,
    /// The two-sided p of sign flips by conversation.
    pub p: f64,
    /// Exact McNemar beside it, for scores of 0 and 1 only.
    pub p_mcnemar: Option<f64>,
}

/// Compares row by row. `binary` asks for McNemar's test, too.
///
/// The draws depend on the rules alone, so that every candidate meets the same ones.
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

/// The rows' differences, conversation by conversation.
fn clusters(rows: &[PairedRow]) -> Vec<Cluster> {
    let mut by_conversation = std::collections::BTreeMap::<usize, Cluster>::new();
    for row in rows {
        let cluster = by_conversation.entry(row.conversation).or_default();
        cluster.sum += row.candidate - row.reference;
        cluster.rows += 1;
    }
    by_conversation.into_values().collect()
}

/// What was found about a candidate's loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Margin {
    /// The data rule out a loss beyond the margin.
    Within,
    /// They do not.
    NotResolved {
        /// The smallest loss that they do rule out.
        supported: f64,
        /// The conversations that the margin would take, if the difference stayed as it is; none if that is beyond it.
        conversations_needed: Option<usize>,
    },
    /// It was not asked: a larger file had failed before.
    NotTested {
        /// That file.
        after: String,
        /// The smallest loss that the data rule out for this one, taken by itself.
        supported: f64,
    },
    /// There are too few conversations to say anything.
    TooFewConversations,
}

/// What was found about a candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The candidate.
    pub name: String,
    /// The size of its file.
    pub file_bytes: u64,
    /// The difference from the reference.
    pub comparison: Comparison,
    /// The p adjusted for the number of candidates.
    pub p_adjusted: f64,
    /// The mean is lower, and not by chance.
    pub worse: bool,
    /// Whether the loss is within the margin.
    pub margin: Margin,
}

/// The decision by the primary metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The candidates, the largest file first.
    pub findings: Vec<Finding>,
    /// The smallest file that passed, if one did.
    pub ship: Option<String>,
    /// No candidate has enough conversations for a verdict.
    pub too_few_conversations: bool,
}

/// Decides.
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
    /// The finding in words, by the rules that it was made with.
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
                format!(
                    "no verdict: {} conversations, and it takes {}",
                    self.comparison.conversations, rules.min_conversations
                )
            }
        }
    }
}

/// A margin in points, rounded to the side on which it holds.
fn rounded_up(margin: f64) -> String {
    // A margin that is a tenth but for its last bits is that tenth.
    format!("{:.1}", (margin * 1000.0 - 1e-9).ceil().max(0.0) / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { margin: 0.03, alpha: 0.05, draws: 2000, seed: 7, min_conversations: 20 };

    /// 34 conversations of ten rows; `broken` and `fixed` of every hundred rows flip, spread evenly.
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
        // The smaller file has no loss at all, and still is not asked.
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
        assert_eq!(verdict.findings[0].words(&RULES), "no verdict: 19 conversations, and it takes 20");
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
