//! `edgecall bench`: one file a part.

mod calibrate_judge;
#[cfg(feature = "engine")]
mod calls;
#[cfg(feature = "engine")]
mod checkpoint;
#[cfg(feature = "engine")]
mod conditions;
#[cfg(feature = "engine")]
mod endpoint;
mod judge;
#[cfg(feature = "engine")]
mod measure;
mod merge;
mod network;
mod outputs;
#[cfg(feature = "engine")]
mod profile;
mod report;
mod score;
#[cfg(feature = "engine")]
mod speed;
#[cfg(feature = "engine")]
mod tft;

use clap::Subcommand;
#[cfg(feature = "engine")]
use edgecall::bench::Dataset;
use edgecall::bench::{Job, row::RowFile};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The arguments of `edgecall bench`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[cfg(feature = "engine")]
    /// Let models answer every call of a data set, and compare them
    Tft(Box<tft::Args>),
    /// Make a report from the rows of a run
    Report(report::Args),
    /// Merge the rows of a run that was split by --shard
    Merge(merge::Args),
    /// Score a file of predictions that another program made
    Score(score::Args),
    #[cfg(feature = "engine")]
    /// Measure the speed of a model
    Speed(speed::Args),
    /// Compare a judge's verdicts with published ones
    CalibrateJudge(Box<calibrate_judge::Args>),
    #[cfg(feature = "engine")]
    /// Measure calls of one model; `tft` sends requests on stdin
    #[command(hide = true)]
    Measure(Box<measure::Args>),
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        #[cfg(feature = "engine")]
        Command::Tft(args) => tft::run(*args),
        Command::Report(args) => report::run(args),
        Command::Merge(args) => merge::run(args),
        Command::Score(args) => score::run(args),
        #[cfg(feature = "engine")]
        Command::Speed(args) => speed::run(args),
        Command::CalibrateJudge(args) => calibrate_judge::run(*args),
        #[cfg(feature = "engine")]
        Command::Measure(args) => measure::run(*args),
    }
}

/// Warns of what is odd about the tools of a data set.
#[cfg(feature = "engine")]
fn warn_of_tools(job: &Path, test: &Path, dataset: &Dataset) {
    warn_of_job_tools(job, &dataset.job);
    for (line, warning) in dataset.line_warnings() {
        warn(&format!("{}: line {line}: {warning}", test.display()));
    }
}

/// Warns of what is odd about the tools of a job.
fn warn_of_job_tools(path: &Path, job: &Job) {
    job.tools.warnings().iter().for_each(|warning| warn(&format!("{}: {warning}", path.display())));
}

fn warn(text: &str) {
    // Nobody reads a closed stderr.
    let _ = writeln!(io::stderr(), "warning: {text}");
}

/// Reads the rows of each file.
fn read_rows(paths: &[PathBuf]) -> anyhow::Result<Vec<(PathBuf, RowFile)>> {
    let read = |path: &PathBuf| Ok((path.clone(), RowFile::read(path)?));
    paths.iter().map(read).collect()
}
