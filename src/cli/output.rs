//! The only writer to stdout: a value as a table or as JSON; and the log on stderr.

use serde::Serialize;
use std::{
    fmt::Display,
    io::{self, Write},
};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// How a result is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table for people.
    Table,
    /// One JSON document for programs.
    Json,
}

impl Format {
    /// The format that a `--json` flag asks for.
    pub fn from_flag(json: bool) -> Format {
        if json { Format::Json } else { Format::Table }
    }
}

/// Writes `value` to stdout: the same numbers either way.
///
/// # Errors
/// The system's error when stdout cannot be written; a broken pipe stays one.
pub fn emit(value: &(impl Display + Serialize), format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Table => writeln!(out, "{value}")?,
        Format::Json => {
            // serde_json wraps the system's error; unwrapped, a broken pipe is seen as one.
            serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    out.flush()
}

/// Writes one line to stdout: an answer that is its own format.
///
/// # Errors
/// The system's error when stdout cannot be written; a broken pipe stays one.
pub fn line(text: &impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Writes a text to stdout as it is, at once.
///
/// # Errors
/// The system's error when stdout cannot be written; a broken pipe stays one.
pub fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Sends log lines to stderr: none unless `-v` or `RUST_LOG` asks.
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
    // Not `init`, which takes the records of the crate `log`, too: the HTTP client writes requests there byte by byte,
    // and a server's key is in them.
    tracing::subscriber::set_global_default(log).expect("the log is started once");
}
