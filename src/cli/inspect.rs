//! `edgecall inspect`.

use std::path::PathBuf;

/// The arguments of `edgecall inspect`.
#[derive(clap::Args)]
pub struct Args {
    /// Read this
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    anyhow::bail!("{}: not yet", args.path.display())
}
