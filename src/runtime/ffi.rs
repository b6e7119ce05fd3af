//! The calls that llama-cpp-2 has no safe name for.

#![allow(unsafe_code)]

#[cfg(target_os = "linux")]
pub mod barrier;
mod context;

pub use context::{Context, Params, can_be_cut};

use llama_cpp_2::{llama_backend::LlamaBackend, model::LlamaModel};
use llama_cpp_sys_2 as sys;
use std::{ffi::CStr, mem, ptr::NonNull};

/// Keeps ggml from attaching a debugger to this process when one of its assertions fails.
///
/// To be called before any other thread of this program runs C code that reads the environment;
/// [`super::backend`] calls it before llama.cpp's first thread exists.
pub fn forbid_backtraces() {
    // SAFETY: Rust's own readers take std's lock, and ggml reads this variable only when it aborts.
    // What is left is another C library that reads its environment in this very moment, in a
    // process that starts its first model; libc's getenv then races as with any setenv.
    unsafe { std::env::set_var("GGML_NO_BACKTRACE", "1") }
}

/// Loads a model with its weights as the file has them, none rearranged for the CPU's kernels; `None` where llama.cpp
/// does not load it.
pub fn load_as_stored(_: &LlamaBackend, path: &CStr, use_mmap: bool) -> Option<LlamaModel> {
    // SAFETY: takes nothing and returns a plain structure, whose pointers are null or to constants.
    let mut params = unsafe { sys::llama_model_default_params() };
    params.use_extra_bufts = false;
    params.load_mode = if use_mmap { sys::LLAMA_LOAD_MODE_MMAP } else { sys::LLAMA_LOAD_MODE_NONE };
    // SAFETY: the path is a C string, the parameters are llama.cpp's own but for two of them, and a backend exists.
    let model = NonNull::new(unsafe { sys::llama_model_load_from_file(path.as_ptr(), params) })?;
    // SAFETY: `LlamaModel` is `repr(transparent)` around a transparent wrapper of this very pointer, in the version that
    // Cargo.toml pins, and made from one by its own loader; it is the only owner and frees the model when dropped.
    Some(unsafe { mem::transmute::<NonNull<sys::llama_model>, LlamaModel>(model) })
}

/// Ends the process at once with this exit code.
///
/// For a signal's handler: an ordinary exit would run the destructors of C++ objects that another
/// thread is computing with.
pub fn leave(code: u8) -> ! {
    // SAFETY: takes a number and does not return; nothing of this process runs after it.
    unsafe { libc::_exit(i32::from(code)) }
}

/// Whether ggml's CPU kernels were compiled for a feature: each of these only returns a constant.
macro_rules! compiled_for {
    ($name:ident) => {
        // SAFETY: takes nothing, touches nothing, returns a constant of the build.
        unsafe { sys::$name() != 0 }
    };
}

/// The x86-64 features that ggml's CPU kernels were compiled for.
#[cfg(target_arch = "x86_64")]
pub fn compiled_features() -> [(&'static str, bool); 10] {
    [
        ("SSSE3", compiled_for!(ggml_cpu_has_ssse3)),
        ("AVX", compiled_for!(ggml_cpu_has_avx)),
        ("AVX2", compiled_for!(ggml_cpu_has_avx2)),
        ("BMI2", compiled_for!(ggml_cpu_has_bmi2)),
        ("F16C", compiled_for!(ggml_cpu_has_f16c)),
        ("FMA", compiled_for!(ggml_cpu_has_fma)),
        ("AVX-VNNI", compiled_for!(ggml_cpu_has_avx_vnni)),
        ("AVX-512F", compiled_for!(ggml_cpu_has_avx512)),
        ("AVX-512 VBMI", compiled_for!(ggml_cpu_has_avx512_vbmi)),
        ("AVX-512 VNNI", compiled_for!(ggml_cpu_has_avx512_vnni)),
    ]
}

/// Whether ggml has kernels for AMX.
#[cfg(target_arch = "x86_64")]
pub fn is_compiled_for_amx() -> bool {
    compiled_for!(ggml_cpu_has_amx_int8)
}

/// No other architecture has it.
#[cfg(not(target_arch = "x86_64"))]
pub fn is_compiled_for_amx() -> bool {
    false
}

/// The aarch64 features that ggml's CPU kernels were compiled for.
#[cfg(target_arch = "aarch64")]
pub fn compiled_features() -> [(&'static str, bool); 4] {
    [
        ("dotprod", compiled_for!(ggml_cpu_has_dotprod)),
        ("fp16", compiled_for!(ggml_cpu_has_fp16_va)),
        ("i8mm", compiled_for!(ggml_cpu_has_matmul_int8)),
        ("SVE", compiled_for!(ggml_cpu_has_sve)),
    ]
}

/// Elsewhere ggml's kernels are compiled for the baseline.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn compiled_features() -> [(&'static str, bool); 0] {
    []
}
