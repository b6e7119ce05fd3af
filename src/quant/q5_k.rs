//! Q5_K: 256 weights as eight sub-blocks of 32 five-bit quants, each with a scale and a minimum (5.5 bits
//! per weight).
//!
//! The header of [`affine_k`]; then 32 bytes whose bit `j` of byte `i` is the fifth bit of weight `i` of
//! sub-block `j`; then the low nibbles, 32 bytes for each pair of sub-blocks as in Q4_K.

use super::affine_k::{self, HEADER_BYTES, Packing, SUPER_BLOCK_LEN};
use super::format::Format;
use super::scale_min::Trials;
use super::vector::Vector;
use crate::gguf::GgmlType;

const FIFTHS_BYTES: usize = 32;
const BLOCK_BYTES: usize = HEADER_BYTES + FIFTHS_BYTES + SUPER_BLOCK_LEN / 2;

/// Super-blocks of 256 five-bit quants with scales and minimums.
pub struct Q5K;

impl Format for Q5K {
    const TYPE: GgmlType = GgmlType::Q5K;

    #[inline(always)]
    fn encode_blocks<V: Vector>(row: &[f32], out: &mut [u8]) {
        affine_k::encode::<V, Self, BLOCK_BYTES>(row, out);
    }

    #[inline(always)]
    fn decode_blocks(blocks: &[u8], out: &mut [f32]) {
        let blocks = blocks.as_chunks::<BLOCK_BYTES>().0;
        for (block, x) in blocks.iter().zip(out.as_chunks_mut::<SUPER_BLOCK_LEN>().0) {
            let (header, rest) = block.split_first_chunk().expect("a block is longer than its header");
            let (fifths, nibbles) = rest.split_at(FIFTHS_BYTES);
            let steps = affine_k::scales_and_mins(header);
            let pairs = nibbles.as_chunks::<32>().0.iter().zip(steps.as_chunks::<2>().0);
            for (pair, ((nibbles, [first, second]), x)) in pairs.zip(x.as_chunks_mut::<64>().0).enumerate() {
                for i in 0..32 {
                    let fifth = fifths[i] >> (2 * pair);
                    x[i] = first.0 * f32::from(nibbles[i] & 15 | (fifth & 1) << 4) - first.1;
                    x[i + 32] = second.0 * f32::from(nibbles[i] >> 4 | (fifth & 2) << 3) - second.1;
                }
            }
        }
    }
}

impl Packing<BLOCK_BYTES> for Q5K {
    const TRIALS: Trials = Trials { max_quant: 31.0, first: -0.5, count: 15 };

    #[inline(always)]
    fn pack(header: [u8; HEADER_BYTES], quants: &[u8; SUPER_BLOCK_LEN], block: &mut [u8; BLOCK_BYTES]) {
        let (head, rest) = block.split_at_mut(HEADER_BYTES);
        let (fifths, nibbles) = rest.split_at_mut(FIFTHS_BYTES);
        head.copy_from_slice(&header);
        fifths.fill(0);
        let pairs = nibbles.as_chunks_mut::<32>().0.iter_mut().zip(quants.as_chunks::<64>().0);
        for (pair, (nibbles, quants)) in pairs.enumerate() {
            for i in 0..32 {
                let (first, second) = (quants[i], quants[i + 32]);
                nibbles[i] = first & 15 | second << 4;
                fifths[i] |= (first >> 4 | second >> 4 << 1) << (2 * pair);
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
        Q5K.encode(row, &mut out);
        out
    }

    #[test]
    fn the_fifth_bits_of_a_byte_are_those_of_one_weight_of_each_sub_block() {
        let row: Vec<f32> = (0..SUPER_BLOCK_LEN).map(|i| (i % 32) as f32).collect();
        let block = encoded(&row);
        assert_eq!(block[16..32], [0; 16]);
        assert_eq!(block[32..48], [255; 16]);
        assert!(block[48..].iter().enumerate().all(|(i, byte)| usize::from(*byte) == i % 16 * 0x11));
    }

    #[test]
    fn the_fifth_bit_of_sub_block_3_is_bit_3() {
        let mut row = [0.0; SUPER_BLOCK_LEN];
        row[3 * 32 + 7] = 31.0;
        let block = encoded(&row);
        assert_eq!(block[16 + 7], 1 << 3);
        // Sub-block 3 has the high nibbles of the second 32 bytes.
        assert_eq!(block[48 + 32 + 7], 0xf0);
    }

    #[test]
    fn zeros_are_zero_bytes() {
        assert_eq!(encoded(&[0.0; SUPER_BLOCK_LEN]), [0; BLOCK_BYTES]);
    }

    proptest! {
        #[test]
        fn decoding_returns_each_weight_within_two_steps_of_the_span(row in affine_k::rows()) {
            let mut back = vec![0.0; row.len()];
            Q5K.decode(&encoded(&row), &mut back);
            let tolerance = 2.0 * affine_k::span(&row) / 31.0;
            for (x, y) in row.iter().zip(&back) {
                prop_assert!((x - y).abs() <= tolerance, "{x} became {y}");
            }
        }
    }
}
