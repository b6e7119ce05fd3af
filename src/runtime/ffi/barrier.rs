//! Where ggml's threads wait for each other, hundreds of times in a decode: a barrier that goes to sleep.
//!
//! ggml's own spins until the last thread has come. Where other programs want the CPUs too, that thread may not be
//! running, and those that spin use up the time in which it could: two threads beside two busy loops decode at a
//! thirtieth of their speed. This one spins for as long as threads that run are apart, and then sleeps.
//!
//! A program puts it in the place of ggml's by the names of two functions, `ggml_barrier` and `ggml_graph_compute`
//! (`src/main.rs` and `build.rs`); a library cannot do that for those who link it, and so they have ggml's. Nothing here
//! knows how ggml's structures look inside: how many threads take part in a graph is in its plan, which is public.

use llama_cpp_sys_2 as sys;
use rustix::thread::futex;
use std::{
    hint, ptr,
    sync::atomic::{AtomicPtr, AtomicU32, Ordering},
};

/// How often a thread looks before it sleeps: about half a millisecond, more than threads that run are apart.
const SPINS: u32 = 10_000;

/// Pools of threads that can exist at one time; graphs of those beyond are computed by one thread.
const MOST_POOLS: usize = 64;

static BARRIERS: [Barrier; MOST_POOLS] = [const { Barrier::new() }; MOST_POOLS];

/// On a line of the cache for itself, and on the next, which CPUs fetch with it.
#[repr(align(128))]
struct Padded(AtomicU32);

/// One pool's.
struct Barrier {
    // Whose; null where it is free.
    pool: AtomicPtr<sys::ggml_threadpool>,
    // The threads of the pool.
    threads: AtomicU32,
    // Those that take part in the graph that is computed.
    parties: AtomicU32,
    // How often to look before sleeping; the most that there are is forever.
    spins: AtomicU32,
    sleepers: AtomicU32,
    // How many have come.
    come: Padded,
    // How often all had come.
    passed: Padded,
}

impl Barrier {
    const fn new() -> Barrier {
        Barrier {
            pool: AtomicPtr::new(ptr::null_mut()),
            threads: AtomicU32::new(0),
            parties: AtomicU32::new(0),
            spins: AtomicU32::new(SPINS),
            sleepers: AtomicU32::new(0),
            come: Padded(AtomicU32::new(0)),
            passed: Padded(AtomicU32::new(0)),
        }
    }

    fn of(pool: *mut sys::ggml_threadpool) -> Option<&'static Barrier> {
        BARRIERS.iter().find(|barrier| barrier.pool.load(Ordering::Acquire) == pool)
    }

    fn wait(&self) {
        let parties = self.parties.load(Ordering::Relaxed);
        if parties <= 1 {
            return;
        }
        // Read before this thread is counted: it cannot change before that.
        let before = self.passed.0.load(Ordering::Relaxed);
        if self.come.0.fetch_add(1, Ordering::SeqCst) == parties - 1 {
            self.come.0.store(0, Ordering::Relaxed);
            self.passed.0.fetch_add(1, Ordering::SeqCst);
            // Who is counted here later than this is read sees in its call to sleep that all have come.
            if self.sleepers.load(Ordering::SeqCst) > 0 {
                // It fails for nobody: the address is good.
                let _ = futex::wake(&self.passed.0, futex::Flags::PRIVATE, i32::MAX as u32);
            }
            return;
        }
        let spins = self.spins.load(Ordering::Relaxed);
        let mut looked = 0;
        while self.passed.0.load(Ordering::SeqCst) == before {
            if looked < spins {
                looked = looked.saturating_add(u32::from(spins != u32::MAX));
                hint::spin_loop();
                continue;
            }
            self.sleepers.fetch_add(1, Ordering::SeqCst);
            // It returns at once where all have come meanwhile, and may return for no reason: hence the loop.
            let _ = futex::wait(&self.passed.0, futex::Flags::PRIVATE, before, None);
            self.sleepers.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// A pool's hold on a barrier, until it is dropped. To be dropped before the pool is freed, when no graph is computed.
pub struct Registered(&'static Barrier);

impl Registered {
    /// `None` where there are too many pools.
    pub fn new(pool: *mut sys::ggml_threadpool, threads: u32, sleeps: bool) -> Option<Registered> {
        let free = |barrier: &&Barrier| {
            let (null, order) = (ptr::null_mut(), Ordering::AcqRel);
            barrier.pool.compare_exchange(null, pool, order, Ordering::Relaxed).is_ok()
        };
        let barrier = BARRIERS.iter().find(free)?;
        barrier.threads.store(threads, Ordering::Relaxed);
        barrier.spins.store(if sleeps { SPINS } else { u32::MAX }, Ordering::Relaxed);
        Some(Registered(barrier))
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // A thread may still be on its way out of the last barrier; what it looks at stays, and only ever grows.
        self.0.pool.store(ptr::null_mut(), Ordering::Release);
    }
}

/// Stands for `ggml_barrier`: returns when all threads that compute the graph of `pool` have called it.
pub fn wait(pool: *mut sys::ggml_threadpool) {
    // A pool that has none computes with one thread.
    if let Some(barrier) = Barrier::of(pool) {
        barrier.wait();
    }
}

/// Stands for `ggml_graph_compute`, and calls it as `real`, so that every pool that computes has a barrier.
///
/// # Safety
/// `graph` and `plan` are what llama.cpp hands to `ggml_graph_compute`, and `real` is that function.
pub unsafe fn compute(
    graph: *mut sys::ggml_cgraph,
    plan: *mut sys::ggml_cplan,
    real: unsafe extern "C" fn(*mut sys::ggml_cgraph, *mut sys::ggml_cplan) -> sys::ggml_status,
) -> sys::ggml_status {
    // SAFETY: a plan of the caller's; the copy points to what it points to and is used while it lives.
    let mut plan = unsafe { ptr::read(plan) };
    let mut own = None;
    if plan.threadpool.is_null() && plan.n_threads > 1 {
        own = Disposable::new(plan.n_threads);
        plan.threadpool = own.as_ref().map_or(ptr::null_mut(), |pool| pool.raw);
    }
    match Barrier::of(plan.threadpool).filter(|_| !plan.threadpool.is_null()) {
        Some(barrier) => {
            let asked = u32::try_from(plan.n_threads).unwrap_or(1);
            let parties = asked.min(barrier.threads.load(Ordering::Relaxed));
            barrier.parties.store(parties, Ordering::Relaxed);
        }
        None => plan.n_threads = 1,
    }
    // SAFETY: the caller's graph and a plan as good as the caller's.
    let status = unsafe { real(graph, &mut plan) };
    drop(own);
    status
}

/// Threads for one graph, as ggml makes them by itself, which wait as ggml has them wait.
struct Disposable {
    raw: *mut sys::ggml_threadpool,
    registered: Option<Registered>,
}

impl Disposable {
    fn new(threads: i32) -> Option<Disposable> {
        // SAFETY: both return and take plain numbers; the pool is freed once, below.
        let raw = unsafe {
            let mut params = sys::ggml_threadpool_params_default(threads);
            sys::ggml_threadpool_new(&mut params)
        };
        if raw.is_null() {
            return None;
        }
        let registered = Registered::new(raw, threads.unsigned_abs(), false);
        Some(Disposable { raw, registered })
    }
}

impl Drop for Disposable {
    fn drop(&mut self) {
        self.registered = None;
        // SAFETY: made by `new`, and its graph is computed.
        unsafe { sys::ggml_threadpool_free(self.raw) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::atomic::AtomicUsize, thread};

    /// Lets `parties` threads pass `rounds` barriers and checks at each that all others had come.
    fn race(barrier: &Barrier, parties: u32, rounds: usize) {
        barrier.parties.store(parties, Ordering::Relaxed);
        let counts: Vec<AtomicUsize> = (0..parties).map(|_| AtomicUsize::new(0)).collect();
        thread::scope(|scope| {
            for own in 0..parties as usize {
                let counts = &counts;
                scope.spawn(move || {
                    for round in 1..=rounds {
                        counts[own].store(round, Ordering::Relaxed);
                        barrier.wait();
                        // Nobody is behind, and nobody more than one ahead.
                        for count in counts {
                            let at = count.load(Ordering::Relaxed);
                            assert!(at == round || at == round + 1, "{at} of {round}");
                        }
                    }
                });
            }
        });
        assert_eq!(barrier.sleepers.load(Ordering::Relaxed), 0);
        assert_eq!(barrier.come.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn nobody_passes_before_all_have_come() {
        // Who sleeps at once, soon, and later than it takes; more threads than CPUs, too.
        for spins in [0, 1, 50, SPINS] {
            let barrier = Barrier::new();
            barrier.spins.store(spins, Ordering::Relaxed);
            for parties in [1, 2, 3, 8] {
                race(&barrier, parties, 400);
            }
        }
    }

    #[test]
    fn who_waits_long_sleeps_and_wakes() {
        let barrier = Barrier::new();
        barrier.parties.store(2, Ordering::Relaxed);
        thread::scope(|scope| {
            scope.spawn(|| barrier.wait());
            while barrier.sleepers.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            barrier.wait();
        });
        assert_eq!(barrier.sleepers.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_pool_has_its_barrier_until_it_is_gone_and_one_too_many_has_none() {
        let address = |n: usize| ptr::without_provenance_mut(0x1000 + n);
        let held: Vec<Registered> = (0..).map_while(|n| Registered::new(address(n), 2, true)).collect();
        // Other tests may hold some.
        assert!(!held.is_empty() && held.len() <= MOST_POOLS);
        assert!(ptr::eq(Barrier::of(address(0)).unwrap(), held[0].0));
        drop(held);
        assert!(Barrier::of(address(0)).is_none());
    }
}
