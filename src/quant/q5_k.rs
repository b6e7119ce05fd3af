//! Q5_K: 256 weights as eight sub-blocks of 32 five-bit quants, each with a scale and a minimum (5.5 bits
//! per weight).
//!
//! The header of [`affine_k`]; then 32 bytes whose bit `j` of byte `i` is the fifth bit of weight `i` of
//! sub-block `j`; then the low nibbles, 32 bytes for each pair of sub-blocks as in Q4_K.

use super::Format;
use super::affine_k::{self, HEADER_BYTES, SUPER_BLOCK_LEN};
use super::scale_min::Trials;
use crate::gguf::GgmlType;

const FIFTHS_BYTES: usize = 32;
const BLOCK_BYTES: usize = HEADER_BYTES + FIFTHS_BYTES + SUPER_BLOCK_LEN / 2;
const TRIALS: Trials = Trials { max_quant: 31.0, first: -0.5, count: 15 };

/// Super-blocks of 256 five-bit quants with scales and minimums.
pub struct Q5K;

impl Format for Q5K {
    const TYPE: GgmlType = GgmlType::Q5K;

    #[inline(always)]
    fn encode_blocks(row: &[f32], out: &mut [u8]) {
        affine_k::encode(row, out, TRIALS, |block: &mut [u8; BLOCK_BYTES], header, quants| {
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
        });
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
