//! Work that recurses deeply, on a thread with a larger stack.

use std::{io, panic, thread};

/// Advice for a thread that the system does not start.
pub const LIMITS: &str = "the limits to look at are those of tasks (`ulimit -u`, a container's `pids.max`, systemd's \
                          `TasksMax=`) and of memory (`ulimit -v`)";

/// Runs `work` on a thread with a stack of `bytes`, and waits for it. Unused parts of the stack take no memory.
///
/// # Errors
/// The system's error if it cannot start the thread.
///
/// # Panics
/// If `work` panics.
pub fn run_on<T: Send>(bytes: usize, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(bytes).spawn_scoped(scope, work)?;
        Ok(thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
    })
}
