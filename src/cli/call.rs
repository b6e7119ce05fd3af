//! `edgecall call`.

use std::path::PathBuf;

/// The arguments of `edgecall call`.
#[derive(clap::Args)]
pub struct Args {
    /// Read this
    #[arg(value_name = "TOOLS.json")]
    path: PathBuf,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    anyhow::bail!("{}: not yet", args.path.display())
}
