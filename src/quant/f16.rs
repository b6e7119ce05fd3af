//! F16: IEEE half precision, rounded to nearest, ties to even.
//!
//! The scales of all quantized blocks have this format, too. Both directions are branch-free, so that LLVM
//! vectorizes them without the F16C instructions.

use super::format::Format;
use super::vector::Vector;
use crate::gguf::GgmlType;

/// Weights as half-precision floats.
pub struct F16;

impl Format for F16 {
    const TYPE: GgmlType = GgmlType::F16;

    #[inline(always)]
    fn encode_blocks<V: Vector>(row: &[f32], out: &mut [u8]) {
        for (x, bytes) in row.iter().zip(out.as_chunks_mut::<2>().0) {
            *bytes = from_f32(*x).to_le_bytes();
        }
    }

    #[inline(always)]
    fn decode_blocks(blocks: &[u8], out: &mut [f32]) {
        for (bytes, x) in blocks.as_chunks::<2>().0.iter().zip(out) {
            *x = to_f32(u16::from_le_bytes(*bytes));
        }
    }
}

/// Difference between the exponent biases of f32 and f16, at the exponent's position.
const REBIAS: u32 = (127 - 15) << 23;
/// The smallest normal f16, 2^-14, as f32 bits.
const MIN_NORMAL: u32 = (127 - 14) << 23;
/// 65520, halfway between the largest f16, 65504, and the next step: from here on the result is infinite.
const OVERFLOW: u32 = 0x477f_f000;
const INFINITY: u32 = 0x7c00;
/// A float whose unit in the last place is 2^-24, that of a subnormal f16.
const SUBNORMAL_STEP: f32 = 0.5;

/// The nearest f16, ties to even; infinite from 65520 on. A NaN becomes the one that ggml writes.
#[inline(always)]
pub(super) fn from_f32(x: f32) -> u16 {
    let sign = (x.to_bits() >> 16) & 0x8000;
    let magnitude = x.to_bits() & 0x7fff_ffff;
    let is_odd = (magnitude >> 13) & 1;
    let normal = magnitude.wrapping_sub(REBIAS).wrapping_add(0x0fff + is_odd) >> 13;
    // The addition rounds to a multiple of 2^-24, and the low bits of the sum are that multiple.
    let subnormal =
        (f32::from_bits(magnitude) + SUBNORMAL_STEP).to_bits().wrapping_sub(SUBNORMAL_STEP.to_bits());
    let finite = if magnitude < MIN_NORMAL { subnormal } else { normal };
    let number = if magnitude >= OVERFLOW { INFINITY } else { finite };
    (sign | if magnitude > f32::INFINITY.to_bits() { 0x7e00 } else { number }) as u16
}

/// The f16 as f32, exactly.
#[inline(always)]
pub(super) fn to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let magnitude = u32::from(half & 0x7fff);
    let rebias = if magnitude >= INFINITY { 2 * REBIAS } else { REBIAS };
    let normal = (magnitude << 13) + rebias;
    let subnormal = (f32::from_bits(SUBNORMAL_STEP.to_bits() | magnitude) - SUBNORMAL_STEP).to_bits();
    f32::from_bits(sign | if magnitude < 0x0400 { subnormal } else { normal })
}

#[cfg(test)]
mod tests {
    use super::super::Codec;
    use super::*;

    #[test]
    fn every_half_but_nan_survives_a_round_trip_and_agrees_with_the_half_crate() {
        for bits in (0..=u16::MAX).filter(|bits| bits & 0x7fff <= 0x7c00) {
            let mut x = [0.0];
            F16.decode(&bits.to_le_bytes(), &mut x);
            assert_eq!(x[0].to_bits(), half::f16::from_bits(bits).to_f32().to_bits(), "{bits:#06x}");
            let mut back = [0; 2];
            F16.encode(&x, &mut back);
            assert_eq!(u16::from_le_bytes(back), bits);
        }
    }

    #[test]
    fn rounding_agrees_with_the_half_crate_across_all_exponents() {
        // Every 1009th float: 4.2 million of them, of all signs and exponents.
        for bits in (0..=u32::MAX).step_by(1009) {
            let x = f32::from_bits(bits);
            if !x.is_nan() {
                assert_eq!(from_f32(x), half::f16::from_f32(x).to_bits(), "{x:e}");
            }
        }
    }

    #[test]
    fn a_tie_goes_to_the_even_neighbour_and_65520_to_infinity() {
        assert_eq!(from_f32(1.0 + f32::powi(2.0, -11)), 0x3c00);
        assert_eq!(from_f32(1.0 + 3.0 * f32::powi(2.0, -11)), 0x3c02);
        assert_eq!(from_f32(f32::powi(2.0, -25)), 0);
        assert_eq!(from_f32(3.0 * f32::powi(2.0, -25)), 2);
        assert_eq!(from_f32(65519.0), 0x7bff);
        assert_eq!(from_f32(-65520.0), 0xfc00);
    }
}
