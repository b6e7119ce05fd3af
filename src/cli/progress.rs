//! One status line on stderr, if it is a terminal.

use super::output;
use std::{
    io::{self, Write},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// Time before a call shows anything: a quick one needs no progress.
const PATIENCE: Duration = Duration::from_secs(1);

/// Shows how much of the prompt is read, if stderr is a terminal.
pub fn prefill() -> Option<fn(usize, usize)> {
    // The first call of `show_prefill` may come after seconds of loading, which count, too.
    STARTED.get_or_init(Instant::now);
    output::is_stderr_a_screen().then_some(show_prefill as fn(usize, usize))
}

static STARTED: OnceLock<Instant> = OnceLock::new();

fn show_prefill(done: usize, all: usize) {
    if STARTED.get_or_init(Instant::now).elapsed() < PATIENCE {
        return;
    }
    // Nobody reads a closed stderr. Where the prompt is read, the line is cleared.
    let _ = match done < all {
        true => write!(io::stderr(), "\r\x1b[Kreading the prompt, {done} of {all} tokens"),
        false => write!(io::stderr(), "\r\x1b[K"),
    };
}

/// Says `note` on stderr.
pub fn note(note: &str) {
    // Nobody reads a closed stderr.
    let _ = writeln!(io::stderr(), "note: {note}");
}

/// The status line; it is cleared on drop.
pub struct Line {
    is_seen: bool,
    started: Instant,
}

impl Line {
    /// Creates an empty line; it stays empty if stderr is not a terminal with escape sequences.
    pub fn new() -> Line {
        Line { is_seen: output::is_stderr_a_screen(), started: Instant::now() }
    }

    /// Shows `step` and the seconds since the line was created.
    pub fn show(&mut self, step: &str) {
        if self.is_seen {
            // Nobody reads a closed stderr.
            let _ =
                write!(io::stderr(), "\r\x1b[K{:4.0} s  {step} ...", self.started.elapsed().as_secs_f64());
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_seen {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
