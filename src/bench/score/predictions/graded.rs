//! A judge's verdicts on a file of predictions.

use super::Prediction;
use crate::bench::{
    Result,
    data::Call,
    row::JudgeVotes,
    score::{
        judge::{Judge, JudgeSummary, Question},
        stats::{self, Cluster, Interval, Random},
    },
};
use serde::Serialize;
use std::{collections::BTreeMap, path::Path};

/// Verdicts on a file.
#[derive(Clone, Debug, Serialize)]
pub struct Graded {
    /// Configuration of the judge and consistency of its votes.
    #[serde(flatten)]
    pub summary: JudgeSummary,
    /// Fraction of good calls among the rows with a verdict.
    pub mean: Option<f64>,
    /// 95 % interval of the mean, from a bootstrap over conversations.
    pub interval: Option<Interval>,
    /// Number of bootstrap samples.
    pub draws: usize,
    /// Random seed of the bootstrap.
    pub seed: u64,
    /// Verdicts, row by row.
    pub verdicts: Vec<Verdict>,
}

/// Verdict on one row.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The line, counted from 1.
    pub line: usize,
    /// True for good, false for bad; `None` on a tie, or if no vote is readable.
    pub good: Option<bool>,
    /// Votes: good is `Some(true)`, bad is `Some(false)`, unreadable is `None`.
    pub votes: Vec<Option<bool>>,
}

/// Judges the rows of a file; `path` is used in errors. `draws` is the number of bootstrap samples, `seed` their random
/// seed.
///
/// # Errors
/// A row without its conversation, and errors of [`Judge::ask`].
pub fn grade(
    judge: &Judge<'_>,
    path: &Path,
    rows: &[Prediction],
    (draws, seed): (usize, u64),
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Graded> {
    let (mut conversations, mut questions) = (Vec::new(), Vec::new());
    for row in rows {
        let messages = row.messages(path)?;
        // Rows of one conversation have the same first message.
        conversations
            .push(messages.first().and_then(|message| message.content()).unwrap_or_default().to_owned());
        questions.push(match (Call::parse(&row.answer), Call::parse(&row.prediction)) {
            (Ok(gold), Ok(predicted)) => Some(Question::new(&judge.criteria, &messages, &gold, &predicted)),
            _ => None,
        });
    }
    let judged: Vec<JudgeVotes> = judge
        .ask(&questions, progress)?
        .into_iter()
        .map(|votes| JudgeVotes { config: judge.config.clone(), votes })
        .collect();
    let mut clusters: BTreeMap<&str, Cluster> = BTreeMap::new();
    for (conversation, judged) in conversations.iter().zip(&judged) {
        if let Some(good) = judged.verdict() {
            let cluster = clusters.entry(conversation).or_default();
            cluster.sum += f64::from(u8::from(good));
            cluster.rows += 1;
        }
    }
    let clusters: Vec<Cluster> = clusters.into_values().collect();
    let mut picks = Random::new(seed);
    Ok(Graded {
        summary: JudgeSummary::from_votes(&judge.config, &judged.iter().collect::<Vec<_>>()),
        mean: (!clusters.is_empty()).then(|| stats::delta(&clusters)),
        interval: stats::bootstrap(&clusters, draws, &mut || picks.below(clusters.len())),
        draws,
        seed,
        verdicts: rows
            .iter()
            .zip(judged)
            .map(|(row, judged)| Verdict { line: row.line, good: judged.verdict(), votes: judged.votes })
            .collect(),
    })
}
