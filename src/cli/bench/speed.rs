//! `edgecall bench speed`.

use crate::cli::output::{Format, emit};
use edgecall::{
    Error,
    benchmark::{Dataset, speed},
    runtime::{self, Trust, Vocabulary},
};
use std::path::PathBuf;

/// The arguments of `edgecall bench speed`.
#[derive(clap::Args)]
pub struct Args {
    /// The model
    #[arg(short, long, value_name = "MODEL.gguf")]
    model: PathBuf,

    /// Replay the right answers of a data set, without weights, and count the steps that they take
    #[arg(long, requires = "data")]
    replay: bool,

    /// Folder with job_description.json and test.jsonl
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    runtime::cpu::check().map_err(Error::from)?;
    let Some(folder) = args.data.filter(|_| args.replay) else {
        return Err(super::Failure::usage("only --replay"));
    };
    let dataset = Dataset::open(&folder).map_err(Error::from)?;
    let vocabulary = Vocabulary::load_with(&args.model, Trust::Checked).map_err(Error::from)?;
    let replay = speed::replay(&dataset, &vocabulary)?;
    Ok(emit(&replay, Format::from_flag(args.json))?)
}
