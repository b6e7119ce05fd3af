//! `edgecall bench score`.

use super::{judge, network, warn, warn_of_job_tools};
use crate::cli::error::ReadError;
use crate::cli::{
    exit::{self, CliError},
    output::{Format, emit},
};
use anyhow::Context;
use edgecall::{
    Kind,
    bench::{
        Job,
        score::{metric::Toolbox, predictions, verdict::Rules},
    },
    files,
};
use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The arguments of `edgecall bench score`.
#[derive(clap::Args)]
pub struct Args {
    /// Rows to score, with `answer` and `prediction`; `-` reads stdin
    #[arg(value_name = "FILE.jsonl")]
    file: PathBuf,

    /// Job description with defaults, schemas and the judge's criteria
    #[arg(long, value_name = "JOB.json")]
    job: Option<PathBuf>,

    /// Print one JSON document, with every differing score and every verdict
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    judge: judge::Args,

    #[command(flatten)]
    network: network::Args,
}

/// Limit on the size of the input. No prediction file is this large, but a path may name a device without an end.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let job = args.job.as_ref().map(|path| Job::open(path)).transpose()?;
    let tools = job.as_ref().map(|job| Toolbox::new(&job.tools));
    if let (Some(path), Some(job), Some(tools)) = (&args.job, &job, &tools) {
        warn_of_job_tools(path, job);
        for name in tools.uncompiled() {
            let path = path.display();
            warn(&format!(
                "{path}: the schema of tool `{name}` cannot be compiled, so its calls are not validated"
            ));
        }
    }
    let judge = judge(&args, job.as_ref())?;
    let (path, bytes) = if args.file.as_os_str() == "-" {
        (Path::new("stdin"), bounded(io::stdin().lock(), "stdin").context("cannot read stdin")?)
    } else {
        let unreadable = |source| ReadError::new(&args.file, source);
        let file = files::open_input(&args.file).map_err(unreadable)?;
        (&*args.file, bounded(file, &args.file.display().to_string()).map_err(unreadable)?)
    };
    let rows = predictions::read(path, &bytes?)?;
    let mut scored = predictions::score(&path.display().to_string(), &rows, tools.as_ref());
    if let Some(judge) = judge {
        exit::leave_on_interrupt(
            "interrupted; votes so far are kept, and the same command goes on with them",
            || (),
        )?;
        let Rules { draws, seed, .. } = Rules::default();
        let graded =
            judge.run(|judge, progress| predictions::grade(judge, path, &rows, (draws, seed), progress))?;
        scored = scored.with_verdicts(graded);
    }
    Ok(emit(&scored, Format::from_flag(args.json))?)
}

/// Judge of the command line, if one was given.
fn judge(args: &Args, job: Option<&Job>) -> anyhow::Result<Option<judge::ConfiguredJudge>> {
    if !args.judge.is_asked() {
        return Ok(None);
    }
    let (Some(job), Some(path)) = (job, &args.job) else {
        return Err(CliError::usage(
            "a judge goes by the criteria of a job; name the file that has them with --job JOB.json",
        ));
    };
    args.judge.prepare(&args.network, job.judge_instructions.as_deref(), path)
}

fn bounded(input: impl Read, name: &str) -> io::Result<anyhow::Result<Vec<u8>>> {
    Ok(files::read_within(MAX_FILE_BYTES, input)?.ok_or_else(|| {
        CliError::with_kind(Kind::Data, format!("{name} has more than {MAX_FILE_BYTES} bytes; split it"))
    }))
}
