//! Calls of llama.cpp's C API that llama-cpp-2 has no safe wrapper for.

#![allow(unsafe_code)]

mod context;
pub mod kernels;

pub use context::{Context, Params, Part, TOO_MANY, can_be_cut};

use llama_cpp_2::{llama_backend::LlamaBackend, model::LlamaModel};
use llama_cpp_sys_2 as sys;
use std::{ffi::CStr, mem, ptr::NonNull};

/// Keeps ggml from starting a debugger on this process when one of its assertions fails.
///
/// To be called before any other thread of this program runs C code that reads the environment;
/// [`super::backend`] calls it before llama.cpp's first thread exists.
pub fn forbid_backtraces() {
    // SAFETY: Rust's own readers take std's lock, and ggml reads this variable only when it aborts.
    // What is left is another C library that reads its environment in this very moment, in a
    // process that starts its first model; libc's getenv then races as with any setenv.
    unsafe { std::env::set_var("GGML_NO_BACKTRACE", "1") }
}

/// Loads a model without repacking its weights for the CPU's kernels; `None` if llama.cpp refuses the file.
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
/// For signal handlers: a normal exit would run the destructors of C++ objects that other threads are using.
pub fn leave(code: u8) -> ! {
    // SAFETY: takes a number and does not return; nothing of this process runs after it.
    unsafe { libc::_exit(i32::from(code)) }
}
