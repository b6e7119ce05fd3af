//! Comparison of a judge with published verdicts.

use super::{JUDGE_COLUMN, Prediction};
use crate::bench::{
    Error, Result,
    data::Call,
    row::{JudgeConfig, JudgeVotes},
    score::{
        judge::{Judge, Question},
        stats::{Interval, Random, cohens_kappa, kappa_interval, wilson},
    },
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, path::Path};

/// Agreement of a judge with published verdicts.
#[derive(Clone, Debug, Serialize)]
pub struct Calibration {
    /// Version of this JSON format.
    pub schema_version: u32,
    /// Configuration of the judge.
    pub judge: JudgeConfig,
    /// Votes per question.
    pub votes: usize,
    /// Agreement on each file.
    pub files: Vec<Agreement>,
    /// Agreement on all files together; `None` for a single file.
    pub pooled: Option<Agreement>,
    /// Number of bootstrap samples.
    pub draws: usize,
    /// Random seed of the bootstraps.
    pub seed: u64,
}

/// Agreement on the rows of one file, or of all files.
#[derive(Clone, Debug, Serialize)]
pub struct Agreement {
    /// The file's name.
    pub file: String,
    /// Rows with a published verdict.
    pub rows: usize,
    /// Rows among them without a verdict of this judge; the figures below leave them out.
    pub without_verdict: usize,
    /// Votes that could not be parsed.
    pub unreadable_votes: usize,
    /// Fraction of rows on which both verdicts are the same.
    pub agreement: Option<f64>,
    /// 95 % Wilson score interval of the agreement; it treats rows as independent.
    pub agreement_interval: Option<Interval>,
    /// Cohen's kappa.
    pub kappa: Option<f64>,
    /// 95 % interval of kappa, from a bootstrap over conversations.
    pub kappa_interval: Option<Interval>,
    /// Mean of the published verdicts.
    pub published_mean: Option<f64>,
    /// Mean of this judge's verdicts.
    pub judge_mean: Option<f64>,
    /// Number of rows by both verdicts.
    pub confusion: VerdictCounts,
}

/// Number of rows by both verdicts; the published one comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerdictCounts {
    /// Both are good.
    pub good_good: usize,
    /// Published good, judged bad.
    pub good_bad: usize,
    /// Published bad, judged good.
    pub bad_good: usize,
    /// Both are bad.
    pub bad_bad: usize,
}

/// A row's published verdict and votes, with its conversation.
struct Labelled {
    conversation: String,
    published: bool,
    votes: Vec<Option<bool>>,
    verdict: Option<bool>,
}

/// Judges the rows of published files and compares the verdicts. `draws` is the number of bootstrap samples, `seed`
/// their random seed.
///
/// # Errors
/// A row with a verdict but no conversation, files without any such row, and errors of [`Judge::ask`].
pub fn calibrate(
    judge: &Judge<'_>,
    files: &[(String, Vec<Prediction>)],
    draws: usize,
    seed: u64,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Calibration> {
    let mut all = Vec::new();
    let mut of_file = Vec::new();
    for (file, rows) in files {
        let mut labels = Vec::new();
        for row in rows {
            // A published score between 0 and 1 is not a verdict.
            let Some(published) = row.scores.get(JUDGE_COLUMN).filter(|score| [0.0, 1.0].contains(score))
            else {
                continue;
            };
            let (conversation, question) = question(judge, file, row)?;
            labels.push((conversation, *published == 1.0));
            all.push(question);
        }
        of_file.push(labels);
    }
    let mut votes = judge.ask(&all, progress)?.into_iter();
    let mut labelled = |(conversation, published): (String, bool)| {
        let votes = votes.next().unwrap_or_default();
        let verdict = JudgeVotes { config: judge.config.clone(), votes: votes.clone() }.verdict();
        Labelled { conversation, published, votes, verdict }
    };
    let of_file: Vec<Vec<Labelled>> =
        of_file.into_iter().map(|labels| labels.into_iter().map(&mut labelled).collect()).collect();
    let agreements: Vec<Agreement> = files
        .iter()
        .zip(&of_file)
        .map(|((file, _), rows)| agreement(file, &rows.iter().collect::<Vec<_>>(), draws, seed))
        .collect();
    let together: Vec<&Labelled> = of_file.iter().flatten().collect();
    if together.is_empty() {
        let path = files.first().map(|(file, _)| file.into()).unwrap_or_default();
        let problem = format!("there is no row with a verdict, 0 or 1, in the column `{JUDGE_COLUMN}`");
        return Err(Error::File { path, problem, source: None });
    }
    let pooled = (files.len() > 1).then(|| agreement("all files", &together, draws, seed));
    Ok(Calibration {
        schema_version: 1,
        judge: judge.config.clone(),
        votes: judge.votes,
        files: agreements,
        pooled,
        draws,
        seed,
    })
}

/// The first message, which identifies the row's conversation, and the question; `None` if either side is not a call.
fn question(judge: &Judge<'_>, file: &str, row: &Prediction) -> Result<(String, Option<Question>)> {
    let messages = row.messages(Path::new(file))?;
    let first = messages.first().and_then(|message| message.content()).unwrap_or_default().to_owned();
    let (Ok(gold), Ok(predicted)) = (Call::parse(&row.answer), Call::parse(&row.prediction)) else {
        return Ok((first, None));
    };
    Ok((first, Some(Question::new(&judge.criteria, &messages, &gold, &predicted))))
}

fn agreement(file: &str, rows: &[&Labelled], draws: usize, seed: u64) -> Agreement {
    let mut confusion = VerdictCounts::default();
    let mut clusters: BTreeMap<&str, Vec<(bool, bool)>> = BTreeMap::new();
    for row in rows {
        let Some(verdict) = row.verdict else { continue };
        *match (row.published, verdict) {
            (true, true) => &mut confusion.good_good,
            (true, false) => &mut confusion.good_bad,
            (false, true) => &mut confusion.bad_good,
            (false, false) => &mut confusion.bad_bad,
        } += 1;
        clusters.entry(&row.conversation).or_default().push((row.published, verdict));
    }
    let VerdictCounts { good_good, good_bad, bad_good, bad_bad } = confusion;
    let n = good_good + good_bad + bad_good + bad_bad;
    let share = |count: usize| (n > 0).then(|| count as f64 / n as f64);
    let clusters: Vec<Vec<(bool, bool)>> = clusters.into_values().collect();
    let mut picks = Random::new(seed);
    Agreement {
        file: file.to_owned(),
        rows: rows.len(),
        without_verdict: rows.len() - n,
        unreadable_votes: rows.iter().flat_map(|row| &row.votes).filter(|vote| vote.is_none()).count(),
        agreement: share(good_good + bad_bad),
        agreement_interval: wilson(good_good + bad_bad, n),
        kappa: cohens_kappa(&clusters.concat()),
        kappa_interval: kappa_interval(&clusters, draws, &mut || picks.below(clusters.len())),
        published_mean: share(good_good + good_bad),
        judge_mean: share(good_good + bad_good),
        confusion,
    }
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let JudgeConfig { model, wrapper, temperature, max_tokens, .. } = &self.judge;
        let votes = if self.votes == 1 { "one vote".into() } else { format!("{} votes", self.votes) };
        writeln!(f, "{model} ({wrapper}), {votes}, temperature {temperature}, {max_tokens} tokens\n")?;
        let all = || self.files.iter().chain(&self.pooled);
        let first = all().map(|row| row.file.chars().count()).max().unwrap_or(0).max(16);
        writeln!(
            f,
            "{:<first$}{:>6}{:>12}{:>11}{:>16}{:>8}{:>16}{:>11}{:>8}{:>8}",
            "published",
            "rows",
            "no verdict",
            "agree (%)",
            "95 %",
            "kappa",
            "95 %",
            "published",
            "judge",
            "shift"
        )?;
        for row in all() {
            let number = |value: Option<f64>, scale: f64, n: usize| {
                value.map_or("—".into(), |value| format!("{:.n$}", value * scale))
            };
            let range = |interval: Option<Interval>, scale: f64, n: usize| {
                interval.map_or("—".into(), |i| format!("{:.n$} to {:.n$}", i.low * scale, i.high * scale))
            };
            let shift = row.judge_mean.zip(row.published_mean).map(|(ours, theirs)| ours - theirs);
            writeln!(
                f,
                "{:<first$}{:>6}{:>12}{:>11}{:>16}{:>8}{:>16}{:>11}{:>8}{:>8}",
                row.file,
                row.rows,
                row.without_verdict,
                number(row.agreement, 100.0, 1),
                range(row.agreement_interval, 100.0, 1),
                number(row.kappa, 1.0, 3),
                range(row.kappa_interval, 1.0, 3),
                number(row.published_mean, 1.0, 4),
                number(row.judge_mean, 1.0, 4),
                shift.map_or("—".into(), |shift| format!("{shift:+.4}")),
            )?;
        }
        writeln!(
            f,
            "\n{:<first$}{:>12}{:>12}{:>12}{:>12}",
            "published, judge", "good, good", "good, bad", "bad, good", "bad, bad"
        )?;
        for row in all() {
            let c = row.confusion;
            writeln!(
                f,
                "{:<first$}{:>12}{:>12}{:>12}{:>12}",
                row.file, c.good_good, c.good_bad, c.bad_good, c.bad_bad
            )?;
        }
        let unreadable: usize = self.files.iter().map(|row| row.unreadable_votes).sum();
        write!(
            f,
            "\n{unreadable} votes could not be read. An answer that is no call is bad without asking. Intervals of kappa draw \
             conversations ({} draws, seed {}).",
            self.draws, self.seed
        )
    }
}
