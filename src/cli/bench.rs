//! `edgecall bench`: one file a part.

mod score;

use clap::Subcommand;

/// The arguments of `edgecall bench`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Score a file of predictions
    Score(score::Args),
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Score(args) => score::run(args),
    }
}
