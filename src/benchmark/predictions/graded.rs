//! What a judge says of a file of predictions.

use super::Prediction;
use crate::{
    Result,
    benchmark::{
        answer::Call,
        judge::{Judge, Judged, Question},
        report::Judging,
        stats::{self, Cluster, Interval, Random},
    },
};
use serde::Serialize;
use std::{collections::BTreeMap, path::Path};

/// The verdicts on a file.
#[derive(Clone, Debug, Serialize)]
pub struct Graded {
    /// How the judge was asked, and how steady it is.
    #[serde(flatten)]
    pub judging: Judging,
    /// The share of good calls among the rows with a verdict.
    pub mean: Option<f64>,
    /// Its 95 % interval, conversations drawn.
    pub interval: Option<Interval>,
    /// Draws of the bootstrap.
    pub draws: usize,
    /// Where they start.
    pub seed: u64,
    /// What was said row by row.
    pub verdicts: Vec<Verdict>,
}

/// What was said of one row.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The line, counted from 1.
    pub line: usize,
    /// Good or bad; none where votes cannot be read, or as many say the other.
    pub good: Option<bool>,
    /// The votes.
    pub votes: Vec<Option<bool>>,
}

/// Lets the judge grade the rows of a file; `path` is for messages. `draws` and `seed` are those of the bootstrap.
///
/// # Errors
/// A row without its conversation, and what [`Judge::ask`] reports.
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
        // Rows of one conversation begin with the same message.
        conversations
            .push(messages.first().and_then(|message| message.content()).unwrap_or_default().to_owned());
        questions.push(match (Call::parse(&row.answer), Call::parse(&row.prediction)) {
            (Ok(gold), Ok(predicted)) => Some(Question::new(&judge.criteria, &messages, &gold, &predicted)),
            _ => None,
        });
    }
    let judged: Vec<Judged> = judge
        .ask(&questions, progress)?
        .into_iter()
        .map(|votes| Judged { manner: judge.manner.clone(), votes })
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
        judging: Judging::of(&judge.manner, &judged.iter().collect::<Vec<_>>()),
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
