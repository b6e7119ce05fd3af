//! Upper bounds of this machine: memory bandwidth and 8-bit arithmetic, measured with loops of our own.

use crate::machine::Machine;
use serde::Serialize;
use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

/// Bandwidth and arithmetic of all threads together.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ceiling {
    /// Bytes read from memory per second.
    pub bytes_per_s: f64,
    /// 8-bit integer multiply-adds per second, as in the kernels for quantised rows. Measured with the widest
    /// instructions of the CPU, even if llama.cpp was compiled without them.
    pub multiply_adds_per_s: f64,
}

/// Bytes to read; far larger than any cache.
const MEMORY: usize = 256 << 20;
/// Bytes that fit into a core's L1 cache.
const CACHED: usize = 16 << 10;
/// Rows that are multiplied with one: as in products of matrices, a number is loaded once for several products.
const ROWS: usize = 8;
/// Duration of each loop.
const TIME: Duration = Duration::from_millis(300);

impl Ceiling {
    /// Measures with `threads` threads at once, over at most a quarter of the available memory.
    pub fn measure(threads: usize) -> Ceiling {
        let spare = Machine::this().map_or(u64::MAX, |machine| machine.available_bytes / 4);
        Ceiling::measure_with(threads, usize::try_from(spare).map_or(MEMORY, |spare| spare.min(MEMORY)))
    }

    /// Measures with `threads` threads, over `memory_bytes` bytes of memory.
    pub fn measure_with(threads: usize, memory_bytes: usize) -> Ceiling {
        let words: Vec<u64> = (0..(memory_bytes / 8).max(16) as u64).collect();
        let share = words.len().div_ceil(threads.max(1));
        let bytes_per_s = at_once(threads, |thread| {
            let mine = &words[(thread * share).min(words.len())..((thread + 1) * share).min(words.len())];
            let started = Instant::now();
            let mut read = 0;
            while started.elapsed() < TIME {
                black_box(sum(black_box(mine)));
                read += size_of_val(mine);
            }
            read as f64 / started.elapsed().as_secs_f64()
        });
        let multiply_adds_per_s = at_once(threads, |_| {
            let (a, b) = (vec![3_u8; CACHED / ROWS], vec![5_i8; CACHED]);
            let started = Instant::now();
            let mut made = 0;
            while started.elapsed() < TIME {
                for _ in 0..32 {
                    let dot = dot(black_box(&a), black_box(&b));
                    black_box(dot.sum);
                    made += dot.made;
                }
            }
            made as f64 / started.elapsed().as_secs_f64()
        });
        Ceiling { bytes_per_s, multiply_adds_per_s }
    }
}

/// Wrapping sum of `words` in sixteen partial sums, so that additions do not wait for each other.
fn sum(words: &[u64]) -> u64 {
    let mut sums = [0_u64; 16];
    for chunk in words.chunks_exact(16) {
        sums.iter_mut().zip(chunk).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
    }
    sums.iter().fold(0, |all, sum| all.wrapping_add(*sum))
}

/// A dot product, with the number of multiply-adds that the CPU did for it.
struct Dot {
    sum: i32,
    made: usize,
}

/// Sum of the products of `a` with each of the [`ROWS`] rows of `b`, by the widest instructions that this CPU has for
/// 8-bit numbers. The numbers of `a` must be below 128, since ARM's instructions take them as signed; its length must be
/// a multiple of 64.
fn dot(a: &[u8], b: &[i8]) -> Dot {
    assert!(a.len().is_multiple_of(64) && b.len() == ROWS * a.len());
    #[cfg(target_arch = "x86_64")]
    if let Some(sum) = x86_64::dot(a, b) {
        return Dot { sum, made: b.len() };
    }
    #[cfg(target_arch = "aarch64")]
    if let Some(dot) = aarch64::dot(a, b) {
        return dot;
    }
    let row = |row: &[i8]| a.iter().zip(row).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum::<i32>();
    Dot { sum: b.chunks_exact(a.len()).map(row).sum(), made: b.len() }
}

#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code)]
mod aarch64 {
    use super::{Dot, ROWS};
    use std::arch::{aarch64::*, asm, is_aarch64_feature_detected};

    /// Dot product; `None` on a CPU without byte dot products.
    pub(super) fn dot(a: &[u8], b: &[i8]) -> Option<Dot> {
        if is_aarch64_feature_detected!("i8mm") {
            // SAFETY: the CPU supports i8mm. It computes twice as many products as needed.
            return Some(Dot { sum: unsafe { dot_i8mm(a, b) }, made: 2 * b.len() });
        }
        // SAFETY: the CPU supports dotprod.
        let sum = is_aarch64_feature_detected!("dotprod").then(|| unsafe { dot_dotprod(a, b) })?;
        Some(Dot { sum, made: b.len() })
    }

    #[target_feature(enable = "neon,dotprod")]
    pub(super) fn dot_dotprod(a: &[u8], b: &[i8]) -> i32 {
        sums(a, b, |sum, a, b| sdot(sum, a, b)).into_iter().map(|sum| vaddvq_s32(sum)).sum()
    }

    /// Multiplies a 2x8 by an 8x2 matrix at a time; of the four results, only the two on the diagonal are needed.
    #[target_feature(enable = "neon,i8mm")]
    pub(super) fn dot_i8mm(a: &[u8], b: &[i8]) -> i32 {
        let sums = sums(a, b, |sum, a, b| smmla(sum, a, b));
        sums.into_iter().map(|sum| vgetq_lane_s32::<0>(sum) + vgetq_lane_s32::<3>(sum)).sum()
    }

    /// Applies `add` to 16 bytes at a time, with several sums, so that additions do not wait for each other.
    #[inline]
    #[target_feature(enable = "neon")]
    fn sums(
        a: &[u8],
        b: &[i8],
        add: impl Fn(int32x4_t, int8x16_t, int8x16_t) -> int32x4_t,
    ) -> [int32x4_t; ROWS] {
        let mut sums = [vdupq_n_s32(0); ROWS];
        for at in (0..a.len()).step_by(16) {
            // SAFETY: 16 bytes from `at` on are inside of `a`, and of each row of `b`, as `dot` has asserted.
            let numbers = unsafe { vld1q_s8(a.as_ptr().add(at).cast()) };
            for (row, sum) in sums.iter_mut().enumerate() {
                let others = unsafe { vld1q_s8(b.as_ptr().add(row * a.len() + at)) };
                *sum = add(*sum, numbers, others);
            }
        }
        sums
    }

    // The standard library has both instructions only as unstable functions.
    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    fn sdot(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
        // SAFETY: the instruction accesses only these registers.
        unsafe {
            asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sum, in(vreg) a, in(vreg) b,
                options(pure, nomem, nostack, preserves_flags));
        }
        sum
    }

    #[inline]
    #[target_feature(enable = "neon,i8mm")]
    fn smmla(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
        // SAFETY: the instruction accesses only these registers.
        unsafe {
            asm!("smmla {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sum, in(vreg) a, in(vreg) b,
                options(pure, nomem, nostack, preserves_flags));
        }
        sum
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86_64 {
    use super::ROWS;
    use std::arch::x86_64::*;

    /// Dot product; `None` on a CPU without AVX2.
    pub(super) fn dot(a: &[u8], b: &[i8]) -> Option<i32> {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
            // SAFETY: the CPU supports AVX-512 F and VNNI.
            return Some(unsafe { dot_avx512vnni(a, b) });
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni") {
            // SAFETY: the CPU supports AVX2 and AVX-VNNI.
            return Some(unsafe { dot_avxvnni(a, b) });
        }
        // SAFETY: the CPU supports AVX2.
        is_x86_feature_detected!("avx2").then(|| unsafe { dot_avx2(a, b) })
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) fn dot_avx512vnni(a: &[u8], b: &[i8]) -> i32 {
        let mut sums = [_mm512_setzero_si512(); ROWS];
        for at in (0..a.len()).step_by(64) {
            // SAFETY: 64 bytes from `at` on are inside of `a`, and of each row of `b`, as `dot` has asserted.
            let numbers = unsafe { _mm512_loadu_si512(a.as_ptr().add(at).cast()) };
            for (row, sum) in sums.iter_mut().enumerate() {
                let others = unsafe { _mm512_loadu_si512(b.as_ptr().add(row * a.len() + at).cast()) };
                *sum = _mm512_dpbusd_epi32(*sum, numbers, others);
            }
        }
        sums.into_iter().map(|sum| _mm512_reduce_add_epi32(sum)).sum()
    }

    #[target_feature(enable = "avx2,avxvnni")]
    pub(super) fn dot_avxvnni(a: &[u8], b: &[i8]) -> i32 {
        dot_256(a, b, |sum, a, b| _mm256_dpbusd_avx_epi32(sum, a, b))
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn dot_avx2(a: &[u8], b: &[i8]) -> i32 {
        let ones = _mm256_set1_epi16(1);
        dot_256(a, b, |sum, a, b| _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones)))
    }

    /// Dot product in blocks of 32 bytes; `add` adds their products to a sum.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn dot_256(a: &[u8], b: &[i8], add: impl Fn(__m256i, __m256i, __m256i) -> __m256i) -> i32 {
        let mut sums = [_mm256_setzero_si256(); ROWS];
        for at in (0..a.len()).step_by(32) {
            // SAFETY: 32 bytes from `at` on are inside of `a`, and of each row of `b`, as `dot` has asserted.
            let numbers = unsafe { _mm256_loadu_si256(a.as_ptr().add(at).cast()) };
            for (row, sum) in sums.iter_mut().enumerate() {
                let others = unsafe { _mm256_loadu_si256(b.as_ptr().add(row * a.len() + at).cast()) };
                *sum = add(*sum, numbers, others);
            }
        }
        let sum = sums.into_iter().fold(_mm256_setzero_si256(), |all, sum| _mm256_add_epi32(all, sum));
        let halves = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        let pairs = _mm_add_epi32(halves, _mm_shuffle_epi32::<0b_01_00_11_10>(halves));
        _mm_cvtsi128_si32(_mm_add_epi32(pairs, _mm_shuffle_epi32::<0b_10_11_00_01>(pairs)))
    }
}

/// Runs `work` on `threads` threads at the same time, and returns the sum of the results.
fn at_once(threads: usize, work: impl Fn(usize) -> f64 + Sync) -> f64 {
    thread::scope(|scope| {
        let work = &work;
        // Fewer threads, if the system starts no more; the calling one works, too.
        let start = |number| thread::Builder::new().spawn_scoped(scope, move || work(number)).ok();
        let running: Vec<_> = (1..threads.max(1)).map_while(start).collect();
        let own = work(0);
        own + running.into_iter().map(|thread| thread.join().unwrap_or(0.0)).sum::<f64>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loops_compute_what_they_are_timed_for() {
        let a: Vec<u8> = (0..256).map(|i| (i % 11) as u8).collect();
        let b: Vec<i8> = (0..256 * ROWS).map(|i| (i % 7) as i8 - 3).collect();
        let expected: i32 = a.iter().cycle().zip(&b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
        assert_eq!(dot(&a, &b).sum, expected);
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        {
            let mut dots = Vec::new();
            // SAFETY: the CPU supports each of them.
            unsafe {
                if is_x86_feature_detected!("avx2") {
                    dots.push(x86_64::dot_avx2(&a, &b));
                }
                if is_x86_feature_detected!("avxvnni") {
                    dots.push(x86_64::dot_avxvnni(&a, &b));
                }
                if is_x86_feature_detected!("avx512vnni") {
                    dots.push(x86_64::dot_avx512vnni(&a, &b));
                }
            }
            assert!(dots.iter().all(|dot| *dot == expected), "{dots:?} {expected}");
        }
        #[cfg(target_arch = "aarch64")]
        #[allow(unsafe_code)]
        {
            use std::arch::is_aarch64_feature_detected;
            // SAFETY: the CPU supports each of them.
            unsafe {
                if is_aarch64_feature_detected!("dotprod") {
                    assert_eq!(aarch64::dot_dotprod(&a, &b), expected);
                }
                if is_aarch64_feature_detected!("i8mm") {
                    assert_eq!(aarch64::dot_i8mm(&a, &b), expected);
                }
            }
        }
        assert_eq!(sum(&(0..160).collect::<Vec<u64>>()), 160 * 159 / 2);
    }
}
