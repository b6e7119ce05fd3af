//! The only writer to stdout, with tables or JSON; also the log on stderr.

use serde::Serialize;
use std::{
    fmt::Display,
    io::{self, Write},
};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

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

/// Writes `value` to stdout, with the same numbers in both formats.
///
/// # Errors
/// The operating system's error if stdout cannot be written; a broken pipe keeps its kind.
pub fn emit(value: &(impl Display + Serialize), format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Table => writeln!(out, "{value}")?,
        Format::Json => {
            // serde_json wraps the operating system's error; only unwrapped it is recognised as a broken pipe.
            serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    out.flush()
}

#[cfg(feature = "engine")]
/// Writes one line to stdout, for an answer that is its own format.
///
/// # Errors
/// The operating system's error if stdout cannot be written; a broken pipe keeps its kind.
pub fn line(text: &impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Writes a text to stdout unchanged and flushes it.
///
/// # Errors
/// The operating system's error if stdout cannot be written; a broken pipe keeps its kind.
pub fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Sends log lines to stderr; none without `-v` or `RUST_LOG`.
pub fn start_log(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::OFF,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let filter = EnvFilter::builder().with_default_directive(level.into()).from_env_lossy();
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).without_time().finish();
    // Not `init`, which also takes records of the crate `log`: the HTTP client logs requests there byte by byte, with
    // the server's key in them.
    tracing::subscriber::set_global_default(log).expect("the log is started once");
}
