//! `edgecall verify`.

use super::{
    context::warn_of_threads,
    exit::{self, CliError},
    numbers::positive,
    output::{Format, emit},
    progress::Line,
};
use edgecall::{
    Kind,
    runtime::{self, Trust},
    witness::{self, Options, Witness},
};
use std::{num::NonZero, path::PathBuf};

/// Examples at the end of the help.
const EXAMPLES: &str = "\
Examples:
  python scripts/witness.py my-model --out my-model.json      (beside the trainer)
  edgecall verify my-model-Q4_K_M.gguf --witness my-model.json";

/// The arguments of `edgecall verify`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Model file to compare
    #[arg(value_name = "MODEL.gguf")]
    model: PathBuf,

    /// Witness that scripts/witness.py wrote beside the trainer
    #[arg(short, long, value_name = "WITNESS.json")]
    witness: PathBuf,

    /// Load a model even if its architecture or tokenizer cannot be fully validated; only for files that you trust
    #[arg(long)]
    trust_model: bool,

    /// Number of threads [default: one for each physical core]
    #[arg(long, value_name = "N", value_parser = positive)]
    threads: Option<NonZero<usize>>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    exit::leave_on_interrupt("interrupted", || ())?;
    runtime::kernels::active()?;
    let witness = Witness::read(&args.witness)?;
    let trust = if args.trust_model { Trust::Unchecked } else { Trust::Checked };
    warn_of_threads(args.threads);
    let options = Options { trust, threads: args.threads };
    let mut line = Line::new();
    let report = witness::compare(&args.model, &witness, &options, |step| {
        line.show(step);
        true
    });
    drop(line);
    let Some(report) = report? else { return Ok(()) };
    emit(&report, Format::from_flag(args.json))?;
    match report.ok {
        true => Ok(()),
        false => Err(CliError::with_kind(
            Kind::Negative,
            "the file does not say what the trainer's model says; the report names what is to blame",
        )),
    }
}
