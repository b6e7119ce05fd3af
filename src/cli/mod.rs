//! The command line: one file a subcommand, each with its `Args` and its `run`.

#[cfg(feature = "engine")]
mod address_space;
#[cfg(feature = "engine")]
mod batch;
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
#[cfg(feature = "engine")]
mod load;
mod man;
#[cfg(feature = "engine")]
mod model_args;
mod model_path;
mod numbers;
mod output;
mod parse;
mod profile;
mod profile_args;
#[cfg(feature = "engine")]
mod progress;
mod pull;
#[cfg(feature = "engine")]
mod run;
#[cfg(feature = "engine")]
mod serve;
#[cfg(feature = "engine")]
mod trial;
#[cfg(feature = "engine")]
mod verify;

use clap::{ArgAction, Parser, Subcommand};
use std::process::ExitCode;

/// Heading of the options that every command has.
const GLOBAL: &str = "Global options";

/// Convert a tuned checkpoint to GGUF, and make tool calls with it
#[derive(Parser)]
#[command(name = "edgecall", version, arg_required_else_help = true, max_term_width = 100)]
#[command(disable_help_flag = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Log to stderr: -v edgecall's steps, -vv llama.cpp's log too, -vvv all of both (or set RUST_LOG)
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = GLOBAL, display_order = 100)]
    verbose: u8,

    #[cfg(feature = "engine")]
    /// CPU kernels to use instead of the best for this CPU; `edgecall doctor` lists them
    #[arg(long, value_name = "NAME", env = "EDGECALL_KERNELS", hide_env_values = true)]
    #[arg(global = true, help_heading = GLOBAL, display_order = 101)]
    kernels: Option<String>,

    /// Print help (-h: a summary)
    #[arg(short, long, action = ArgAction::Help, global = true, help_heading = GLOBAL, display_order = 102)]
    help: Option<bool>,
}

#[derive(Subcommand)]
enum Command {
    /// Fetch a model from the Hugging Face hub, into the cache that Python's client uses
    Pull(pull::Args),
    /// Convert a Hugging Face checkpoint folder to GGUF files of one or more types
    Convert(convert::Args),
    /// Show, write or remove a GGUF file's profile: the settings that calls take from it
    Profile(profile::Args),
    /// Show what a GGUF file or checkpoint holds, and how much memory it needs
    Inspect(inspect::Args),
    #[cfg(feature = "engine")]
    /// Let a model answer a prompt with a tool call
    Call(Box<call::Args>),
    #[cfg(feature = "engine")]
    /// Let a model answer the requests in a file, one a line
    Batch(Box<batch::Args>),
    #[cfg(feature = "engine")]
    /// Let a model answer a prompt with tools that run: programs, and those of MCP servers
    Run(Box<run::Args>),
    #[cfg(feature = "engine")]
    /// Serve a model over HTTP, as OpenAI's API
    Serve(Box<serve::Args>),
    /// Compare models, such as quantisations of one, on a tool-calling data set
    Bench(bench::Args),
    #[cfg(feature = "engine")]
    /// List or clear the cache of prompt states and answers
    Cache(cache::Args),
    #[cfg(feature = "engine")]
    /// Check this machine, and whether a model is fast and right on it
    Doctor(doctor::Args),
    #[cfg(feature = "engine")]
    /// Compare a GGUF file with what its model said in the trainer
    Verify(verify::Args),
    /// Print the completion script for a shell
    Completions(completions::Args),
    #[cfg(feature = "engine")]
    /// Load a model once, in a process that may be lost
    #[command(hide = true)]
    TryModel(trial::child::Args),
    /// Write the manual pages, one for each command
    #[command(hide = true)]
    Man(man::Args),
}

/// Parses the command line, runs the command and returns its exit code.
pub fn main() -> ExitCode {
    #[cfg(feature = "engine")]
    let started = std::time::Instant::now();
    let cli = match parse::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    output::start_log(cli.verbose);
    #[cfg(feature = "engine")]
    if let Some(name) = cli.kernels.as_deref() {
        edgecall::runtime::kernels::ask_for(name);
    }
    let result = match cli.command {
        Command::Pull(args) => pull::run(args),
        Command::Convert(args) => convert::run(args),
        Command::Profile(args) => profile::run(args),
        Command::Inspect(args) => inspect::run(args),
        #[cfg(feature = "engine")]
        Command::Call(args) => call::run(*args, started),
        #[cfg(feature = "engine")]
        Command::Batch(args) => batch::run(*args),
        #[cfg(feature = "engine")]
        Command::Run(args) => run::run(*args, started),
        #[cfg(feature = "engine")]
        Command::Serve(args) => serve::run(*args),
        Command::Bench(args) => bench::run(args),
        #[cfg(feature = "engine")]
        Command::Cache(args) => cache::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
        #[cfg(feature = "engine")]
        Command::TryModel(args) => trial::child::run(args),
        #[cfg(feature = "engine")]
        Command::Doctor(args) => doctor::run(args),
        #[cfg(feature = "engine")]
        Command::Verify(args) => verify::run(args),
    };
    exit::code(result)
}
