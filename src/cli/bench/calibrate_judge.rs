//! `edgecall bench calibrate-judge`.

use super::{judge, network};
use crate::cli::error::ReadError;
use crate::cli::{
    exit::{self, CliError},
    numbers::positive,
    output::{Format, emit},
};
use edgecall::{
    Kind,
    bench::{
        Job,
        score::{
            predictions::{self, Prediction, calibrate},
            verdict::Rules,
        },
    },
    files,
};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Limit on the size of a file of predictions.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// The arguments of `edgecall bench calibrate-judge`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder with job_description.json and prediction files (*.jsonl) with published verdicts
    #[arg(long, value_name = "DIR", required_unless_present_all = ["job", "files"])]
    data: Option<PathBuf>,

    /// Job description with the judge's criteria
    #[arg(long, value_name = "JOB.json")]
    job: Option<PathBuf>,

    /// Prediction files
    #[arg(value_name = "PREDICTIONS.jsonl")]
    files: Vec<PathBuf>,

    /// Use only the first N rows of each file
    #[arg(long, value_name = "N", value_parser = positive)]
    limit: Option<std::num::NonZeroUsize>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    judge: judge::Args,

    #[command(flatten)]
    network: network::Args,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    if !args.judge.is_asked() {
        return Err(CliError::usage(
            "there is no judge to calibrate; name one with --judge URL and --judge-model NAME",
        ));
    }
    let beside = || args.data.as_ref().map(|folder| folder.join("job_description.json")).unwrap_or_default();
    let job_path = args.job.clone().unwrap_or_else(beside);
    let job = Job::open(&job_path)?;
    let read = predictions(&args)?;
    let judge = args.judge.prepare(&args.network, job.judge_instructions.as_deref(), &job_path)?;
    exit::leave_on_interrupt(
        "interrupted; votes so far are kept, and the same command goes on with them",
        || (),
    )?;
    let judge = judge.expect("it was named");
    let Rules { draws, seed, .. } = Rules::default();
    let calibration = judge.run(|judge, progress| calibrate(judge, &read, draws, seed, progress))?;
    Ok(emit(&calibration, Format::from_flag(args.json))?)
}

/// Reads the rows of each prediction file.
fn predictions(args: &Args) -> anyhow::Result<Vec<(String, Vec<Prediction>)>> {
    // Among the files of a folder there may be pipes that nobody writes to; one that is named is waited for.
    let (paths, open): (_, fn(&Path) -> io::Result<File>) = match (&args.data, args.files.is_empty()) {
        (Some(folder), true) => (in_folder(folder)?, files::open),
        _ => (args.files.clone(), files::open_input),
    };
    let limit = args.limit.map_or(usize::MAX, std::num::NonZeroUsize::get);
    let read = |path: &PathBuf| {
        let bytes = open(path).and_then(|file| files::read_within(MAX_FILE_BYTES, file));
        let bytes = bytes.map_err(|source| ReadError::new(path, source))?.ok_or_else(|| {
            let message = format!("{} has more than {MAX_FILE_BYTES} bytes; split it", path.display());
            CliError::with_kind(Kind::Data, message)
        })?;
        let mut rows = predictions::read(path, &bytes)?;
        rows.truncate(limit);
        Ok((path.display().to_string(), rows))
    };
    paths.iter().map(read).collect()
}

/// Prediction files (`*.jsonl`) in a folder, sorted by name.
fn in_folder(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let unreadable = |source| ReadError::new(folder, source);
    let entries: Vec<_> =
        fs::read_dir(folder).map_err(unreadable)?.collect::<Result<_, _>>().map_err(unreadable)?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    paths.sort();
    match paths.is_empty() {
        true => Err(CliError::with_kind(
            Kind::NoInput,
            format!("{} has no file of predictions, *.jsonl", folder.display()),
        )),
        false => Ok(paths),
    }
}
