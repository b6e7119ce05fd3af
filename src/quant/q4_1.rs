//! Q4_1: 32 weights as an f16 scale, an f16 minimum and 32 nibbles (5 bits per weight).
//!
//! `weight = scale * nibble + minimum`. Byte `i` holds weight `i` in its low and weight `i + 16` in its
//! high nibble.

use super::block32::{self, BLOCK_LEN, Block, HALF};
use super::f16;
use super::format::Format;
use super::vector::Vector;
use crate::gguf::GgmlType;

const BLOCK_BYTES: usize = 4 + HALF;

/// Blocks of 32 nibbles above a minimum.
pub struct Q4_1;

impl Format for Q4_1 {
    const TYPE: GgmlType = GgmlType::Q4_1;

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
            let [s0, s1, m0, m1, nibbles @ ..] = block;
            let scale = f16::to_f32(u16::from_le_bytes([*s0, *s1]));
            let min = f16::to_f32(u16::from_le_bytes([*m0, *m1]));
            for i in 0..HALF {
                x[i] = f32::from(nibbles[i] & 15) * scale + min;
                x[i + HALF] = f32::from(nibbles[i] >> 4) * scale + min;
            }
        }
    }
}

#[inline(always)]
fn encode_block<V: Vector>(x: &[f32; BLOCK_LEN], block: &mut [u8; BLOCK_BYTES]) {
    let x = Block::<V>::load(x);
    let (min, max) = x.min_max();
    let scale = (max - min) / 15.0;
    let inverse = block32::inverse(scale);
    let [s0, s1, m0, m1, nibbles @ ..] = block;
    [*s0, *s1] = f16::from_f32(scale).to_le_bytes();
    [*m0, *m1] = f16::from_f32(min).to_le_bytes();
    let quants = x.steps(min, inverse, 0.5, 15);
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
    fn the_smallest_weight_maps_to_0_and_the_largest_to_15() {
        let mut row = [-1.0; BLOCK_LEN];
        (row[1], row[17]) = (14.0, 0.0);
        // Scale 1, minimum -1.
        assert_eq!(encoded(&Q4_1, &row)[..6], [0x00, 0x3c, 0x00, 0xbc, 0x00, 0x1f]);
    }

    #[test]
    fn a_constant_block_is_its_minimum() {
        assert_eq!(encoded(&Q4_1, &[1.0; BLOCK_LEN])[..5], [0x00, 0x00, 0x00, 0x3c, 0x00]);
    }

    proptest! {
        #[test]
        fn decoding_returns_each_weight_within_a_step(row in block32::rows()) {
            let mut back = vec![0.0; row.len()];
            Q4_1.decode(&encoded(&Q4_1, &row), &mut back);
            let (min, max) = Block::<Portable>::load(&row).min_max();
            let step = (max - min) / 15.0;
            let tolerance =
                0.501 * step + 15.0 * block32::rounding_of(step) + block32::rounding_of(min.abs());
            for (x, y) in row.iter().zip(&back) {
                prop_assert!((x - y).abs() <= tolerance, "{x} became {y}");
            }
        }
    }
}
