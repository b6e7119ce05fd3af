//! Work that recurses deeply, on a thread with a larger stack.

use std::{
    io, panic,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

/// Advice for a thread that the system does not start.
pub const LIMITS: &str = "the limits to look at are those of tasks (`ulimit -u`, a container's `pids.max`, systemd's \
                          `TasksMax=`) and of memory (`ulimit -v`)";

/// Tries to start a thread, with pauses between them: a thread that works in the background may end and make room.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// Runs `work` on a thread with a stack of `bytes`, and waits for it. Unused parts of the stack take no memory.
///
/// # Errors
/// The system's error if it cannot start the thread.
///
/// # Panics
/// If `work` panics.
pub fn run_on<T: Send>(bytes: usize, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    // A thread that is not started would take the work with it.
    let work = Mutex::new(Some(work));
    let run = || {
        let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
        work.expect("one thread is started")()
    };
    thread::scope(|scope| {
        let mut tries = 1;
        let thread = loop {
            match thread::Builder::new().stack_size(bytes).spawn_scoped(scope, run) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries < TRIES => {
                    tries += 1;
                    thread::sleep(PAUSE);
                }
                started => break started?,
            }
        };
        Ok(thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
    })
}
