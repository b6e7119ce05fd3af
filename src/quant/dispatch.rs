//! Picks, at run time, the widest instruction set a kernel was compiled for.
//!
//! A kernel is plain Rust whose loops LLVM turns into vector code. The very same code is compiled once
//! for the target's baseline (SSE2 on x86-64, NEON on aarch64) and once for AVX2. FMA stays off: Rust
//! never contracts `a * b + c`, so every build of a kernel computes the same bits.

// Calling a function compiled for AVX2 is unsafe where AVX2 is not known to be there.
#![allow(unsafe_code)]

/// A computation that can be compiled for several instruction sets.
pub(super) trait Kernel {
    type Output;

    /// Must be `#[inline(always)]`, like all it calls: what is not inlined is compiled for the baseline.
    fn run(self) -> Self::Output;
}

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isa {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Isa {
    fn widest() -> Isa {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            return Isa::Avx2;
        }
        Isa::Baseline
    }
}

/// Runs `kernel` with the widest vectors this machine has.
pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
    run_on(Isa::widest(), kernel)
}

/// Runs `kernel` as compiled for `isa`, or for the baseline where the machine lacks it.
fn run_on<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 if std::arch::is_x86_feature_detected!("avx2") => {
            // SAFETY: the guard just found AVX2 on this machine.
            unsafe { run_avx2(kernel) }
        }
        _ => kernel.run(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
