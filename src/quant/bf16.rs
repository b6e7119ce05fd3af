//! BF16: the upper half of an f32, rounded to nearest, ties to even.

use super::format::Format;
use super::vector::Vector;
use crate::gguf::GgmlType;

/// Weights as bfloat16; weights that came from bfloat16 are restored bit for bit.
pub struct Bf16;

impl Format for Bf16 {
    const TYPE: GgmlType = GgmlType::Bf16;

    #[inline(always)]
    fn encode_blocks<V: Vector>(row: &[f32], out: &mut [u8]) {
        for (x, bytes) in row.iter().zip(out.as_chunks_mut::<2>().0) {
            *bytes = from_f32(*x).to_le_bytes();
        }
    }

    #[inline(always)]
    fn decode_blocks(blocks: &[u8], out: &mut [f32]) {
        for (bytes, x) in blocks.as_chunks::<2>().0.iter().zip(out) {
            *x = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
        }
    }
}

/// The nearest bfloat16, ties to even; a NaN keeps its sign and upper payload, and is made quiet.
#[inline(always)]
fn from_f32(x: f32) -> u16 {
    let bits = x.to_bits();
    let is_odd = (bits >> 16) & 1;
    let rounded = bits.wrapping_add(0x7fff + is_odd);
    (if x.is_nan() { bits | 0x0040_0000 } else { rounded } >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::super::Codec;
    use super::*;

    fn encoded(bits: u32) -> u16 {
        let mut out = [0; 2];
        Bf16.encode(&[f32::from_bits(bits)], &mut out);
        u16::from_le_bytes(out)
    }

    #[test]
    fn a_tie_goes_to_the_even_neighbour() {
        assert_eq!(encoded(0x3f80_8000), 0x3f80);
        assert_eq!(encoded(0x3f81_8000), 0x3f82);
        assert_eq!(encoded(0x3f80_8001), 0x3f81);
    }

    #[test]
    fn every_finite_bfloat16_survives_a_round_trip() {
        for bits in (0..=u16::MAX).filter(|bits| bits & 0x7f80 != 0x7f80) {
            let mut x = [0.0];
            Bf16.decode(&bits.to_le_bytes(), &mut x);
            assert_eq!(encoded(x[0].to_bits()), bits);
        }
    }
}
