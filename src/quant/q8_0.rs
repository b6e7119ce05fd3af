//! Q8_0: 32 weights as one f16 scale and 32 signed bytes (8.5 bits per weight).
//!
//! `weight = scale * byte`; the largest magnitude of the block maps to ±127.

use super::block32::{self, BLOCK_LEN};
use super::{Format, f16};
use crate::gguf::GgmlType;

const BLOCK_BYTES: usize = 2 + BLOCK_LEN;

/// Blocks of 32 signed bytes with a common scale.
pub struct Q8_0;

impl Format for Q8_0 {
    const TYPE: GgmlType = GgmlType::Q8_0;

    #[inline(always)]
    fn encode_blocks(row: &[f32], out: &mut [u8]) {
        let blocks = out.as_chunks_mut::<BLOCK_BYTES>().0;
        for (x, block) in row.as_chunks::<BLOCK_LEN>().0.iter().zip(blocks) {
            encode_block(x, block);
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
fn encode_block(x: &[f32; BLOCK_LEN], block: &mut [u8; BLOCK_BYTES]) {
    let scale = block32::max_magnitude(x) / 127.0;
    let inverse = block32::inverse(scale);
    let [low, high, bytes @ ..] = block;
    [*low, *high] = f16::from_f32(scale).to_le_bytes();
    for (x, byte) in x.iter().zip(bytes) {
        *byte = round_half_away(x * inverse) as u8;
    }
}

/// The nearest integer, ties away from zero, of |x| < 2^22.
#[inline(always)]
fn round_half_away(x: f32) -> i32 {
    // The largest float below 0.5: with 0.5 itself, 0.49999997 would round up to 1.
    const ALMOST_HALF: f32 = 0.499_999_97;
    (x + ALMOST_HALF.copysign(x)) as i32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Codec;
    use super::*;

    fn encoded(row: &[f32]) -> Vec<u8> {
        let mut out = vec![0; row.len() / BLOCK_LEN * BLOCK_BYTES];
        Q8_0.encode(row, &mut out);
        out
    }

    #[test]
    fn the_largest_weight_maps_to_127_and_keeps_its_sign() {
        let mut row = [0.0; BLOCK_LEN];
        row[3] = -2.0;
        assert_eq!(encoded(&row)[2 + 3] as i8, -127);
    }

    #[test]
    fn ties_round_away_from_zero() {
        let mut row = [0.0; BLOCK_LEN];
        row[..4].copy_from_slice(&[127.0, 0.5, -2.5, 0.499_999_97]);
        assert_eq!(encoded(&row)[2..6], [127, 1, -3i8 as u8, 0]);
    }

    #[test]
    fn weights_too_small_for_a_scale_become_zero() {
        assert_eq!(encoded(&[1e-42; BLOCK_LEN]), [0; BLOCK_BYTES]);
    }

    proptest! {
        #[test]
        fn decoding_returns_each_weight_within_a_step(row in block32::rows()) {
            let mut back = vec![0.0; row.len()];
            Q8_0.decode(&encoded(&row), &mut back);
            let step = block32::max_magnitude(&row) / 127.0;
            let tolerance = 0.501 * step + 127.0 * block32::rounding_of(step);
            for (x, y) in row.iter().zip(&back) {
                prop_assert!((x - y).abs() <= tolerance, "{x} became {y}");
            }
        }
    }
}
