// Stands for ggml's barrier, where threads wait for each other hundreds of times in a decode. The build script puts it
// behind the text of ggml-cpu.c, whose own barrier it has renamed.
//
// ggml's own spins until the last thread has come. Where other programs want the CPUs too, that thread may not be
// running, and those that spin use up the time in which it could: two threads beside two busy loops decode at a
// thirtieth of their speed. This one sleeps after a short while where the thread's CPU is wanted by others, which is
// seen by how often the kernel takes it away. Where nobody wants it, sleeping gains nothing, and costs a wake-up; on a
// virtual machine whose host is busy it costs the CPU itself, which the host gives to others meanwhile.
// A pool whose threads were made to poll for work as long as ggml's default, or longer, has them spin here as ggml does.

#include <limits.h>
#include <linux/futex.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// About half a millisecond.
#define EDGECALL_SPINS 10000
// A thread that waits this long sleeps in any case.
#define EDGECALL_LONGEST_SPIN_NS 50000000
// The CPU is wanted by others where the kernel takes it away more often than 25 times a second, over this time or longer.
#define EDGECALL_WINDOW_NS 100000000
#define EDGECALL_WINDOW_SWITCHES_NS 40000000
// ggml_threadpool_params_init's.
#define EDGECALL_DEFAULT_POLL 50

// Of all pools: one that sleeps elsewhere costs the last thread of another a call of the kernel for nothing.
static atomic_int edgecall_sleepers;

// What a thread knows of its CPU.
static _Thread_local struct {
    int64_t since;      // when the window began, in nanoseconds; 0 before the first
    long switches;      // how often the CPU had been taken away by then
    bool is_wanted;     // by others, in the last whole window
} edgecall_cpu;

static int64_t edgecall_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool edgecall_cpu_is_wanted(int64_t now) {
    const int64_t passed = now - edgecall_cpu.since;
    if (passed >= EDGECALL_WINDOW_NS) {
        struct rusage usage;
        if (getrusage(RUSAGE_THREAD, &usage) == 0) {
            const long switches = usage.ru_nivcsw - edgecall_cpu.switches;
            edgecall_cpu.is_wanted = edgecall_cpu.since != 0 && switches > passed / EDGECALL_WINDOW_SWITCHES_NS;
            edgecall_cpu.switches = usage.ru_nivcsw;
        }
        edgecall_cpu.since = now;
    }
    return edgecall_cpu.is_wanted;
}

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
    const bool may_sleep = tp->poll < EDGECALL_DEFAULT_POLL;
    int64_t started = 0;
    for (int looked = 0; atomic_load_explicit(&tp->n_barrier_passed, memory_order_seq_cst) == before;) {
        if (!may_sleep || looked < EDGECALL_SPINS) {
            looked += may_sleep;
            ggml_thread_cpu_relax();
            continue;
        }
        const int64_t now = edgecall_now();
        started = started == 0 ? now : started;
        if (now - started < EDGECALL_LONGEST_SPIN_NS && !edgecall_cpu_is_wanted(now)) {
            looked = 0;
            continue;
        }
        atomic_fetch_add_explicit(&edgecall_sleepers, 1, memory_order_seq_cst);
        // Returns at once where all have come meanwhile, and may return for no reason: hence the loop.
        syscall(SYS_futex, &tp->n_barrier_passed, FUTEX_WAIT_PRIVATE, before, NULL, NULL, 0);
        atomic_fetch_sub_explicit(&edgecall_sleepers, 1, memory_order_seq_cst);
    }
}
