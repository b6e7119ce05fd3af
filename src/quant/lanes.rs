//! Sixteen floats side by side with the same operations: a search over many sub-blocks becomes vector code
//! without changing the order of any sub-block's sums.
//!
//! Comparisons make masks, and branches become selections.

use std::ops::{Add, Div, Mul, Sub};

use super::vector::Vector;

/// Number of sub-blocks side by side: the sixteen of one Q6_K super-block, or the eight of two Q4_K or Q5_K
/// super-blocks. With two vectors, the sums of one run in the latency of the other's.
pub(super) const LANES: usize = 16;

/// One float per sub-block.
#[derive(Clone, Copy)]
pub(super) struct Lanes<V>([V; 2]);

/// One bool per sub-block.
#[derive(Clone, Copy)]
pub(super) struct Mask<V: Vector>([V::Mask; 2]);

macro_rules! lanewise {
    ($trait:ident, $name:ident) => {
        impl<V: Vector> $trait for Lanes<V> {
            type Output = Self;

            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                Lanes([self.0[0].$name(other.0[0]), self.0[1].$name(other.0[1])])
            }
        }
    };
}
lanewise!(Add, add);
lanewise!(Sub, sub);
lanewise!(Mul, mul);
lanewise!(Div, div);

impl<V: Vector> Lanes<V> {
    #[inline(always)]
    pub(super) fn splat(x: f32) -> Self {
        Lanes([V::splat(x); 2])
    }

    /// The weights of up to sixteen sub-blocks, which are consecutive in `x`: `lanes[i]` has weight `i` of
    /// each. Lanes without a sub-block are zero.
    #[inline(always)]
    pub(super) fn gather<const LEN: usize>(x: &[f32]) -> [Self; LEN] {
        let mut columns = [[0.0; LANES]; LEN];
        for (lane, x) in x.as_chunks::<LEN>().0.iter().enumerate() {
            for (column, x) in columns.iter_mut().zip(x) {
                column[lane] = *x;
            }
        }
        let mut lanes = [Lanes::splat(0.0); LEN];
        for (lanes, column) in lanes.iter_mut().zip(&columns) {
            *lanes = Lanes::from_array(column);
        }
        lanes
    }

    #[inline(always)]
    fn from_array(x: &[f32; LANES]) -> Self {
        let (halves, _) = x.as_chunks::<8>();
        Lanes([V::from_array(halves[0]), V::from_array(halves[1])])
    }

    #[inline(always)]
    pub(super) fn to_array(self) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        lanes[..8].copy_from_slice(&self.0[0].to_array());
        lanes[8..].copy_from_slice(&self.0[1].to_array());
        lanes
    }

    #[inline(always)]
    pub(super) fn abs(self) -> Self {
        Lanes([self.0[0].abs(), self.0[1].abs()])
    }

    #[inline(always)]
    pub(super) fn sqrt(self) -> Self {
        Lanes([self.0[0].sqrt(), self.0[1].sqrt()])
    }

    /// The smaller of the two; `other` if they are equal or unordered.
    #[inline(always)]
    pub(super) fn min(self, other: Self) -> Self {
        Lanes([self.0[0].min(other.0[0]), self.0[1].min(other.0[1])])
    }

    /// The larger of the two; `other` if they are equal or unordered.
    #[inline(always)]
    pub(super) fn max(self, other: Self) -> Self {
        Lanes([self.0[0].max(other.0[0]), self.0[1].max(other.0[1])])
    }

    #[inline(always)]
    pub(super) fn gt(self, other: Self) -> Mask<V> {
        Mask([self.0[0].gt(other.0[0]), self.0[1].gt(other.0[1])])
    }

    #[inline(always)]
    pub(super) fn lt(self, other: Self) -> Mask<V> {
        other.gt(self)
    }

    #[inline(always)]
    pub(super) fn eq(self, other: Self) -> Mask<V> {
        Mask([self.0[0].eq(other.0[0]), self.0[1].eq(other.0[1])])
    }

    /// The nearest integer, clamped to `low..=high`, ties to even; every lane's magnitude is below 2^22.
    #[inline(always)]
    pub(super) fn nearest_within(self, low: f32, high: f32) -> Self {
        let magic = Lanes::splat(MAGIC);
        let rounded = (self + magic).max(Lanes::splat(MAGIC + low)).min(Lanes::splat(MAGIC + high));
        rounded - magic
    }

    /// [`nearest_int`] clamped to `low..=high`, for any magnitude; slow.
    #[inline(always)]
    pub(super) fn nearest_int_within(self, low: i32, high: i32) -> Self {
        let mut lanes = self.to_array();
        for x in &mut lanes {
            *x = nearest_int(*x).clamp(low, high) as f32;
        }
        Lanes::from_array(&lanes)
    }
}

impl<V: Vector> Mask<V> {
    #[inline(always)]
    pub(super) fn and(self, other: Self) -> Self {
        Mask([V::both(self.0[0], other.0[0]), V::both(self.0[1], other.0[1])])
    }

    #[inline(always)]
    pub(super) fn all(self) -> bool {
        V::all(V::both(self.0[0], self.0[1]))
    }

    /// `yes` in the lanes that are set, `no` in the others.
    #[inline(always)]
    pub(super) fn select(self, yes: Lanes<V>, no: Lanes<V>) -> Lanes<V> {
        Lanes([V::select(self.0[0], yes.0[0], no.0[0]), V::select(self.0[1], yes.0[1], no.0[1])])
    }
}

/// 1.5 * 2^23: a float of this size has no bits for a fraction, so adding it rounds.
const MAGIC: f32 = 12_582_912.0;

/// The nearest integer, ties to even, as ggml's `nearest_int` computes it.
///
/// From a magnitude of 2^22 on, and for infinities and NaNs, the result is another integer; ggml's blocks
/// depend on which one.
#[inline(always)]
pub(super) fn nearest_int(x: f32) -> i32 {
    ((x + MAGIC).to_bits() & 0x007f_ffff) as i32 - 0x0040_0000
}

#[cfg(test)]
mod tests {
    use super::super::vector::Portable;
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
            let lanes = Lanes::<Portable>::splat(x);
            let expected = [nearest_int(x).clamp(-32, 31) as f32; LANES];
            assert_eq!(lanes.nearest_within(-32.0, 31.0).to_array(), expected, "{x}");
            assert_eq!(lanes.nearest_int_within(-32, 31).to_array(), expected, "{x}");
        }
    }

    #[test]
    fn gathering_puts_each_sub_block_into_its_lane() {
        let x: [f32; 6] = [0.0, 1.0, 2.0, 10.0, 11.0, 12.0];
        let lanes = Lanes::<Portable>::gather::<3>(&x);
        assert_eq!(lanes[1].to_array()[..3], [1.0, 11.0, 0.0]);
    }
}
