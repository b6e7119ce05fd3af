//! One line on stderr that says what is being done, for people who look at it.

use std::{
    io::{self, IsTerminal, Write},
    time::Instant,
};

/// The line; dropping it clears it.
pub struct Line {
    is_seen: bool,
    started: Instant,
}

impl Line {
    /// A line that is empty, and stays so where stderr is no terminal.
    pub fn new() -> Line {
        Line { is_seen: io::stderr().is_terminal(), started: Instant::now() }
    }

    /// Says that `step` begins, and how long the steps before it took.
    pub fn show(&mut self, step: &str) {
        if self.is_seen {
            // A closed stderr has nobody to read it.
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
