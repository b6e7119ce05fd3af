//! Puts [`edgecall::runtime::barrier`] in the place of ggml's: the linker takes the first of two functions of one name
//! and sends ggml's own calls of `ggml_graph_compute` here (see `build.rs`).

use edgecall::runtime::barrier;
use llama_cpp_sys_2::{ggml_cgraph, ggml_cplan, ggml_status, ggml_threadpool};

unsafe extern "C" {
    #[link_name = "__real_ggml_graph_compute"]
    fn real_graph_compute(graph: *mut ggml_cgraph, plan: *mut ggml_cplan) -> ggml_status;
}

#[unsafe(no_mangle)]
extern "C" fn ggml_barrier(pool: *mut ggml_threadpool) {
    barrier::wait(pool);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_ggml_graph_compute(
    graph: *mut ggml_cgraph,
    plan: *mut ggml_cplan,
) -> ggml_status {
    // SAFETY: called as ggml_graph_compute is, with its arguments; the linker gives the other name to it.
    unsafe { barrier::compute(graph, plan, real_graph_compute) }
}
