//! `edgecall bench score`.

use crate::cli::{
    exit::Failure,
    output::{Format, emit},
};
use anyhow::Context;
use edgecall::{
    Error, Kind,
    benchmark::{Job, metric::Toolbox, predictions},
};
use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The arguments of `edgecall bench score`.
#[derive(clap::Args)]
pub struct Args {
    /// Score these rows with `answer` and `prediction`; `-` reads stdin
    #[arg(value_name = "FILE.jsonl")]
    file: PathBuf,

    /// Take defaults and schemas from this job description
    #[arg(long, value_name = "JOB.json")]
    job: Option<PathBuf>,

    /// Print one JSON document, every differing score included
    #[arg(long)]
    json: bool,
}

/// Far more than any file of predictions; the input may be a device without an end.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let tools = match &args.job {
        Some(path) => Some(Toolbox::new(&Job::open(path).map_err(Error::from)?.tools)),
        None => None,
    };
    let (path, bytes) = if args.file.as_os_str() == "-" {
        (Path::new("stdin"), bounded(io::stdin().lock(), "stdin").context("cannot read stdin")?)
    } else {
        let unreadable = |source| Error::read(&args.file, source);
        let file = fs::File::open(&args.file).map_err(unreadable)?;
        (&*args.file, bounded(file, &args.file.display().to_string()).map_err(unreadable)?)
    };
    let rows = predictions::read(path, &bytes?).map_err(Error::from)?;
    let scored = predictions::score(&path.display().to_string(), &rows, tools.as_ref());
    Ok(emit(&scored, Format::from_flag(args.json))?)
}

fn bounded(input: impl Read, name: &str) -> io::Result<anyhow::Result<Vec<u8>>> {
    let mut bytes = Vec::new();
    input.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(match bytes.len() as u64 > MAX_FILE_BYTES {
        true => {
            Err(Failure::of(Kind::Data, format!("{name} has more than {MAX_FILE_BYTES} bytes; split it")))
        }
        false => Ok(bytes),
    })
}
