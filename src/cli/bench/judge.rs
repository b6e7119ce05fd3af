//! The judge: arguments, and runs with a progress bar.

use super::network;
use crate::cli::{exit::CliError, numbers::between, output};
use clap::builder::TypedValueParser;
#[cfg(feature = "engine")]
use edgecall::bench::{Dataset, row::RowWriter};
use edgecall::{
    bench::{
        row::JudgeConfig,
        score::judge::{Cache, Judge},
    },
    http::Client,
    machine,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

/// The arguments for a judge.
#[derive(clap::Args)]
#[command(next_help_heading = "Judge")]
pub struct Args {
    /// Server of a judge model; the key is in EDGECALL_JUDGE_API_KEY, else EDGECALL_API_KEY, else OPENAI_API_KEY
    #[arg(long, value_name = "URL", requires = "judge_model")]
    judge: Option<String>,

    /// Name of the judge's model on the server
    #[arg(long, value_name = "NAME", requires = "judge")]
    judge_model: Option<String>,

    /// Number of votes for each call, an odd one; the majority decides
    #[arg(long, value_name = "N", default_value = "1", value_parser = between(1, 99).try_map(odd))]
    judge_votes: usize,

    /// Sampling temperature of the judge [default: 0; for several votes 0.7]
    #[arg(long, value_name = "T", value_parser = temperature)]
    judge_temperature: Option<f64>,

    /// Maximum number of tokens in a verdict, reasoning included
    #[arg(long, value_name = "N", default_value = "4096", value_parser = between(16, u32::MAX))]
    judge_max_tokens: u32,

    /// Maximum number of concurrent requests
    #[arg(long, value_name = "N", default_value = "4", value_parser = between(1, 256))]
    judge_concurrency: u32,

    /// File of votes to reuse and extend [default: in the user's cache folder]
    #[arg(long, value_name = "FILE.jsonl")]
    judge_cache: Option<PathBuf>,
}

fn odd(n: u32) -> Result<usize, String> {
    if n % 2 == 1 {
        Ok(n as usize)
    } else {
        Err("an even number of votes can be split; take an odd one".into())
    }
}

fn temperature(text: &str) -> Result<f64, String> {
    let temperature = text.parse().ok().filter(|temperature: &f64| (0.0..=2.0).contains(temperature));
    temperature.ok_or_else(|| "expected a number from 0 to 2, such as 0.7".into())
}

/// A judge with the settings of the command line.
pub struct ConfiguredJudge {
    client: Client,
    config: JudgeConfig,
    criteria: String,
    votes: usize,
    concurrency: usize,
    cache: PathBuf,
}

impl Args {
    /// True if a judge was given.
    pub fn is_asked(&self) -> bool {
        self.judge.is_some()
    }

    /// Judge with these `criteria`; `job` is the file that should have them.
    ///
    /// # Errors
    /// An invalid address or key, missing criteria, or no cache folder.
    pub fn prepare(
        &self,
        network: &network::Args,
        criteria: Option<&str>,
        job: &Path,
    ) -> anyhow::Result<Option<ConfiguredJudge>> {
        let (Some(url), Some(model)) = (&self.judge, &self.judge_model) else { return Ok(None) };
        let Some(criteria) = criteria.filter(|text| !text.trim().is_empty()) else {
            return Err(CliError::usage(format!(
                "{} has no `llm_as_a_judge_instructions`, and a judge goes by them; write what makes a call good there",
                job.display()
            )));
        };
        let temperature = self.judge_temperature.unwrap_or(if self.judge_votes > 1 { 0.7 } else { 0.0 });
        if self.judge_votes > 1 && temperature == 0.0 {
            return Err(CliError::usage("at temperature 0 all votes are one; raise --judge-temperature"));
        }
        let client = network.client(url, &["EDGECALL_JUDGE_API_KEY", "EDGECALL_API_KEY"])?;
        let max_tokens = self.judge_max_tokens as usize;
        Ok(Some(ConfiguredJudge {
            client,
            config: JudgeConfig::new(model, criteria, temperature, max_tokens),
            criteria: criteria.to_owned(),
            votes: self.judge_votes,
            concurrency: self.judge_concurrency as usize,
            cache: match &self.judge_cache {
                Some(path) => path.clone(),
                None => cache_folder()?.join("judge.jsonl"),
            },
        }))
    }
}

fn cache_folder() -> anyhow::Result<PathBuf> {
    machine::folders::cache_folder()
        .ok_or_else(|| CliError::usage("there is no HOME to keep votes in; name a file with --judge-cache"))
}

impl ConfiguredJudge {
    /// Calls `with` with the judge and a callback that shows progress.
    ///
    /// # Errors
    /// A cache that cannot be opened, and errors of `with`.
    pub fn run<T>(
        &self,
        with: impl FnOnce(&Judge<'_>, &(dyn Fn(usize, usize) + Sync)) -> Result<T, edgecall::bench::Error>,
    ) -> anyhow::Result<T> {
        let cache = Mutex::new(Cache::open(&self.cache)?);
        let judge = Judge {
            client: &self.client,
            config: self.config.clone(),
            criteria: self.criteria.clone(),
            votes: self.votes,
            concurrency: self.concurrency,
            cache,
        };
        let bar = bar();
        let progress = |done: usize, all: usize| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        };
        let result = with(&judge, &progress);
        bar.finish_and_clear();
        Ok(result?)
    }

    #[cfg(feature = "engine")]
    /// Adds verdicts to the rows of a file.
    ///
    /// # Errors
    /// As for [`ConfiguredJudge::run`]; a file that cannot be written.
    pub fn judge_file(&self, writer: &mut RowWriter, dataset: &Dataset) -> anyhow::Result<()> {
        let mut file = writer.contents()?;
        let changed = self.run(|judge, progress| judge.judge_rows(&mut file.rows, dataset, progress))?;
        if changed > 0 {
            writer.replace(&file)?;
        }
        Ok(())
    }
}

/// Progress bar on stderr if it is a terminal.
fn bar() -> ProgressBar {
    if !output::is_stderr_a_screen() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("verdicts {wide_bar} {pos} of {len} {eta:>4}");
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    bar.with_style(style.expect("the template is a constant"))
}
