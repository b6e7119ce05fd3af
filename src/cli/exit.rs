//! Converts a result into an exit code and an error message on stderr.

use super::{error, output};
use edgecall::{Kind, stack};
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// An error of the command line, with its class.
#[derive(Debug)]
pub struct CliError {
    kind: Kind,
    message: String,
}

impl CliError {
    /// A usage error (exit code 2); the message says what to do next.
    pub fn usage(message: impl Into<String>) -> anyhow::Error {
        CliError::with_kind(Kind::Usage, message)
    }

    /// An error of class `kind`.
    pub fn with_kind(kind: Kind, message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(CliError { kind, message: message.into() })
    }
}

impl std::fmt::Display for CliError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

/// Reports `result` and returns its exit code.
///
/// A closed pipe (`| head`) is not an error: the reader has what it wanted.
pub fn code(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    if is_broken_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    output::clear_progress();
    // Nobody reads a closed stderr; the exit code still tells.
    let remedies = error.chain().map(error::remedies).find(|remedies| !remedies.is_empty());
    let advice = error::advice(&remedies.unwrap_or_default());
    let _ = writeln!(io::stderr(), "error: {error:#}{advice}");
    ExitCode::from(number_of(&error))
}

/// `error` with its whole message rewritten: its class and its advice stay.
pub fn reworded(error: anyhow::Error, rewrite: impl Fn(&str) -> String) -> anyhow::Error {
    if is_broken_pipe(&error) {
        return error;
    }
    let remedies = error.chain().map(error::remedies).find(|remedies| !remedies.is_empty());
    let advice = error::advice(&remedies.unwrap_or_default());
    CliError::with_kind(kind(&error), rewrite(&format!("{error:#}{advice}")))
}

/// Exit code of an error.
pub fn number_of(error: &anyhow::Error) -> u8 {
    number(kind(error))
}

/// On Ctrl-C calls `before`, prints `message` and ends the process. This happens on a separate thread, since a prefill
/// may take minutes.
///
/// # Errors
/// A signal handler that cannot be installed.
pub fn leave_on_interrupt(message: &'static str, before: impl Fn() + Send + 'static) -> anyhow::Result<()> {
    let handler = move || {
        before();
        output::clear_progress();
        let _ = writeln!(io::stderr(), "error: {message}");
        leave(130)
    };
    watch_interrupt(handler)
}

/// Calls `handler` on Ctrl-C, on a thread of its own.
///
/// # Errors
/// A thread that cannot be started.
pub fn watch_interrupt(handler: impl FnMut() + Send + 'static) -> anyhow::Result<()> {
    ctrlc::set_handler(handler).map_err(|error| {
        let cause = match error {
            ctrlc::Error::System(cause) => cause,
            other => io::Error::other(other),
        };
        let message = format!("cannot start a thread that watches for Ctrl-C ({cause}); {}", stack::LIMITS);
        CliError::with_kind(Kind::Unavailable, message)
    })
}

/// Ends the process; with the engine, without waiting for the engine's threads.
pub fn leave(code: u8) -> ! {
    #[cfg(feature = "engine")]
    edgecall::runtime::leave(code);
    #[cfg(not(feature = "engine"))]
    std::process::exit(code.into())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

fn kind(error: &anyhow::Error) -> Kind {
    let mut system = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    // Whatever was to be done with a file: it was neither missing nor malformed.
    if system.any(|error| error.kind() == io::ErrorKind::OutOfMemory) {
        return Kind::Unavailable;
    }
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<CliError>() {
            return error.kind;
        }
        if let Some(kind) = error::kind(cause) {
            return kind;
        }
    }
    Kind::Io
}

/// The exit codes and their meanings, for the manual page.
pub const MEANINGS: [(u8, &str); 10] = [
    (0, "Done: a call, a file, an answer."),
    (1, "No call within the tokens allowed or none that passes its checks; a gate of bench not reached."),
    (2, "Wrong arguments."),
    (65, "An input is malformed, unsupported or too long."),
    (66, "An input is missing."),
    (69, "A CPU feature, the engine or a server is not available."),
    (70, "A bug: please report it."),
    (73, "An output cannot be created."),
    (74, "Reading or writing failed."),
    (130, "Interrupted."),
];

/// Exit code of a class, from `sysexits.h` where it has one.
fn number(kind: Kind) -> u8 {
    match kind {
        Kind::Negative => 1,
        Kind::Usage => 2,
        Kind::Data => 65,
        Kind::NoInput => 66,
        Kind::Unavailable => 69,
        Kind::Bug => 70,
        Kind::CannotCreate => 73,
        Kind::Io => 74,
        Kind::Interrupted => 130,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_memory_is_no_missing_file() {
        let source = io::Error::from(io::ErrorKind::OutOfMemory);
        let error = error::ReadError::new(std::path::Path::new("m.gguf"), source);
        assert_eq!(number_of(&error.into()), 69);
    }

    #[test]
    fn every_exit_code_has_a_meaning() {
        let kinds = [
            Kind::Negative,
            Kind::Usage,
            Kind::Data,
            Kind::NoInput,
            Kind::Unavailable,
            Kind::Bug,
            Kind::CannotCreate,
            Kind::Io,
            Kind::Interrupted,
        ];
        let numbers: Vec<u8> = std::iter::once(0).chain(kinds.map(number)).collect();
        assert_eq!(numbers, MEANINGS.map(|(number, _)| number));
    }
}
