//! The CPUs of this machine: what they can do, and which of them this process may use.

use super::{Error, kernels};
use std::{num::NonZeroUsize, thread, time::Duration};

/// Those of the instruction sets that ggml knows which this CPU has: the C library chooses its functions by them.
pub fn features() -> String {
    format!("{} with {}", std::env::consts::ARCH, kernels::features().join("+"))
}

/// What the calling thread has computed until now. Unlike a clock on the wall it does not count the time in which others
/// had the CPU.
pub fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// One thread for each physical core that this process may use: its affinity and its cgroup's quota
/// count, and two threads of one core share the units that matrix products keep busy.
pub fn default_threads() -> usize {
    let allowed = thread::available_parallelism().map_or(1, usize::from);
    cores().map_or(allowed, |cores| cores.len().min(allowed)).max(1)
}

/// The threads to compute with where `asked` are asked for.
///
/// ggml's threads wait for each other by spinning: with four on two CPUs a call takes a hundred
/// times as long as with two.
///
/// # Errors
/// [`Error::Threads`] for more than the CPUs that this process may use.
pub fn threads(asked: Option<NonZeroUsize>) -> Result<usize, Error> {
    let Some(threads) = asked.map(NonZeroUsize::get) else { return Ok(default_threads()) };
    let most = thread::available_parallelism().map_or(1, usize::from);
    // Two are bearable anywhere.
    if threads > most.max(2) { Err(Error::Threads { threads, most: most.max(2) }) } else { Ok(threads) }
}

/// The physical cores behind the CPUs of this thread's affinity, each with its CPUs; `None` where the system does not
/// say.
#[cfg(not(target_os = "linux"))]
fn cores() -> Option<Vec<Vec<usize>>> {
    None
}

/// The physical cores behind the CPUs of this thread's affinity, each with its CPUs; `None` where the system does not
/// say.
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

/// A CPU for each of `threads`, where they are as many as there are cores or CPUs for this thread: then each has a
/// place of its own. `None` where there are fewer, which the system places better than we do, or where it does not say.
pub(super) fn one_for_each(threads: usize) -> Option<Vec<usize>> {
    let cores = cores()?;
    let first: Vec<usize> = cores.iter().filter_map(|cpus| cpus.first().copied()).collect();
    let all: Vec<usize> = cores.concat();
    [first, all].into_iter().find(|cpus| cpus.len() == threads).map(|mut cpus| {
        cpus.sort_unstable();
        cpus
    })
}

/// The CPUs that a thread may run on, to be given back to it.
#[cfg(target_os = "linux")]
pub(super) struct Affinity(Option<rustix::thread::CpuSet>);

#[cfg(target_os = "linux")]
impl Affinity {
    /// That of the calling thread.
    pub(super) fn of_this_thread() -> Affinity {
        Affinity(rustix::thread::sched_getaffinity(None).ok())
    }

    /// Gives it to the calling thread.
    pub(super) fn restore(&self) {
        // What was allowed a moment ago; where it is not any more, the system has put the thread elsewhere.
        let _ = self.0.as_ref().map(|set| rustix::thread::sched_setaffinity(None, set));
    }
}

/// Keeps the calling thread on one CPU until it is dropped.
#[cfg(target_os = "linux")]
pub(super) struct Pinned(Affinity);

#[cfg(target_os = "linux")]
impl Pinned {
    /// To `cpu`; `None` where the system does not let it.
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

/// The CPUs that a thread may run on: elsewhere than on Linux no thread is kept anywhere.
#[cfg(not(target_os = "linux"))]
pub(super) struct Affinity;

#[cfg(not(target_os = "linux"))]
impl Affinity {
    /// That of the calling thread.
    pub(super) fn of_this_thread() -> Affinity {
        Affinity
    }

    /// Gives it to the calling thread.
    pub(super) fn restore(&self) {}
}

/// Keeps the calling thread on one CPU: elsewhere than on Linux nothing does.
#[cfg(not(target_os = "linux"))]
pub(super) struct Pinned;

#[cfg(not(target_os = "linux"))]
impl Pinned {
    /// To `cpu`; never.
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
