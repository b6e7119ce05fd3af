//! Run-time selection of the instruction set for a kernel: the widest that it was compiled for.
//!
//! A kernel is generic over its [`Vector`]. It is compiled once for the target's baseline (SSE2 on x86-64, NEON
//! on aarch64), where LLVM vectorizes its loops, and once with AVX2 vectors. FMA stays off: Rust never
//! contracts `a * b + c`, so every version of a kernel computes the same bits.

use super::vector::{Portable, Vector};

/// A computation that can be compiled for several instruction sets.
pub(super) trait Kernel {
    type Output;

    /// Must be `#[inline(always)]`, like everything that it calls, since functions that are not inlined are
    /// compiled for the baseline. This includes closures, so closures of more than a line are functions here.
    fn run<V: Vector>(self) -> Self::Output;
}

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isa {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Isa {
    /// Every instruction set that this build has kernels for.
    #[cfg(test)]
    pub(super) const ALL: &[Isa] = &[
        Isa::Baseline,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2,
    ];

    fn widest() -> Isa {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            return Isa::Avx2;
        }
        Isa::Baseline
    }
}

/// Runs `kernel` with the widest vectors of this machine.
pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
    run_on(Isa::widest(), kernel)
}

/// Runs `kernel` as compiled for `isa`; for the baseline if the machine lacks it.
pub(super) fn run_on<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => x86_64::run(kernel),
        Isa::Baseline => kernel.run::<Portable>(),
    }
}

// Calling code compiled for AVX2 is unsafe unless AVX2 is known to exist: this holds for the kernels, and for
// the vector instructions in them.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86_64 {
    use std::arch::x86_64::*;

    use super::{Kernel, Portable, Vector};

    pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: this machine has AVX2, as just detected.
            unsafe { run_avx2(kernel) }
        } else {
            kernel.run::<Portable>()
        }
    }

    #[target_feature(enable = "avx2")]
    fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<Avx2>()
    }

    /// One register. The type is private and only `run_avx2` names it, so AVX2 exists wherever its methods run.
    #[derive(Clone, Copy)]
    struct Avx2(__m256);

    /// An expression of AVX2 instructions on registers.
    macro_rules! avx2 {
        ($instructions:expr) => {
            // SAFETY: the instructions touch no memory, and AVX2 exists wherever `Avx2` is used (see there).
            unsafe { $instructions }
        };
    }

    impl Vector for Avx2 {
        type Mask = __m256;

        #[inline(always)]
        fn splat(x: f32) -> Self {
            Avx2(avx2!(_mm256_set1_ps(x)))
        }

        #[inline(always)]
        fn from_array(x: [f32; 8]) -> Self {
            // SAFETY: an array of eight floats has the size of the register, and any bits are valid.
            Avx2(unsafe { std::mem::transmute::<[f32; 8], __m256>(x) })
        }

        #[inline(always)]
        fn to_array(self) -> [f32; 8] {
            // SAFETY: the register has the size of an array of eight floats, and any bits are valid.
            unsafe { std::mem::transmute::<__m256, [f32; 8]>(self.0) }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Avx2(avx2!(_mm256_add_ps(self.0, other.0)))
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Avx2(avx2!(_mm256_sub_ps(self.0, other.0)))
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Avx2(avx2!(_mm256_mul_ps(self.0, other.0)))
        }

        #[inline(always)]
        fn div(self, other: Self) -> Self {
            Avx2(avx2!(_mm256_div_ps(self.0, other.0)))
        }

        #[inline(always)]
        fn abs(self) -> Self {
            Avx2(avx2!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0)))
        }

        #[inline(always)]
        fn sqrt(self) -> Self {
            Avx2(avx2!(_mm256_sqrt_ps(self.0)))
        }

        #[inline(always)]
        fn min(self, other: Self) -> Self {
            Avx2(avx2!(_mm256_min_ps(self.0, other.0)))
        }

        #[inline(always)]
        fn max(self, other: Self) -> Self {
            Avx2(avx2!(_mm256_max_ps(self.0, other.0)))
        }

        #[inline(always)]
        fn copy_sign(self, signs: Self) -> Self {
            Avx2(avx2!({
                let sign = _mm256_set1_ps(-0.0);
                _mm256_or_ps(_mm256_andnot_ps(sign, self.0), _mm256_and_ps(sign, signs.0))
            }))
        }

        #[inline(always)]
        fn truncate(self) -> [i32; 8] {
            let integers = avx2!(_mm256_cvttps_epi32(self.0));
            // SAFETY: the register has the size of an array of eight integers, and any bits are valid.
            unsafe { std::mem::transmute::<__m256i, [i32; 8]>(integers) }
        }

        #[inline(always)]
        fn gt(self, other: Self) -> __m256 {
            avx2!(_mm256_cmp_ps::<_CMP_GT_OQ>(self.0, other.0))
        }

        #[inline(always)]
        fn eq(self, other: Self) -> __m256 {
            avx2!(_mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, other.0))
        }

        #[inline(always)]
        fn both(a: __m256, b: __m256) -> __m256 {
            avx2!(_mm256_and_ps(a, b))
        }

        #[inline(always)]
        fn all(mask: __m256) -> bool {
            avx2!(_mm256_movemask_ps(mask)) == 0xff
        }

        #[inline(always)]
        fn select(mask: __m256, yes: Self, no: Self) -> Self {
            Avx2(avx2!(_mm256_blendv_ps(no.0, yes.0, mask)))
        }
    }
}
