//! Q4_0: 32 weights as one f16 scale and 32 nibbles (4.5 bits per weight).
//!
//! `weight = scale * (nibble - 8)`. The weight of the largest magnitude maps to -8, so the scale has
//! the opposite sign. Byte `i` holds weight `i` in its low and weight `i + 16` in its high nibble.

use super::block32::{self, BLOCK_LEN, Block, HALF};
use super::f16;
use super::format::Format;
use super::vector::Vector;
use crate::gguf::GgmlType;

const BLOCK_BYTES: usize = 2 + HALF;

/// Blocks of 32 nibbles, symmetric around zero.
pub struct Q4_0;

impl Format for Q4_0 {
    const TYPE: GgmlType = GgmlType::Q4_0;

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
            let [low, high, nibbles @ ..] = block;
            let scale = f16::to_f32(u16::from_le_bytes([*low, *high]));
            for i in 0..HALF {
                x[i] = (i32::from(nibbles[i] & 15) - 8) as f32 * scale;
                x[i + HALF] = (i32::from(nibbles[i] >> 4) - 8) as f32 * scale;
            }
        }
    }
}

#[inline(always)]
fn encode_block<V: Vector>(x: &[f32; BLOCK_LEN], block: &mut [u8; BLOCK_BYTES]) {
    let x = Block::<V>::load(x);
    let scale = x.extreme() / -8.0;
    let inverse = block32::inverse(scale);
    // If ggml's inverse overflows, its quants are 0, which is the lowest weight and not the middle.
    let offset = if block32::inverse_overflows(scale) { 0.0 } else { 8.5 };
    let [low, high, nibbles @ ..] = block;
    [*low, *high] = f16::from_f32(scale).to_le_bytes();
    let quants = x.steps(0.0, inverse, offset, 15);
    block32::pack_4_bits(&quants, nibbles);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Codec;
    use super::super::block32::encoded;
    use super::super::vector::Portable;
    use super::*;

    #[test]
    fn the_largest_weight_maps_to_minus_8_whatever_its_sign() {
        let mut row = [0.0; BLOCK_LEN];
        (row[0], row[16], row[1]) = (8.0, -7.0, -8.0);
        // The first of two equal magnitudes decides the sign: the scale is -1.
        assert_eq!(encoded(&Q4_0, &row)[..4], [0x00, 0xbc, 0xf0, 0x8f]);
    }

    #[test]
    fn zeros_have_the_scale_minus_zero_and_the_middle_quant() {
        let mut expected = [0x88; BLOCK_BYTES];
        expected[..2].copy_from_slice(&[0x00, 0x80]);
        assert_eq!(encoded(&Q4_0, &[0.0; BLOCK_LEN]), expected);
    }

    #[test]
    fn weights_too_small_for_an_inverse_have_zero_quants_as_in_ggml() {
        assert_eq!(encoded(&Q4_0, &[-1e-40; BLOCK_LEN]), [0; BLOCK_BYTES]);
    }

    proptest! {
        #[test]
        fn decoding_returns_each_weight_within_a_step(row in block32::rows()) {
            let mut back = vec![0.0; row.len()];
            Q4_0.decode(&encoded(&Q4_0, &row), &mut back);
            // A whole step: the weights of the other sign end at 7 steps, not at 8.
            let step = Block::<Portable>::load(&row).extreme().abs() / 8.0;
            let tolerance = 1.001 * step + 8.0 * block32::rounding_of(step);
            for (x, y) in row.iter().zip(&back) {
                prop_assert!((x - y).abs() <= tolerance, "{x} became {y}");
            }
        }
    }
}
