//! Common parts of the formats with blocks of 32 weights: extremes of a block, inverse of a scale, packing.
//!
//! The loop over the blocks is not shared. If `encode_block` is passed to it as a function, it is no longer
//! inlined, and Q4_1 and Q5_1 encode at a fraction of their speed.

use super::vector::Vector;

pub(super) const BLOCK_LEN: usize = 32;
/// Offset in a block with two quants per byte: byte `i` has weight `i` and weight `i + HALF`.
pub(super) const HALF: usize = BLOCK_LEN / 2;

/// A block in registers.
#[derive(Clone, Copy)]
pub(super) struct Block<V>([V; 4]);

impl<V: Vector> Block<V> {
    #[inline(always)]
    pub(super) fn load(x: &[f32; BLOCK_LEN]) -> Self {
        let (parts, _) = x.as_chunks::<8>();
        let mut block = [V::splat(0.0); 4];
        for i in 0..4 {
            block[i] = V::from_array(parts[i]);
        }
        Block(block)
    }

    #[inline(always)]
    fn min(self) -> f32 {
        let [a, b, c, d] = self.0;
        let [a, b, c, d, e, f, g, h] = a.min(b).min(c.min(d)).to_array();
        smaller(smaller(smaller(a, e), smaller(b, f)), smaller(smaller(c, g), smaller(d, h)))
    }

    #[inline(always)]
    fn max(self) -> f32 {
        let [a, b, c, d] = self.0;
        let [a, b, c, d, e, f, g, h] = a.max(b).max(c.max(d)).to_array();
        larger(larger(larger(a, e), larger(b, f)), larger(larger(c, g), larger(d, h)))
    }

    /// The largest magnitude in the block.
    #[inline(always)]
    pub(super) fn max_magnitude(self) -> f32 {
        let [a, b, c, d] = self.0;
        Block([a.abs(), b.abs(), c.abs(), d.abs()]).max()
    }

    /// The first weight of the largest magnitude, with its sign; +0 where all are zero.
    #[inline(always)]
    pub(super) fn extreme(self) -> f32 {
        let (min, max) = (self.min(), self.max());
        if max > -min {
            max
        } else if max < -min {
            min
        } else {
            // Both signs have the same magnitude, or all are zero: the order decides, as in ggml.
            let first_larger = |first: f32, x: f32| if x.abs() > first.abs() { x } else { first };
            self.0.iter().flat_map(|part| part.to_array()).fold(0.0, first_larger)
        }
    }

    /// The smallest and the largest weight; of zeros with different signs the first.
    #[inline(always)]
    pub(super) fn min_max(self) -> (f32, f32) {
        let (min, max) = (self.min(), self.max());
        if min != 0.0 && max != 0.0 {
            return (min, max);
        }
        // The minimum is stored with the sign of zero, and ggml's search keeps the first zero that it finds.
        let first_zero = self.0.iter().flat_map(|part| part.to_array()).find(|x| *x == 0.0).unwrap_or(0.0);
        let or_first_zero = |x| if x == 0.0 { first_zero } else { x };
        (or_first_zero(min), or_first_zero(max))
    }

    /// `(x - origin) * inverse + offset`, truncated to an integer of at most `max`. The low byte of a NaN's
    /// result is 0.
    #[inline(always)]
    pub(super) fn steps(self, origin: f32, inverse: f32, offset: f32, max: i32) -> [i32; BLOCK_LEN] {
        let (origin, inverse, offset) = (V::splat(origin), V::splat(inverse), V::splat(offset));
        let mut steps = [0; BLOCK_LEN];
        for i in 0..4 {
            let part = self.0[i].sub(origin).mul(inverse).add(offset);
            for (step, truncated) in steps[8 * i..][..8].iter_mut().zip(part.truncate()) {
                *step = truncated.min(max);
            }
        }
        steps
    }

    /// The integer nearest to `x * inverse`, ties away from zero; magnitudes are below 2^22.
    #[inline(always)]
    pub(super) fn nearest(self, inverse: f32) -> [i32; BLOCK_LEN] {
        // The largest float below 0.5. Adding 0.5 itself would round 0.49999997 up to 1.
        let almost_half = V::splat(0.5f32.next_down());
        let mut nearest = [0; BLOCK_LEN];
        for i in 0..4 {
            let scaled = self.0[i].mul(V::splat(inverse));
            nearest[8 * i..][..8].copy_from_slice(&scaled.add(almost_half.copy_sign(scaled)).truncate());
        }
        nearest
    }
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// Packs quants of at most 15, two per byte.
#[inline(always)]
pub(super) fn pack_4_bits(quants: &[i32; BLOCK_LEN], nibbles: &mut [u8; HALF]) {
    for i in 0..HALF {
        nibbles[i] = (quants[i] | quants[i + HALF] << 4) as u8;
    }
}

/// `1 / scale`; 0 if the scale is zero or the inverse overflows.
///
/// An infinite inverse makes products that fit no integer; converting those yields zeros on x86-64, as
/// an inverse of 0 does.
#[inline(always)]
pub(super) fn inverse(scale: f32) -> f32 {
    let inverse = 1.0 / scale;
    if inverse.is_infinite() { 0.0 } else { inverse }
}

/// True if the inverse of a non-zero scale is infinite.
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

/// Encodes `row` with `codec`.
#[cfg(test)]
pub(super) fn encoded(codec: &dyn super::Codec, row: &[f32]) -> Vec<u8> {
    let mut out = vec![0; codec.ggml_type().row_bytes(row.len() as u64) as usize];
    codec.encode(row, &mut out);
    out
}

/// Blocks whose weights have a common order of magnitude, any that a model's weights may have.
#[cfg(test)]
pub(super) fn rows() -> impl proptest::strategy::Strategy<Value = [f32; BLOCK_LEN]> {
    use proptest::prelude::*;
    (-12i32..4, prop::array::uniform32(-1f32..1.0))
        .prop_map(|(exponent, x)| x.map(|x| x * 2f32.powi(exponent)))
}

/// Largest rounding error of a scale that is stored as f16.
#[cfg(test)]
pub(super) fn rounding_of(scale: f32) -> f32 {
    (scale * 2f32.powi(-11)).max(2f32.powi(-25))
}

#[cfg(test)]
mod tests {
    use super::super::vector::Portable;
    use super::*;

    fn block(x: &[f32; BLOCK_LEN]) -> Block<Portable> {
        Block::load(x)
    }

    #[test]
    fn the_first_of_equal_magnitudes_is_the_extreme() {
        let mut x = [0.5; BLOCK_LEN];
        (x[7], x[8]) = (-3.0, 3.0);
        assert_eq!(block(&x).extreme(), -3.0);
        assert_eq!(block(&[-0.0; BLOCK_LEN]).extreme().to_bits(), 0);
    }

    #[test]
    fn the_first_zero_lends_its_sign_to_the_minimum() {
        let mut x = [1.0; BLOCK_LEN];
        (x[20], x[30]) = (-0.0, 0.0);
        assert_eq!(block(&x).min_max().0.to_bits(), (-0f32).to_bits());
        (x[20], x[30]) = (0.0, -0.0);
        assert_eq!(block(&x).min_max().0.to_bits(), 0);
    }

    #[test]
    fn a_scale_below_the_reciprocal_of_the_largest_float_has_no_inverse() {
        assert_eq!(inverse(0.0), 0.0);
        assert_eq!(inverse(1e-39), 0.0);
        assert!(inverse_overflows(1e-39) && !inverse_overflows(0.0));
        assert_eq!(inverse(-0.25), -4.0);
    }

    #[test]
    fn just_below_a_half_does_not_round_up() {
        let mut x = [0.0; BLOCK_LEN];
        x[..4].copy_from_slice(&[0.499_999_97, 0.5, -0.5, -1.499_999_9]);
        assert_eq!(block(&x).nearest(1.0)[..4], [0, 1, -1, -1]);
    }
}
