//! One status line on stderr, if it is a terminal.

use std::{
    io::{self, IsTerminal, Write},
    time::Instant,
};

/// The status line; it is cleared on drop.
pub struct Line {
    is_seen: bool,
    started: Instant,
}

impl Line {
    /// Creates an empty line; it stays empty if stderr is not a terminal.
    pub fn new() -> Line {
        Line { is_seen: io::stderr().is_terminal(), started: Instant::now() }
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
