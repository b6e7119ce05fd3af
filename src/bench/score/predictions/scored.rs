//! Scores of a file of predictions, compared with the scores in it.

use super::{Graded, JUDGE_COLUMN, Prediction};
use crate::bench::{
    data::CallError,
    score::{
        confusion::Confusion,
        metric::{self, LlmJudge, METRICS, Metric, Pair, Source, Toolbox},
    },
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Scores of a file, and their comparison with the scores in the file.
#[derive(Clone, Debug, Serialize)]
pub struct Scored {
    /// Version of this JSON format.
    pub schema_version: u32,
    /// The file's name.
    pub file: String,
    /// Number of rows.
    pub rows: usize,
    /// One summary for each metric.
    pub metrics: Vec<Summary>,
    /// Scores that differ from those in the file at ten decimals.
    pub differences: Vec<Difference>,
    /// Predictions that are not a call, by cause.
    pub rejected: BTreeMap<CallError, usize>,
    /// Lines whose reference is not a call; they score 0.
    pub references_without_call: Vec<usize>,
    /// Called functions by ground-truth function.
    pub confusion: Confusion,
    /// Verdicts of a judge, if one was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge: Option<Graded>,
}

/// A metric over all rows of a file.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The metric's name.
    pub name: &'static str,
    /// Description of the metric.
    pub about: &'static str,
    /// Mean over the rows that the metric applies to; `None` for the published judge.
    pub mean: Option<f64>,
    /// Number of those rows.
    pub rows: usize,
    /// Mean of the scores in the file.
    pub published_mean: Option<f64>,
    /// Number of rows with a score in the file.
    pub published_rows: usize,
    /// Rows among them where both scores are equal at ten decimals; `None` for the published judge.
    pub agreeing_rows: Option<usize>,
}

/// A score that differs from the one in the file.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The line.
    pub line: usize,
    /// The metric.
    pub metric: &'static str,
    /// The recomputed score.
    pub score: f64,
    /// The score in the file.
    pub published: f64,
}

/// Scores rows by every metric that applies; `tools` supply defaults and schemas.
pub fn score(file: &str, rows: &[Prediction], tools: Option<&Toolbox>) -> Scored {
    let pairs: Vec<Pair<'_>> = rows
        .iter()
        .map(|row| Pair::new(&row.answer, &row.prediction, row.raw_output.as_deref(), tools))
        .collect();
    let mut confusion = Confusion::default();
    let mut rejected: BTreeMap<CallError, usize> = BTreeMap::new();
    for pair in &pairs {
        if let Ok(gold) = &pair.gold {
            confusion.add(gold, &pair.predicted);
        }
        // The raw output tells the cause; an emptied prediction has lost it.
        if let Err(cause) = pair.predicted {
            *rejected.entry(pair.raw.err().unwrap_or(cause)).or_default() += 1;
        }
    }
    let functions: Vec<&str> =
        pairs.iter().filter_map(|pair| pair.gold.as_ref().ok()).map(|gold| &*gold.name).collect();
    let mut differences = Vec::new();
    let mut metrics: Vec<Summary> = METRICS
        .iter()
        .filter(|metric| metric.applies_to(Source::Predictions(&functions)))
        // Verdicts of an LLM judge are added by `with_verdicts`.
        .filter(|metric| !metric.needs_judge())
        .map(|metric| summary(*metric, rows, &pairs, &mut differences))
        .collect();
    let judged: Vec<f64> = rows.iter().filter_map(|row| row.scores.get(JUDGE_COLUMN).copied()).collect();
    if !judged.is_empty() {
        metrics.push(Summary {
            name: JUDGE_COLUMN,
            about: "the verdicts in the file; an LLM gave them, so they are only averaged here",
            mean: None,
            rows: 0,
            published_mean: mean(&judged),
            published_rows: judged.len(),
            agreeing_rows: None,
        });
    }
    differences.sort_by_key(|difference: &Difference| difference.line);
    Scored {
        schema_version: 1,
        file: file.to_owned(),
        rows: rows.len(),
        metrics,
        differences,
        rejected,
        references_without_call: rows
            .iter()
            .zip(&pairs)
            .filter(|(_, pair)| pair.gold.is_err())
            .map(|(row, _)| row.line)
            .collect(),
        confusion,
        judge: None,
    }
}

fn summary(
    metric: &'static dyn Metric,
    rows: &[Prediction],
    pairs: &[Pair<'_>],
    differences: &mut Vec<Difference>,
) -> Summary {
    let mut scores = Vec::new();
    let mut published = Vec::new();
    let mut agreeing = 0;
    for (row, pair) in rows.iter().zip(pairs) {
        let Some(score) = metric.score(pair) else { continue };
        scores.push(score);
        let Some(theirs) = row.scores.get(metric.name()).copied() else { continue };
        published.push(theirs);
        match metric::agree(score, theirs) {
            true => agreeing += 1,
            false => {
                differences.push(Difference {
                    line: row.line,
                    metric: metric.name(),
                    score,
                    published: theirs,
                });
            }
        }
    }
    Summary {
        name: metric.name(),
        about: metric.about(),
        mean: mean(&scores),
        rows: scores.len(),
        published_mean: mean(&published),
        published_rows: published.len(),
        agreeing_rows: (!published.is_empty()).then_some(agreeing),
    }
}

/// Arithmetic mean; `None` for an empty slice.
fn mean(scores: &[f64]) -> Option<f64> {
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

impl Scored {
    /// Adds the verdicts of a judge.
    pub fn with_verdicts(mut self, graded: Graded) -> Scored {
        self.metrics.push(Summary {
            name: LlmJudge.name(),
            about: LlmJudge.about(),
            mean: graded.mean,
            rows: graded.summary.rows - graded.summary.without_verdict,
            published_mean: None,
            published_rows: 0,
            agreeing_rows: None,
        });
        self.judge = Some(graded);
        self
    }
}
