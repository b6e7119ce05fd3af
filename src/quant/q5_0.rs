//! Q5_0: 32 weights as one f16 scale and 32 five-bit quants (5.5 bits per weight).
//!
//! `weight = scale * (quant - 16)`. The weight of the largest magnitude maps to -16, so the scale has
//! the opposite sign. After the scale come four bytes, a little-endian word whose bit `i` is the fifth
//! bit of quant `i`; then the low nibbles, byte `i` holding weights `i` and `i + 16`.

use super::block32::{self, BLOCK_LEN, Block, HALF};
use super::f16;
use super::format::Format;
use super::vector::Vector;
use crate::gguf::GgmlType;

const BLOCK_BYTES: usize = 2 + 4 + HALF;

/// Blocks of 32 five-bit quants, symmetric around zero.
pub struct Q5_0;

impl Format for Q5_0 {
    const TYPE: GgmlType = GgmlType::Q5_0;

    #[inline(always)]
    fn encode_blocks<V: Vector>(row: &[f32], out: &mut [u8]) {
        let blocks = out.as_chunks_mut::<BLOCK_BYTES>().0;
        for (x, block) in row.as_chunks::<BLOCK_LEN>().0.iter().zip(blocks) {
            encode_block::<V>(x, block);
        }
    }

    #[inline(always)]
    fn decode_blocks(blocks: &[u8], out: &mut [f32]) {
        let blocks = blocks.as_chunks::<BLOCK_BYTES>().0;
        for (block, x) in blocks.iter().zip(out.as_chunks_mut::<BLOCK_LEN>().0) {
            let [s0, s1, f0, f1, f2, f3, nibbles @ ..] = block;
            let scale = f16::to_f32(u16::from_le_bytes([*s0, *s1]));
            let quants = block32::unpack_5_bits(u32::from_le_bytes([*f0, *f1, *f2, *f3]), nibbles);
            for (x, quant) in x.iter_mut().zip(quants) {
                *x = (quant - 16) as f32 * scale;
            }
        }
    }
}

#[inline(always)]
fn encode_block<V: Vector>(x: &[f32; BLOCK_LEN], block: &mut [u8; BLOCK_BYTES]) {
    let x = Block::<V>::load(x);
    let scale = x.extreme() / -16.0;
    let inverse = block32::inverse(scale);
    // If ggml's inverse overflows, its quants are 0, which is the lowest weight and not the middle.
    let offset = if block32::inverse_overflows(scale) { 0.0 } else { 16.5 };
    let [s0, s1, f0, f1, f2, f3, nibbles @ ..] = block;
    [*s0, *s1] = f16::from_f32(scale).to_le_bytes();
    let quants = x.steps(0.0, inverse, offset, 31);
    [*f0, *f1, *f2, *f3] = block32::pack_5_bits(&quants, nibbles).to_le_bytes();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Codec;
    use super::super::block32::encoded;
    use super::super::vector::Portable;
    use super::*;

    #[test]
    fn the_fifth_bits_stand_apart_in_the_order_of_the_weights() {
        let mut row = [-1.0; BLOCK_LEN];
        (row[0], row[17]) = (-16.0, 15.0);
        // Scale 1: the quants are 0, 15 and 31.
        assert_eq!(encoded(&Q5_0, &row)[..8], [0x00, 0x3c, 0x00, 0x00, 0x02, 0x00, 0xf0, 0xff]);
    }

    #[test]
    fn zeros_have_the_scale_minus_zero_and_the_middle_quant() {
        assert_eq!(encoded(&Q5_0, &[0.0; BLOCK_LEN])[..7], [0x00, 0x80, 0xff, 0xff, 0xff, 0xff, 0x00]);
    }

    #[test]
    fn weights_too_small_for_an_inverse_have_zero_quants_as_in_ggml() {
        assert_eq!(encoded(&Q5_0, &[-1e-40; BLOCK_LEN]), [0; BLOCK_BYTES]);
    }

    proptest! {
        #[test]
        fn decoding_returns_each_weight_within_a_step(row in block32::rows()) {
            let mut back = vec![0.0; row.len()];
            Q5_0.decode(&encoded(&Q5_0, &row), &mut back);
            // A whole step: the weights of the other sign end at 15 steps, not at 16.
            let step = Block::<Portable>::load(&row).extreme().abs() / 16.0;
            let tolerance = 1.001 * step + 16.0 * block32::rounding_of(step);
            for (x, y) in row.iter().zip(&back) {
                prop_assert!((x - y).abs() <= tolerance, "{x} became {y}");
            }
        }
    }
}
