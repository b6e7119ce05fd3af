//! CPU features, and the number and placement of threads.

use super::{Error, kernels};
use std::{fs, num::NonZeroUsize, sync::RwLock, thread, time::Duration};

/// The instruction sets of this CPU that ggml has kernels for, as one text; the C library also selects
/// functions by them.
pub fn features() -> String {
    format!("{} with {}", std::env::consts::ARCH, kernels::features().join("+"))
}

/// Default thread count: the physical cores that this process may use, by its affinity and its cgroup's quota.
/// Two threads on one core would compete for the units that matrix products keep busy.
pub fn default_threads() -> usize {
    let allowed = usable_cpus();
    cores().map_or(allowed, |cores| cores.len().min(allowed)).max(1)
}

/// The CPUs that this process may use, by its affinity and its cgroup's quota.
pub fn usable_cpus() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The thread count for a request of `asked`; `None` is [`default_threads`].
///
/// ggml's threads wait for each other by spinning: with four on two CPUs a call takes a hundred
/// times as long as with two.
///
/// # Errors
/// [`Error::Threads`] for more than the CPUs that this process may use; two are accepted on one CPU, too.
pub fn threads(asked: Option<NonZeroUsize>) -> Result<usize, Error> {
    let Some(threads) = asked.map(NonZeroUsize::get) else { return Ok(default_threads()) };
    accepted(threads, usable_cpus())
}

/// `threads` if they are acceptable on `cpus`. Two are accepted on one CPU, where they are as slow as others too many: what
/// is written for two threads shall run everywhere, and the command line warns of it.
fn accepted(threads: usize, cpus: usize) -> Result<usize, Error> {
    if threads > cpus.max(2) { Err(Error::Threads { threads, most: cpus }) } else { Ok(threads) }
}

/// Number of threads, at most `wanted` with the calling one, that the system runs beside each other. ggml ends the
/// process when it gets fewer than it asks for.
pub(super) fn startable(wanted: usize) -> usize {
    /// Stack of a thread of ggml's, by the usual limit.
    const STACK_BYTES: usize = 8 << 20;
    let tasks = || fs::read_dir("/proc/self/task").map(Iterator::count).unwrap_or(0);
    let before = tasks();
    let gate = RwLock::new(());
    let closed = gate.write();
    let started = thread::scope(|scope| {
        let start = |_| {
            let builder = thread::Builder::new().stack_size(STACK_BYTES);
            builder.spawn_scoped(scope, || drop(gate.read())).ok()
        };
        let threads: Vec<_> = (1..wanted).map_while(start).collect();
        drop(closed);
        threads.len()
    });
    // A thread counts for a moment after it has ended.
    for _ in 0..100 {
        if started == 0 || tasks() <= before {
            break;
        }
        thread::sleep(Duration::from_micros(200));
    }
    if started + 1 < wanted {
        tracing::warn!(
            wanted,
            started = started + 1,
            "the system starts fewer threads: {}",
            crate::stack::LIMITS
        );
    }
    started + 1
}

/// The physical cores of this thread's affinity, each with its CPUs; `None` if the system does not report them.
#[cfg(not(target_os = "linux"))]
fn cores() -> Option<Vec<Vec<usize>>> {
    None
}

/// The physical cores of this thread's affinity, each with its CPUs; `None` if the system does not report them.
#[cfg(target_os = "linux")]
fn cores() -> Option<Vec<Vec<usize>>> {
    let affinity = rustix::thread::sched_getaffinity(None).ok()?;
    let mut cores: std::collections::BTreeMap<String, Vec<usize>> = std::collections::BTreeMap::new();
    for cpu in (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| affinity.is_set(cpu)) {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        cores.entry(std::fs::read_to_string(path).ok()?).or_default().push(cpu);
    }
    Some(cores.into_values().collect()).filter(|cores: &Vec<_>| !cores.is_empty())
}

/// One CPU for each of `threads`, if there are exactly as many cores or CPUs for this thread. `None` for other
/// numbers, which the system places better, and if the system does not report its cores.
pub(super) fn one_for_each(threads: usize) -> Option<Vec<usize>> {
    let cores = cores()?;
    let first: Vec<usize> = cores.iter().filter_map(|cpus| cpus.first().copied()).collect();
    let all: Vec<usize> = cores.concat();
    [first, all].into_iter().find(|cpus| cpus.len() == threads).map(|mut cpus| {
        cpus.sort_unstable();
        cpus
    })
}

/// The CPU affinity of a thread, saved to be restored.
#[cfg(target_os = "linux")]
pub(super) struct Affinity(Option<rustix::thread::CpuSet>);

#[cfg(target_os = "linux")]
impl Affinity {
    /// Affinity of the calling thread.
    pub(super) fn of_this_thread() -> Affinity {
        Affinity(rustix::thread::sched_getaffinity(None).ok())
    }

    /// Sets it for the calling thread.
    pub(super) fn restore(&self) {
        // It was valid a moment ago. If it is not any more, the system has moved the thread anyway.
        let _ = self.0.as_ref().map(|set| rustix::thread::sched_setaffinity(None, set));
    }
}

/// Pins the calling thread to one CPU until it is dropped.
#[cfg(target_os = "linux")]
pub(super) struct Pinned(Affinity);

#[cfg(target_os = "linux")]
impl Pinned {
    /// Pins to `cpu`; `None` if the system refuses.
    pub(super) fn to(cpu: usize) -> Option<Pinned> {
        let before = Affinity::of_this_thread();
        let mut one = rustix::thread::CpuSet::new();
        one.set(cpu);
        rustix::thread::sched_setaffinity(None, &one).ok().map(|()| Pinned(before))
    }
}

#[cfg(target_os = "linux")]
impl Drop for Pinned {
    fn drop(&mut self) {
        self.0.restore();
    }
}

/// The CPU affinity of a thread; outside Linux threads are not pinned.
#[cfg(not(target_os = "linux"))]
pub(super) struct Affinity;

#[cfg(not(target_os = "linux"))]
impl Affinity {
    /// Affinity of the calling thread.
    pub(super) fn of_this_thread() -> Affinity {
        Affinity
    }

    /// Sets it for the calling thread.
    pub(super) fn restore(&self) {}
}

/// Pins the calling thread to one CPU; never outside Linux.
#[cfg(not(target_os = "linux"))]
pub(super) struct Pinned;

#[cfg(not(target_os = "linux"))]
impl Pinned {
    /// Always `None`.
    pub(super) fn to(_: usize) -> Option<Pinned> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_at_least_one_and_at_most_the_cpus_of_this_process() {
        let threads = default_threads();
        assert!((1..=thread::available_parallelism().unwrap().get()).contains(&threads));
    }

    #[test]
    fn two_threads_run_on_one_cpu_and_a_refusal_says_how_many_cpus_there_are() {
        assert!(matches!((accepted(1, 1), accepted(2, 1), accepted(4, 4)), (Ok(1), Ok(2), Ok(4))));
        for (threads, cpus) in [(3, 1), (3, 2), (5, 4)] {
            let error = accepted(threads, cpus).unwrap_err();
            assert!(matches!(error, Error::Threads { most, .. } if most == cpus), "{error}");
        }
    }

    #[test]
    fn where_threads_are_as_many_as_cpus_each_has_its_own_and_fewer_go_where_the_system_puts_them() {
        let Some(cores) = cores() else { return };
        let cpus = one_for_each(cores.len()).unwrap();
        let distinct: std::collections::BTreeSet<usize> = cpus.iter().copied().collect();
        assert_eq!(distinct.len(), cores.len());
        assert!(cores.iter().all(|core| core.iter().filter(|cpu| distinct.contains(cpu)).count() == 1));
        assert_eq!(one_for_each(cores.concat().len() + 1), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pinned_thread_gets_its_cpus_back() {
        let allowed = || {
            let set = rustix::thread::sched_getaffinity(None).unwrap();
            (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect::<Vec<_>>()
        };
        let before = allowed();
        let last = *before.last().unwrap();
        let pinned = Pinned::to(last).unwrap();
        assert_eq!(allowed(), [last]);
        drop(pinned);
        assert_eq!(allowed(), before);
    }
}
