//! `N` floats side by side, each going through the same operations: how a search over many sub-blocks
//! becomes vector code without changing any lane's sums.
//!
//! Every operation is one loop over an array, which LLVM turns into vector instructions; comparisons
//! make masks, and branches become selections. Measured: as fast as the same kernels in intrinsics.

use std::ops::{Add, Div, Mul, Sub};

/// One float per sub-block.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(super) struct Lanes<const N: usize>(pub(super) [f32; N]);

/// One answer per sub-block.
#[derive(Clone, Copy)]
pub(super) struct Mask<const N: usize>([bool; N]);

macro_rules! lanewise {
    ($trait:ident, $name:ident) => {
        impl<const N: usize> $trait for Lanes<N> {
            type Output = Self;

            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                self.zip(other, $trait::$name)
            }
        }
    };
}
lanewise!(Add, add);
lanewise!(Sub, sub);
lanewise!(Mul, mul);
lanewise!(Div, div);

impl<const N: usize> Lanes<N> {
    #[inline(always)]
    pub(super) fn splat(x: f32) -> Self {
        Lanes([x; N])
    }

    #[inline(always)]
    pub(super) fn map(mut self, f: impl Fn(f32) -> f32) -> Self {
        for x in &mut self.0 {
            *x = f(*x);
        }
        self
    }

    #[inline(always)]
    fn zip(mut self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        for i in 0..N {
            self.0[i] = f(self.0[i], other.0[i]);
        }
        self
    }

    #[inline(always)]
    fn compare(self, other: Self, f: impl Fn(f32, f32) -> bool) -> Mask<N> {
        let mut mask = [false; N];
        for i in 0..N {
            mask[i] = f(self.0[i], other.0[i]);
        }
        Mask(mask)
    }

    #[inline(always)]
    pub(super) fn abs(self) -> Self {
        self.map(f32::abs)
    }

    /// The smaller of the two; `other` where they are equal or unordered, as `minps` has it.
    #[inline(always)]
    pub(super) fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    /// The larger of the two; `other` where they are equal or unordered, as `maxps` has it.
    #[inline(always)]
    pub(super) fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    pub(super) fn gt(self, other: Self) -> Mask<N> {
        self.compare(other, |a, b| a > b)
    }

    #[inline(always)]
    pub(super) fn lt(self, other: Self) -> Mask<N> {
        self.compare(other, |a, b| a < b)
    }

    #[inline(always)]
    pub(super) fn eq(self, other: Self) -> Mask<N> {
        self.compare(other, |a, b| a == b)
    }

    /// The nearest integer within `low..=high`, ties to even; every lane's magnitude is below 2^22.
    #[inline(always)]
    pub(super) fn nearest_within(self, low: f32, high: f32) -> Self {
        let magic = Lanes::splat(MAGIC);
        let rounded = (self + magic).max(Lanes::splat(MAGIC + low)).min(Lanes::splat(MAGIC + high));
        rounded - magic
    }
}

impl<const N: usize> Mask<N> {
    #[inline(always)]
    pub(super) fn and(mut self, other: Self) -> Self {
        for i in 0..N {
            self.0[i] &= other.0[i];
        }
        self
    }

    #[inline(always)]
    pub(super) fn all(self) -> bool {
        self.0.iter().fold(true, |all, one| all & one)
    }

    /// `yes` in the lanes that are set and `no` in the others.
    #[inline(always)]
    pub(super) fn select(self, yes: Lanes<N>, mut no: Lanes<N>) -> Lanes<N> {
        for i in 0..N {
            no.0[i] = if self.0[i] { yes.0[i] } else { no.0[i] };
        }
        no
    }
}

/// 1.5 * 2^23: a float of this size has no bits left for a fraction, so adding it rounds.
const MAGIC: f32 = 12_582_912.0;

/// The nearest integer, ties to even, as ggml's `nearest_int` computes it.
///
/// From a magnitude of 2^22 on, and for infinities and NaNs, it is no longer the nearest integer but
/// some other; ggml's blocks depend on which.
#[inline(always)]
pub(super) fn nearest_int(x: f32) -> i32 {
    ((x + MAGIC).to_bits() & 0x007f_ffff) as i32 - 0x0040_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_goes_to_the_nearest_integer_and_ties_to_the_even_one() {
        for (x, rounded) in [(0.5, 0), (1.5, 2), (-2.5, -2), (-0.51, -1), (4_194_303.0, 4_194_303)] {
            assert_eq!(nearest_int(x), rounded);
        }
    }

    #[test]
    fn what_has_no_nearest_integer_is_still_what_ggml_makes_of_it() {
        assert_eq!(nearest_int(f32::INFINITY), -0x0040_0000);
        assert_eq!(nearest_int(f32::NAN), 0);
        assert_eq!(nearest_int(1e9), (1e9f32 + MAGIC).to_bits() as i32 % 0x0080_0000 - 0x0040_0000);
    }

    #[test]
    fn both_ways_to_round_agree() {
        for i in -400_000..400_000 {
            let x = i as f32 / 8192.0;
            let lanes = Lanes([x; 1]).nearest_within(-32.0, 31.0);
            assert_eq!(lanes.0[0] as i32, nearest_int(x).clamp(-32, 31), "{x}");
        }
    }
}
