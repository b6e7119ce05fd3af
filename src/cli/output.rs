//! The only writer to stdout, with tables or JSON; also the log on stderr.

use serde::Serialize;
use std::{
    env,
    error::Error,
    fmt::{self, Display},
    io::{self, IsTerminal, StdoutLock, Write},
};
use tracing_subscriber::EnvFilter;

/// Target of llama.cpp's log, set by llama-cpp-2.
const LLAMA: &str = "llama-cpp-2";

/// A result that could not be written to stdout.
#[derive(Debug)]
pub struct StdoutError(io::Error);

impl From<io::Error> for StdoutError {
    fn from(error: io::Error) -> StdoutError {
        StdoutError(error)
    }
}

impl Display for StdoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot write to stdout")
    }
}

impl Error for StdoutError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// Format of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table for people.
    Table,
    /// One JSON document for programs.
    Json,
}

impl Format {
    /// Format for the flag `--json`.
    pub fn from_flag(json: bool) -> Format {
        if json { Format::Json } else { Format::Table }
    }
}

/// Stdout for a result.
///
/// # Errors
/// A stdout that was closed when the program started: Rust opens `/dev/null` in its place, where the result would be lost
/// without a word.
fn stdout() -> Result<StdoutLock<'static>, StdoutError> {
    #[cfg(feature = "engine")]
    if edgecall::runtime::started_without_stdout() {
        return Err(StdoutError(io::Error::other(
            "it is closed; redirect it to /dev/null if the result is not needed",
        )));
    }
    Ok(io::stdout().lock())
}

#[cfg(feature = "engine")]
/// Checks that there is a stdout, before the work on a result for it.
///
/// # Errors
/// A stdout that is closed.
pub fn check() -> Result<(), StdoutError> {
    stdout().map(drop)
}

/// Writes `value` to stdout, with the same numbers in both formats.
///
/// # Errors
/// A stdout that cannot be written; a broken pipe keeps its kind.
pub fn emit(value: &(impl Display + Serialize), format: Format) -> Result<(), StdoutError> {
    let mut out = stdout()?;
    match format {
        Format::Table => writeln!(out, "{value}")?,
        Format::Json => {
            // serde_json wraps the operating system's error; only unwrapped it is recognised as a broken pipe.
            serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    Ok(out.flush()?)
}

#[cfg(feature = "engine")]
/// Writes one line to stdout, for an answer that is its own format.
///
/// # Errors
/// A stdout that cannot be written; a broken pipe keeps its kind.
pub fn line(text: &impl Display) -> Result<(), StdoutError> {
    let mut out = stdout()?;
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Writes a text to stdout unchanged and flushes it.
///
/// # Errors
/// A stdout that cannot be written; a broken pipe keeps its kind.
pub fn text(text: &str) -> Result<(), StdoutError> {
    let mut out = stdout()?;
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes a help or the version, which clap has in place of an error.
///
/// # Errors
/// A stdout that cannot be written; a broken pipe keeps its kind.
pub fn help(help: &clap::Error) -> Result<(), StdoutError> {
    let mut out = stdout()?;
    help.print()?;
    Ok(out.flush()?)
}

/// Log filter for this number of `-v`, in the form of `RUST_LOG`.
fn filter(verbose: u8) -> String {
    match verbose {
        0 => "off".to_owned(),
        1 => "edgecall=debug".to_owned(),
        2 => format!("edgecall=debug,{LLAMA}=info"),
        _ => "trace".to_owned(),
    }
}

/// True if stderr is a terminal that understands escape sequences.
pub fn is_stderr_a_screen() -> bool {
    io::stderr().is_terminal() && env::var_os("TERM").is_none_or(|name| name != "dumb")
}

/// Clears a line of progress on stderr before something else is printed there.
pub fn clear_progress() {
    if is_stderr_a_screen() {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}

/// True if stderr takes colours. `NO_COLOR` with any value but an empty one forbids them (no-color.org).
fn is_stderr_coloured() -> bool {
    is_stderr_a_screen() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Sends log lines to stderr; none without `-v` or `RUST_LOG`.
pub fn start_log(verbose: u8) {
    let asked = env::var("RUST_LOG").ok().filter(|asked| !asked.trim().is_empty());
    let filter = EnvFilter::builder().parse_lossy(asked.unwrap_or_else(|| filter(verbose)));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_stderr_coloured())
        .with_writer(io::stderr)
        .without_time()
        .finish();
    // Not `init`, which also takes records of the crate `log`: the HTTP client logs requests there byte by byte, with
    // the server's key in them.
    tracing::subscriber::set_global_default(log).expect("the log is started once");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_v_is_our_log_and_two_are_llama_cpps_too() {
        assert_eq!(filter(0), "off");
        assert_eq!(filter(1), "edgecall=debug");
        assert_eq!(filter(2), "edgecall=debug,llama-cpp-2=info");
        for verbose in 0..4 {
            assert!(EnvFilter::builder().parse(filter(verbose)).is_ok(), "{verbose}");
        }
    }

    #[test]
    fn an_error_of_stdout_says_so_and_keeps_a_broken_pipe_apart() {
        let error = anyhow::Error::from(StdoutError(io::ErrorKind::StorageFull.into()));
        assert!(format!("{error:#}").starts_with("cannot write to stdout: "), "{error:#}");
        let broken = anyhow::Error::from(StdoutError(io::ErrorKind::BrokenPipe.into()));
        assert!(broken.chain().any(|cause| cause.is::<io::Error>()));
    }
}
