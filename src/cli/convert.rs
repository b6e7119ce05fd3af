//! `edgecall convert`.

use std::path::PathBuf;

/// The arguments of `edgecall convert`.
#[derive(clap::Args)]
pub struct Args {
    /// Read this
    #[arg(value_name = "CHECKPOINT_DIR")]
    path: PathBuf,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    anyhow::bail!("{}: not yet", args.path.display())
}
