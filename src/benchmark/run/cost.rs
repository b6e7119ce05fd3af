//! What a call costs here: seconds on the wall and on the CPU.

use rustix::time::{ClockId, clock_gettime};
use std::time::Instant;

/// A stop watch for wall and CPU.
pub struct Watch {
    wall: Instant,
    cpu: f64,
}

impl Watch {
    /// Starts.
    pub fn start() -> Watch {
        Watch { wall: Instant::now(), cpu: cpu_s() }
    }

    /// Seconds since the start.
    pub fn wall_s(&self) -> f64 {
        self.wall.elapsed().as_secs_f64()
    }

    /// Seconds that all threads of this process computed since the start.
    pub fn cpu_s(&self) -> f64 {
        cpu_s() - self.cpu
    }
}

fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// What this machine is called.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
