//! Q8_0: 32 weights as one f16 scale and 32 signed bytes (8.5 bits per weight).
//!
//! `weight = scale * byte`; the largest magnitude of the block maps to ±127.

use super::block32::{self, BLOCK_LEN, Block};
use super::f16;
use super::format::Format;
use super::vector::Vector;
use crate::gguf::GgmlType;

const BLOCK_BYTES: usize = 2 + BLOCK_LEN;

/// Blocks of 32 signed bytes with a common scale.
pub struct Q8_0;

impl Format for Q8_0 {
    const TYPE: GgmlType = GgmlType::Q8_0;

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
            let [low, high, bytes @ ..] = block;
            let scale = f16::to_f32(u16::from_le_bytes([*low, *high]));
            for (x, byte) in x.iter_mut().zip(bytes) {
                *x = f32::from(*byte as i8) * scale;
            }
        }
    }
}

#[inline(always)]
fn encode_block<V: Vector>(x: &[f32; BLOCK_LEN], block: &mut [u8; BLOCK_BYTES]) {
    let x = Block::<V>::load(x);
    let scale = x.max_magnitude() / 127.0;
    let inverse = block32::inverse(scale);
    let [low, high, bytes @ ..] = block;
    [*low, *high] = f16::from_f32(scale).to_le_bytes();
    for (byte, quant) in bytes.iter_mut().zip(&x.nearest(inverse)) {
        *byte = *quant as u8;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Codec;
    use super::super::block32::encoded;
    use super::super::vector::Portable;
    use super::*;

    #[test]
    fn the_largest_weight_maps_to_127_and_keeps_its_sign() {
        let mut row = [0.0; BLOCK_LEN];
        row[3] = -2.0;
        assert_eq!(encoded(&Q8_0, &row)[2 + 3] as i8, -127);
    }

    #[test]
    fn ties_round_away_from_zero() {
        let mut row = [0.0; BLOCK_LEN];
        row[..4].copy_from_slice(&[127.0, 0.5, -2.5, 0.499_999_97]);
        assert_eq!(encoded(&Q8_0, &row)[2..6], [127, 1, -3i8 as u8, 0]);
    }

    #[test]
    fn weights_too_small_for_a_scale_become_zero() {
        assert_eq!(encoded(&Q8_0, &[1e-42; BLOCK_LEN]), [0; BLOCK_BYTES]);
    }

    proptest! {
        #[test]
        fn decoding_returns_each_weight_within_a_step(row in block32::rows()) {
            let mut back = vec![0.0; row.len()];
            Q8_0.decode(&encoded(&Q8_0, &row), &mut back);
            let step = Block::<Portable>::load(&row).max_magnitude() / 127.0;
            let tolerance = 0.501 * step + 127.0 * block32::rounding_of(step);
            for (x, y) in row.iter().zip(&back) {
                prop_assert!((x - y).abs() <= tolerance, "{x} became {y}");
            }
        }
    }
}
