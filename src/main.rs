//! The `edgecall` command.

#[cfg(own_barrier)]
mod barrier;
mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
