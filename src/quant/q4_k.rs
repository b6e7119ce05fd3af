//! Q4_K: 256 weights as eight sub-blocks of 32 nibbles, each with a scale and a minimum (4.5 bits per weight).
//!
//! The header of [`affine_k`], then 32 bytes for each pair of sub-blocks: byte `i` holds weight `i` of
//! the first in its low and weight `i` of the second in its high nibble.

use super::affine_k::{self, HEADER_BYTES, Packing, SUPER_BLOCK_LEN};
use super::format::Format;
use super::scale_min::Trials;
use super::vector::Vector;
use crate::gguf::GgmlType;

const BLOCK_BYTES: usize = HEADER_BYTES + SUPER_BLOCK_LEN / 2;

/// Super-blocks of 256 nibbles with scales and minimums.
pub struct Q4K;

impl Format for Q4K {
    const TYPE: GgmlType = GgmlType::Q4K;

    #[inline(always)]
    fn encode_blocks<V: Vector>(row: &[f32], out: &mut [u8]) {
        affine_k::encode::<V, Self, BLOCK_BYTES>(row, out);
    }

    #[inline(always)]
    fn decode_blocks(blocks: &[u8], out: &mut [f32]) {
        let blocks = blocks.as_chunks::<BLOCK_BYTES>().0;
        for (block, x) in blocks.iter().zip(out.as_chunks_mut::<SUPER_BLOCK_LEN>().0) {
            let (header, nibbles) = block.split_first_chunk().expect("a block is longer than its header");
            let steps = affine_k::scales_and_mins(header);
            let pairs = nibbles.as_chunks::<32>().0.iter().zip(steps.as_chunks::<2>().0);
            for ((nibbles, [first, second]), x) in pairs.zip(x.as_chunks_mut::<64>().0) {
                for i in 0..32 {
                    x[i] = first.0 * f32::from(nibbles[i] & 15) - first.1;
                    x[i + 32] = second.0 * f32::from(nibbles[i] >> 4) - second.1;
                }
            }
        }
    }
}

impl Packing<BLOCK_BYTES> for Q4K {
    const TRIALS: Trials = Trials { max_quant: 15.0, first: -1.0, count: 20 };

    #[inline(always)]
    fn pack(header: [u8; HEADER_BYTES], quants: &[u8; SUPER_BLOCK_LEN], block: &mut [u8; BLOCK_BYTES]) {
        let (head, nibbles) = block.split_at_mut(HEADER_BYTES);
        head.copy_from_slice(&header);
        for (nibbles, quants) in nibbles.as_chunks_mut::<32>().0.iter_mut().zip(quants.as_chunks::<64>().0) {
            for i in 0..32 {
                nibbles[i] = quants[i] | quants[i + 32] << 4;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Codec;
    use super::*;

    fn encoded(row: &[f32]) -> Vec<u8> {
        let mut out = vec![0; row.len() / SUPER_BLOCK_LEN * BLOCK_BYTES];
        Q4K.encode(row, &mut out);
        out
    }

    #[test]
    fn weights_on_the_grid_become_their_own_quants() {
        let row: Vec<f32> = (0..SUPER_BLOCK_LEN).map(|i| (i % 16) as f32).collect();
        let block = encoded(&row);
        // d is 1/63 and all scales are 63; there is no minimum.
        assert_eq!(block[..4], [0x10, 0x24, 0, 0]);
        assert_eq!(block[4..16], [255, 255, 255, 255, 0, 0, 0, 0, 15, 15, 15, 15]);
        assert!(block[16..].iter().enumerate().all(|(i, byte)| usize::from(*byte) == i % 16 * 0x11));
    }

    #[test]
    fn a_sub_block_whose_scale_vanishes_keeps_the_quants_of_the_search() {
        let mut row: Vec<f32> = (0..SUPER_BLOCK_LEN).map(|i| (i % 16) as f32).collect();
        row[32..64].iter_mut().for_each(|x| *x *= 1e-3);
        let block = encoded(&row);
        // Its own six bits; the other two are the upper bits of sub-block 5's scale.
        assert_eq!(block[5] & 63, 0);
        assert!(block[16..48].iter().enumerate().all(|(i, byte)| usize::from(*byte) == i % 16 * 0x11));
    }

    #[test]
    fn zeros_are_zero_bytes() {
        assert_eq!(encoded(&[0.0; SUPER_BLOCK_LEN]), [0; BLOCK_BYTES]);
    }

    proptest! {
        #[test]
        fn decoding_returns_each_weight_within_two_steps_of_the_span(row in affine_k::rows()) {
            let mut back = vec![0.0; row.len()];
            Q4K.decode(&encoded(&row), &mut back);
            let tolerance = 2.0 * affine_k::span(&row) / 15.0;
            for (x, y) in row.iter().zip(&back) {
                prop_assert!((x - y).abs() <= tolerance, "{x} became {y}");
            }
        }
    }
}
