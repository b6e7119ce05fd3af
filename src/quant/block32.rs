//! What the formats with blocks of 32 weights share: the extremes of a block and the inverse of a scale.

pub(super) const BLOCK_LEN: usize = 32;
/// Where a block is packed two quants to a byte, byte `i` holds weight `i` and weight `i + HALF`.
pub(super) const HALF: usize = BLOCK_LEN / 2;

/// As many running extremes as an AVX2 register holds; more would not be faster.
const LANES: usize = 8;

/// `fold` over the block in lanes, and then over the lanes: only for operations without an order.
#[inline(always)]
fn fold_lanes(x: &[f32; BLOCK_LEN], fold: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    for lane in 0..LANES {
        let pair = |i: usize| fold(x[i + lane], x[i + LANES + lane]);
        lanes[lane] = fold(pair(0), pair(2 * LANES));
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = fold(lanes[lane], lanes[lane + width]);
        }
        width /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// The largest magnitude in the block.
#[inline(always)]
pub(super) fn max_magnitude(x: &[f32; BLOCK_LEN]) -> f32 {
    fold_lanes(x, |a, b| larger(a.abs(), b.abs()))
}

/// The first weight of the largest magnitude, with its sign; +0 where all are zero.
#[inline(always)]
pub(super) fn extreme(x: &[f32; BLOCK_LEN]) -> f32 {
    let (min, max) = (fold_lanes(x, smaller), fold_lanes(x, larger));
    if max > -min {
        max
    } else if max < -min {
        min
    } else {
        // Both signs reach the same magnitude, or all are zero: the order decides, as in ggml.
        x.iter().fold(0.0, |first: f32, x| if x.abs() > first.abs() { *x } else { first })
    }
}

/// The smallest and the largest weight; of zeros of both signs the first.
#[inline(always)]
pub(super) fn min_max(x: &[f32; BLOCK_LEN]) -> (f32, f32) {
    let (min, max) = (fold_lanes(x, smaller), fold_lanes(x, larger));
    // The minimum is stored, sign of zero and all, and ggml's search keeps the first zero it meets.
    let first_zero = |extreme: f32| {
        if extreme == 0.0 { *x.iter().find(|x| **x == 0.0).unwrap_or(&extreme) } else { extreme }
    };
    (first_zero(min), first_zero(max))
}

/// `1 / scale`, and 0 where there is no scale or where the inverse overflows.
///
/// An infinite inverse makes products that fit no integer; converting those yields zeros on x86-64, as
/// an inverse of 0 does.
#[inline(always)]
pub(super) fn inverse(scale: f32) -> f32 {
    let inverse = 1.0 / scale;
    if inverse.is_infinite() { 0.0 } else { inverse }
}

/// Whether a scale that is not zero has an infinite inverse.
#[inline(always)]
pub(super) fn inverse_overflows(scale: f32) -> bool {
    scale != 0.0 && (1.0 / scale).is_infinite()
}

/// Packs quants of five bits: the low four into `nibbles`, the fifth of quant `i` into bit `i` of the word.
#[inline(always)]
pub(super) fn pack_5_bits(quants: &[i32; BLOCK_LEN], nibbles: &mut [u8; HALF]) -> u32 {
    for i in 0..HALF {
        nibbles[i] = (quants[i] & 15 | (quants[i + HALF] & 15) << 4) as u8;
    }
    let mut fifths = 0;
    for (i, quant) in quants.iter().enumerate() {
        fifths |= (*quant as u32 >> 4 & 1) << i;
    }
    fifths
}

/// The inverse of [`pack_5_bits`].
#[inline(always)]
pub(super) fn unpack_5_bits(fifths: u32, nibbles: &[u8; HALF]) -> [i32; BLOCK_LEN] {
    let mut quants = [0; BLOCK_LEN];
    for i in 0..HALF {
        quants[i] = i32::from(nibbles[i] & 15);
        quants[i + HALF] = i32::from(nibbles[i] >> 4);
    }
    for (i, quant) in quants.iter_mut().enumerate() {
        *quant |= ((fifths >> i & 1) << 4) as i32;
    }
    quants
}

/// Blocks whose weights share an order of magnitude, of any order that a model's weights have.
#[cfg(test)]
pub(super) fn rows() -> impl proptest::strategy::Strategy<Value = [f32; BLOCK_LEN]> {
    use proptest::prelude::*;
    (-12i32..4, prop::array::uniform32(-1f32..1.0))
        .prop_map(|(exponent, x)| x.map(|x| x * 2f32.powi(exponent)))
}

/// How far a scale moves, at most, when it is stored as a half.
#[cfg(test)]
pub(super) fn rounding_of(scale: f32) -> f32 {
    (scale * 2f32.powi(-11)).max(2f32.powi(-25))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_magnitudes_is_the_extreme() {
        let mut x = [0.5; BLOCK_LEN];
        (x[7], x[8]) = (-3.0, 3.0);
        assert_eq!(extreme(&x), -3.0);
        assert_eq!(extreme(&[-0.0; BLOCK_LEN]).to_bits(), 0);
    }

    #[test]
    fn the_first_zero_lends_its_sign_to_the_minimum() {
        let mut x = [1.0; BLOCK_LEN];
        (x[20], x[30]) = (-0.0, 0.0);
        assert_eq!(min_max(&x).0.to_bits(), (-0f32).to_bits());
        (x[20], x[30]) = (0.0, -0.0);
        assert_eq!(min_max(&x).0.to_bits(), 0);
    }

    #[test]
    fn a_scale_below_the_reciprocal_of_the_largest_float_has_no_inverse() {
        assert_eq!(inverse(0.0), 0.0);
        assert_eq!(inverse(1e-39), 0.0);
        assert!(inverse_overflows(1e-39) && !inverse_overflows(0.0));
        assert_eq!(inverse(-0.25), -4.0);
    }
}
