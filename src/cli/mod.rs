//! The command line: one file a subcommand, each with its `Args` and its `run`.

mod bench;
#[cfg(feature = "engine")]
mod cache;
#[cfg(feature = "engine")]
mod call;
mod completions;
#[cfg(feature = "engine")]
mod context;
mod convert;
#[cfg(feature = "engine")]
mod doctor;
mod error;
mod exit;
mod inspect;
mod man;
mod output;
#[cfg(feature = "engine")]
mod progress;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Convert a tuned checkpoint to GGUF, and make tool calls with it
#[derive(Parser)]
#[command(name = "edgecall", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Log more to stderr: -v info, -vv debug, -vvv trace (or set RUST_LOG)
    #[arg(short, long, action = clap::ArgAction::Count, global = true, display_order = 100)]
    verbose: u8,

    #[cfg(feature = "engine")]
    /// CPU kernels to use instead of the best for this CPU; `edgecall doctor` lists them
    #[arg(long, value_name = "NAME", env = "EDGECALL_KERNELS", hide_env_values = true)]
    #[arg(global = true, display_order = 101)]
    kernels: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Convert a checkpoint folder to GGUF
    Convert(convert::Args),
    /// Show the contents and the memory needs of a GGUF file or checkpoint
    Inspect(inspect::Args),
    #[cfg(feature = "engine")]
    /// Make a tool call
    Call(Box<call::Args>),
    /// Compare quantisations on a tool-calling data set
    Bench(bench::Args),
    #[cfg(feature = "engine")]
    /// List or clear the cache of prompt states and answers
    Cache(cache::Args),
    #[cfg(feature = "engine")]
    /// Check this machine, and a model's speed and answers on it
    Doctor(doctor::Args),
    /// Print the completion script for a shell
    Completions(completions::Args),
    /// Write the manual pages, one for each command
    #[command(hide = true)]
    Man(man::Args),
}

/// Parses the command line, runs the command and returns its exit code.
pub fn main() -> ExitCode {
    #[cfg(feature = "engine")]
    let started = std::time::Instant::now();
    let cli = Cli::parse();
    output::start_log(cli.verbose);
    #[cfg(feature = "engine")]
    if let Some(name) = cli.kernels.as_deref().filter(|name| !name.is_empty()) {
        edgecall::runtime::kernels::ask_for(name);
    }
    let result = match cli.command {
        Command::Convert(args) => convert::run(args),
        Command::Inspect(args) => inspect::run(args),
        #[cfg(feature = "engine")]
        Command::Call(args) => call::run(*args, started),
        Command::Bench(args) => bench::run(args),
        #[cfg(feature = "engine")]
        Command::Cache(args) => cache::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
        #[cfg(feature = "engine")]
        Command::Doctor(args) => doctor::run(args),
    };
    exit::code(result)
}
