//! Q4_K: 256 weights as eight sub-blocks of 32 nibbles, each with a scale and a minimum (4.5 bits per weight).
//!
//! The header of [`affine_k`], then 32 bytes for each pair of sub-blocks: byte `i` holds weight `i` of
//! the first in its low and weight `i` of the second in its high nibble.

use super::Format;
use super::affine_k::{self, HEADER_BYTES, SUPER_BLOCK_LEN};
use super::scale_min::Trials;
use crate::gguf::GgmlType;

const BLOCK_BYTES: usize = HEADER_BYTES + SUPER_BLOCK_LEN / 2;
const TRIALS: Trials = Trials { max_quant: 15.0, first: -1.0, count: 20 };

/// Super-blocks of 256 nibbles with scales and minimums.
pub struct Q4K;

impl Format for Q4K {
    const TYPE: GgmlType = GgmlType::Q4K;

    #[inline(always)]
    fn encode_blocks(row: &[f32], out: &mut [u8]) {
        affine_k::encode(row, out, TRIALS, |block: &mut [u8; BLOCK_BYTES], header, quants| {
            let (head, nibbles) = block.split_at_mut(HEADER_BYTES);
            head.copy_from_slice(&header);
            for (nibbles, quants) in
                nibbles.as_chunks_mut::<32>().0.iter_mut().zip(quants.as_chunks::<64>().0)
            {
                for i in 0..32 {
                    nibbles[i] = quants[i] | quants[i + 32] << 4;
                }
            }
        });
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
