// Stands for ggml's barrier, where threads wait for each other hundreds of times in a decode. The build script puts it
// behind the text of ggml-cpu.c, whose own barrier it has renamed.
//
// ggml's own spins until the last thread has come. Where other programs want the CPUs too, that thread may not be
// running, and those that spin use up the time in which it could: two threads beside two busy loops decode at a
// thirtieth of their speed. This one spins for as long as threads that run are apart, and then sleeps. A pool whose
// threads were made to poll for work as long as ggml's default, or longer, has them spin here as ggml does.

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

// About half a millisecond.
#define EDGECALL_SPINS 10000
// ggml_threadpool_params_init's.
#define EDGECALL_DEFAULT_POLL 50

// Of all pools: one that sleeps elsewhere costs the last thread of another a call of the kernel for nothing.
static atomic_int edgecall_sleepers;

void ggml_barrier(struct ggml_threadpool * tp) {
    const int n_threads = atomic_load_explicit(&tp->n_graph, memory_order_relaxed) & GGML_THREADPOOL_N_THREADS_MASK;
    if (n_threads == 1) {
        return;
    }
    // Read before this thread is counted: it cannot change before that.
    const int before = atomic_load_explicit(&tp->n_barrier_passed, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&tp->n_barrier, 1, memory_order_seq_cst) == n_threads - 1) {
        atomic_store_explicit(&tp->n_barrier, 0, memory_order_relaxed);
        atomic_fetch_add_explicit(&tp->n_barrier_passed, 1, memory_order_seq_cst);
        // A thread that is counted later than this is read sees in its call of the kernel that all have come.
        if (atomic_load_explicit(&edgecall_sleepers, memory_order_seq_cst) > 0) {
            syscall(SYS_futex, &tp->n_barrier_passed, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
        }
        return;
    }
    const bool sleeps = tp->poll < EDGECALL_DEFAULT_POLL;
    for (int looked = 0; atomic_load_explicit(&tp->n_barrier_passed, memory_order_seq_cst) == before;) {
        if (!sleeps || looked < EDGECALL_SPINS) {
            looked += sleeps;
            ggml_thread_cpu_relax();
            continue;
        }
        atomic_fetch_add_explicit(&edgecall_sleepers, 1, memory_order_seq_cst);
        // Returns at once where all have come meanwhile, and may return for no reason: hence the loop.
        syscall(SYS_futex, &tp->n_barrier_passed, FUTEX_WAIT_PRIVATE, before, NULL, NULL, 0);
        atomic_fetch_sub_explicit(&edgecall_sleepers, 1, memory_order_seq_cst);
    }
}
