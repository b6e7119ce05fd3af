//! CPU time, which unlike wall-clock time excludes that in which other programs used the CPU.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// CPU time of the calling thread so far.
pub fn thread() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// CPU time of this process so far, over all threads.
pub fn process() -> Duration {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_sleeps_uses_no_cpu_time() {
        let before = thread();
        std::thread::sleep(Duration::from_millis(30));
        let slept = thread() - before;
        assert!(slept < Duration::from_millis(20), "{slept:?}");
        assert!(process() >= thread());
    }
}
