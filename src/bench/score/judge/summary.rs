//! Configuration of a judge and consistency of its verdicts.

use crate::bench::{
    row::{JudgeConfig, JudgeVotes, Row},
    score::stats,
};
use serde::Serialize;

/// The verdicts of one judge.
#[derive(Clone, Debug, Serialize)]
pub struct JudgeSummary {
    /// Configuration of the judge.
    #[serde(flatten)]
    pub config: JudgeConfig,
    /// Rows that it judged, including answers that are not a call.
    pub rows: usize,
    /// Rows among them without a verdict.
    pub without_verdict: usize,
    /// Votes on all rows.
    pub votes: usize,
    /// Votes among them that could not be parsed.
    pub unreadable_votes: usize,
    /// Rows whose readable votes disagree.
    pub split_rows: usize,
    /// Standard deviation of the means of the first votes, the second votes and so on; `None` for one vote per row.
    pub repeat_sd: Option<f64>,
}

/// Judges of these rows, in the order of their first row.
pub(in crate::bench) fn judges(rows: &[Row]) -> Vec<JudgeSummary> {
    let mut configs: Vec<&JudgeConfig> = Vec::new();
    for judged in rows.iter().filter_map(|row| row.judge.as_ref()) {
        if !configs.contains(&&judged.config) {
            configs.push(&judged.config);
        }
    }
    let by_judge = |config: &JudgeConfig| -> Vec<&JudgeVotes> {
        let judged = rows.iter().filter_map(|row| row.judge.as_ref());
        judged.filter(|judged| judged.config == *config).collect()
    };
    configs.into_iter().map(|config| JudgeSummary::from_votes(config, &by_judge(config))).collect()
}

/// Standard deviation of a sample.
fn deviation(values: &[f64]) -> Option<f64> {
    let mean = stats::mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

impl JudgeSummary {
    /// Summary of these verdicts, which one judge configuration made.
    pub fn from_votes(config: &JudgeConfig, judged: &[&JudgeVotes]) -> JudgeSummary {
        let all = || judged.iter().flat_map(|judged| &judged.votes);
        let is_split = |votes: &[Option<bool>]| votes.contains(&Some(true)) && votes.contains(&Some(false));
        let repeats = judged.iter().map(|judged| judged.votes.len()).max().unwrap_or(0);
        let mean_of = |repeat: usize| {
            let votes = judged.iter().filter_map(|judged| *judged.votes.get(repeat)?);
            stats::mean(&votes.map(|good| if good { 1.0 } else { 0.0 }).collect::<Vec<_>>())
        };
        let means: Vec<f64> = (0..repeats).filter_map(mean_of).collect();
        JudgeSummary {
            config: config.clone(),
            rows: judged.len(),
            without_verdict: judged.iter().filter(|judged| judged.verdict().is_none()).count(),
            votes: all().count(),
            unreadable_votes: all().filter(|vote| vote.is_none()).count(),
            split_rows: judged.iter().filter(|judged| is_split(&judged.votes)).count(),
            repeat_sd: deviation(&means),
        }
    }

    /// Note that a reader needs for the judge's means.
    pub fn words(&self) -> String {
        let JudgeConfig { model, wrapper, criteria_sha256, temperature, max_tokens } = &self.config;
        let repeats = match self.repeat_sd {
            Some(sd) => format!(
                " Votes differ on {} rows; the means of single votes have a standard deviation of {:.2} points.",
                self.split_rows,
                sd * 100.0
            ),
            None => " One vote was taken; three show how steady it is.".into(),
        };
        format!(
            "llm_judge: {model} graded {} rows by the criteria {} ({wrapper}, temperature {temperature}, {max_tokens} \
             tokens). {} of {} votes could not be read, and {} rows without a verdict are left out of its means; an \
             answer that is no call is bad without asking.{repeats} Do not set its means beside published ones without \
             the table of `edgecall bench calibrate-judge`.",
            self.rows,
            &criteria_sha256[..criteria_sha256.len().min(12)],
            self.unreadable_votes,
            self.votes,
            self.without_verdict,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::deviation;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        assert_eq!(deviation(&[1.0, 2.0, 3.0]), Some(1.0));
        assert_eq!(deviation(&[0.5, 0.5]), Some(0.0));
        assert_eq!(deviation(&[0.5]), None);
    }
}
