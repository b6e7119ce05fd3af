//! `edgecall doctor`.

use super::{
    cache::CACHE_DIR,
    context::ContextArgs,
    exit::{self, CliError},
    model_path,
    output::{Format, emit},
    progress::Line,
    trial,
};
use edgecall::{
    Kind,
    doctor::{self, Request},
    machine::folders::cache_folder,
    runtime::{LoadOptions, Trust, kernels},
};
use std::path::PathBuf;

/// The arguments of `edgecall doctor`.
#[derive(clap::Args)]
pub struct Args {
    /// Model to test: its speed, and its answers against those that `edgecall convert` stored in its manifest
    #[arg(short, long, value_name = "MODEL.gguf", env = "EDGECALL_MODEL", hide_env_values = true)]
    model: Option<PathBuf>,

    #[command(flatten)]
    context: ContextArgs,

    /// Load a model even if its architecture or tokenizer cannot be fully validated; only for files that you trust
    #[arg(long)]
    trust_model: bool,

    /// Cache folder to check [default: edgecall in the user's cache folder]
    #[arg(long, value_name = "DIR", env = CACHE_DIR, hide_env_values = true)]
    cache_dir: Option<PathBuf>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    exit::leave_on_interrupt("interrupted", || ())?;
    kernels::active()?;
    let request = Request {
        model: args.model.as_deref().map(model_path::gguf).transpose()?,
        trust: if args.trust_model { Trust::Unchecked } else { Trust::Checked },
        session: args.context.options(),
        cache_folder: args.cache_dir.or_else(cache_folder),
    };
    if let Some(path) = &request.model {
        let load = LoadOptions { trust: request.trust, ..LoadOptions::default() };
        trial::check_file(path, load, &request.session)?;
    }
    let mut line = Line::new();
    let report = doctor::examine(&request, |step| line.show(step));
    drop(line);
    let report = report?;
    emit(&report, Format::from_flag(args.json))?;
    match report.ok {
        true => Ok(()),
        false => Err(CliError::with_kind(
            Kind::Negative,
            "something is wrong; the report says what to do about it",
        )),
    }
}
