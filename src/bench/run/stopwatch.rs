//! Stopwatch for wall and CPU time, and the host's name.

use crate::machine::cpu_time;
use std::time::{Duration, Instant};

/// Stopwatch for wall and CPU time.
pub struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    /// Starts the stopwatch.
    pub fn start() -> Stopwatch {
        Stopwatch { wall: Instant::now(), cpu: cpu_time::process() }
    }

    /// Seconds since the start.
    pub fn wall_s(&self) -> f64 {
        self.wall.elapsed().as_secs_f64()
    }

    /// CPU seconds of all threads of this process since the start.
    pub fn cpu_s(&self) -> f64 {
        cpu_time::process().saturating_sub(self.cpu).as_secs_f64()
    }
}

/// Host name of this machine.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
