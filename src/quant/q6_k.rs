//! Q6_K: 256 weights as sixteen sub-blocks of 16 six-bit quants, each with a signed byte as its scale
//! (6.5625 bits per weight).
//!
//! `weight = d * scale * (quant - 32)`. Two halves of 128 weights are packed alike: 64 bytes of low
//! nibbles, where byte `i` holds weights `i` and `i + 64` of the half; later in the block 32 bytes of
//! upper pairs of bits, where byte `i` holds those of weights `i`, `i + 32`, `i + 64` and `i + 96`.
//! Low nibbles of both halves, upper bits of both, the sixteen scales, and `d` as f16.

use super::Format;
use super::f16;
use super::lanes::{Lanes, nearest_int};
use crate::gguf::GgmlType;

const SUPER_BLOCK_LEN: usize = 256;
const SUB_BLOCK_LEN: usize = 16;
const SUB_BLOCKS: usize = SUPER_BLOCK_LEN / SUB_BLOCK_LEN;
const LOW_BYTES: usize = SUPER_BLOCK_LEN / 2;
const HIGH_BYTES: usize = SUPER_BLOCK_LEN / 4;
const BLOCK_BYTES: usize = LOW_BYTES + HIGH_BYTES + SUB_BLOCKS + 2;

/// What is smaller counts as zero (ggml's `GROUP_MAX_EPS`).
const NEGLIGIBLE: f32 = 1e-15;

/// Super-blocks of 256 six-bit quants, symmetric around zero.
pub struct Q6K;

impl Format for Q6K {
    const TYPE: GgmlType = GgmlType::Q6K;

    #[inline(always)]
    fn encode_blocks(row: &[f32], out: &mut [u8]) {
        let blocks = out.as_chunks_mut::<BLOCK_BYTES>().0;
        for (x, block) in row.as_chunks::<SUPER_BLOCK_LEN>().0.iter().zip(blocks) {
            encode_block(x, block);
        }
    }

    #[inline(always)]
    fn decode_blocks(blocks: &[u8], out: &mut [f32]) {
        let blocks = blocks.as_chunks::<BLOCK_BYTES>().0;
        for (block, x) in blocks.iter().zip(out.as_chunks_mut::<SUPER_BLOCK_LEN>().0) {
            decode_block(block, x);
        }
    }
}

#[inline(always)]
fn encode_block(x: &[f32; SUPER_BLOCK_LEN], block: &mut [u8; BLOCK_BYTES]) {
    let mut lanes = [Lanes::<SUB_BLOCKS>::splat(0.0); SUB_BLOCK_LEN];
    for (i, x) in x.as_chunks::<SUB_BLOCK_LEN>().0.iter().enumerate() {
        for (lane, x) in lanes.iter_mut().zip(x) {
            lane.0[i] = *x;
        }
    }
    let found = search(&lanes);
    let largest =
        found.scale.0.iter().fold(0f32, |largest, x| if x.abs() > largest.abs() { *x } else { largest });
    if largest.abs() < NEGLIGIBLE {
        block.fill(0);
        return;
    }

    let inverse = -128.0 / largest;
    let d = f16::from_f32(1.0 / inverse);
    let scales = found.scale.0.map(|scale| nearest_int(inverse * scale).min(127) as i8);
    let mut quants = [0; SUPER_BLOCK_LEN];
    for i in 0..SUB_BLOCKS {
        let x = &x.as_chunks::<SUB_BLOCK_LEN>().0[i];
        let quants = &mut quants.as_chunks_mut::<SUB_BLOCK_LEN>().0[i];
        let scale = f16::to_f32(d) * f32::from(scales[i]);
        if scale != 0.0 {
            *quants = x.map(|x| quant(x / scale));
        } else if x.iter().any(|x| x.abs() >= NEGLIGIBLE) {
            // A scale that vanished in eight bits or in f16 leaves the quants as the search had them.
            *quants = x.map(|x| quant(found.kept_inverse.0[i] * x));
        }
    }

    let (low, rest) = block.split_at_mut(LOW_BYTES);
    let (high, rest) = rest.split_at_mut(HIGH_BYTES);
    pack(&quants, low, high);
    rest[..SUB_BLOCKS].copy_from_slice(&scales.map(|scale| scale as u8));
    rest[SUB_BLOCKS..].copy_from_slice(&d.to_le_bytes());
}

/// The quant of a weight given in steps, 32 for zero.
#[inline(always)]
fn quant(steps: f32) -> u8 {
    (nearest_int(steps).clamp(-32, 31) + 32) as u8
}

/// What the search found for each sub-block.
struct Found {
    /// The scale, of either sign; 0 where all weights are negligible.
    scale: Lanes<SUB_BLOCKS>,
    /// The inverse scale that the best quants were made with.
    kept_inverse: Lanes<SUB_BLOCKS>,
}

/// Searches the scales with which `scale * quant` comes closest to the weights (ggml's `make_qx_quants`).
///
/// `x[i]` holds weight `i` of each sub-block. Nineteen inverse scales around the one that maps the
/// weight of the largest magnitude to -32 are tried; each gives quants, and those the scale of the least
/// squares, where a weight counts with its square.
#[inline(always)]
fn search(x: &[Lanes<SUB_BLOCKS>; SUB_BLOCK_LEN]) -> Found {
    let zero = Lanes::splat(0.0);
    let (mut largest, mut extreme) = (zero, zero);
    for x in x {
        let larger = x.abs().gt(largest);
        largest = larger.select(x.abs(), largest);
        extreme = larger.select(*x, extreme);
    }
    let flat = largest.lt(Lanes::splat(NEGLIGIBLE));
    // A flat sub-block is settled; an extreme of 1 keeps its lane's quants within bounds along the way.
    let extreme = flat.select(Lanes::splat(1.0), extreme);

    let sums = |inverse: Lanes<SUB_BLOCKS>| {
        let (mut sum_xq, mut sum_qq) = (zero, zero);
        for x in x {
            let square = *x * *x;
            let quant = (inverse * *x).nearest_within(-32.0, 31.0);
            sum_xq = sum_xq + square * *x * quant;
            sum_qq = sum_qq + square * quant * quant;
        }
        (sum_xq, sum_qq)
    };
    let mut kept_inverse = Lanes::splat(-32.0) / extreme;
    let (sum_xq, sum_qq) = sums(kept_inverse);
    let mut scale = sum_qq.eq(zero).select(zero, sum_xq / sum_qq);
    let mut best = scale * sum_xq;
    for trial in (-9i8..=9).filter(|trial| *trial != 0) {
        let inverse = Lanes::splat(-(32.0 + 0.1 * f32::from(trial))) / extreme;
        let (sum_xq, sum_qq) = sums(inverse);
        let better = sum_qq.gt(zero).and((sum_xq * sum_xq).gt(best * sum_qq));
        let trial_scale = sum_xq / sum_qq;
        kept_inverse = better.select(inverse, kept_inverse);
        scale = better.select(trial_scale, scale);
        best = better.select(trial_scale * sum_xq, best);
    }
    Found { scale: flat.select(zero, scale), kept_inverse }
}

#[inline(always)]
fn pack(quants: &[u8; SUPER_BLOCK_LEN], low: &mut [u8], high: &mut [u8]) {
    let halves = low.as_chunks_mut::<64>().0.iter_mut().zip(high.as_chunks_mut::<32>().0);
    for ((low, high), quants) in halves.zip(quants.as_chunks::<128>().0) {
        for i in 0..64 {
            low[i] = quants[i] & 15 | quants[i + 64] << 4;
        }
        for i in 0..32 {
            high[i] = quants[i] >> 4
                | quants[i + 32] >> 4 << 2
                | quants[i + 64] >> 4 << 4
                | quants[i + 96] >> 4 << 6;
        }
    }
}

#[inline(always)]
fn decode_block(block: &[u8; BLOCK_BYTES], x: &mut [f32; SUPER_BLOCK_LEN]) {
    let (low, rest) = block.split_at(LOW_BYTES);
    let (high, rest) = rest.split_at(HIGH_BYTES);
    let (scales, d) = rest.split_at(SUB_BLOCKS);
    let d = f16::to_f32(u16::from_le_bytes([d[0], d[1]]));
    let mut quants = [0; SUPER_BLOCK_LEN];
    let halves = low.as_chunks::<64>().0.iter().zip(high.as_chunks::<32>().0);
    for ((low, high), quants) in halves.zip(quants.as_chunks_mut::<128>().0) {
        for i in 0..32 {
            quants[i] = low[i] & 15 | (high[i] & 3) << 4;
            quants[i + 32] = low[i + 32] & 15 | (high[i] >> 2 & 3) << 4;
            quants[i + 64] = low[i] >> 4 | (high[i] >> 4 & 3) << 4;
            quants[i + 96] = low[i + 32] >> 4 | high[i] >> 6 << 4;
        }
    }
    let sub_blocks = x.as_chunks_mut::<SUB_BLOCK_LEN>().0.iter_mut().zip(scales);
    for ((x, scale), quants) in sub_blocks.zip(quants.as_chunks::<SUB_BLOCK_LEN>().0) {
        let scale = d * f32::from(*scale as i8);
        for (x, quant) in x.iter_mut().zip(quants) {
            *x = scale * (i32::from(*quant) - 32) as f32;
        }
    }
}
