//! The variants of ggml's CPU kernels that the build script compiled, and what is asked of the one in use.

use llama_cpp_sys_2 as sys;
use std::{ffi::CStr, mem, ptr::NonNull};

/// The function that gives a variant's part of ggml's registry.
type Registry = unsafe extern "C" fn() -> *mut sys::ggml_backend_reg;

#[cfg(not(kernels_of_ggml))]
mod compiled {
    use super::{Registry, sys};

    include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

    unsafe extern "C" {
        pub fn edgecall_choose_kernels(kernels: Registry);
        pub safe fn edgecall_started_without_stdout() -> bool;
    }
}

/// True if stdout was closed when this process was started; Rust's runtime opens `/dev/null` in its place.
#[cfg(not(kernels_of_ggml))]
pub fn started_without_stdout() -> bool {
    compiled::edgecall_started_without_stdout()
}

/// Not known on this system.
#[cfg(kernels_of_ggml)]
pub fn started_without_stdout() -> bool {
    false
}

/// The names of the variants in this program, slowest first.
#[cfg(not(kernels_of_ggml))]
pub fn compiled() -> impl DoubleEndedIterator<Item = &'static str> {
    compiled::COMPILED.iter().map(|(name, _)| *name)
}

/// No kernels of ours: the build script compiles none for this system, and llama-cpp-sys-2's compute.
#[cfg(kernels_of_ggml)]
pub fn compiled() -> impl DoubleEndedIterator<Item = &'static str> {
    std::iter::empty()
}

/// Has llama.cpp compute with the variant of this name, one of [`compiled()`].
///
/// To be called before anything asks ggml's registry, by one thread.
#[cfg(not(kernels_of_ggml))]
pub fn choose(name: &str) {
    if let Some((_, registry)) = compiled::COMPILED.iter().find(|(compiled, _)| *compiled == name) {
        // SAFETY: stores a pointer to a function, which is of the type that it is called as.
        unsafe { compiled::edgecall_choose_kernels(*registry) }
    }
}

/// There is nothing to choose between.
#[cfg(kernels_of_ggml)]
pub fn choose(_: &str) {}

/// A pool of ggml's threads, of the kernels in use.
pub struct Threads(NonNull<sys::ggml_threadpool>);

impl Threads {
    /// `None` where ggml makes none.
    pub fn new(params: &mut sys::ggml_threadpool_params) -> Option<Threads> {
        type New = unsafe extern "C" fn(*mut sys::ggml_threadpool_params) -> *mut sys::ggml_threadpool;
        // SAFETY: the function of this name has this type (ggml-cpu.h); it reads the parameters.
        unsafe {
            let new = mem::transmute::<NonNull<std::ffi::c_void>, New>(function(c"ggml_threadpool_new")?);
            NonNull::new(new(params)).map(Threads)
        }
    }

    /// ggml's pointer.
    pub fn as_ptr(&self) -> *mut sys::ggml_threadpool {
        self.0.as_ptr()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        type Free = unsafe extern "C" fn(*mut sys::ggml_threadpool);
        // SAFETY: the function of this name has this type (ggml-cpu.h); the pool was made by the same kernels and
        // whoever holds it sees to it that no context uses it any more.
        unsafe {
            if let Some(free) = function(c"ggml_threadpool_free") {
                mem::transmute::<NonNull<std::ffi::c_void>, Free>(free)(self.as_ptr());
            }
        }
    }
}

/// A function of the kernels in use, by the name that ggml's registry knows it by.
fn function(name: &CStr) -> Option<NonNull<std::ffi::c_void>> {
    // SAFETY: both read the registry, which exists from the first question on; the name is a C string.
    unsafe {
        let registry = NonNull::new(sys::ggml_backend_reg_by_name(c"CPU".as_ptr()))?;
        NonNull::new(sys::ggml_backend_reg_get_proc_address(registry.as_ptr(), name.as_ptr()))
    }
}

/// The instruction sets that the kernels in use were compiled for, in ggml's words.
#[cfg(test)]
pub fn features_of_ggml() -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: the function of this name gives a list of names and values that ends with null (ggml-backend.h).
    unsafe {
        let features = function(c"ggml_backend_get_features").unwrap();
        let features =
            mem::transmute::<NonNull<std::ffi::c_void>, sys::ggml_backend_get_features_t>(features);
        let mut feature = features.unwrap()(std::ptr::null_mut());
        while !(*feature).name.is_null() {
            names.push(CStr::from_ptr((*feature).name).to_string_lossy().into_owned());
            feature = feature.add(1);
        }
    }
    names
}
