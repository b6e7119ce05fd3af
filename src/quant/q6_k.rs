//! Q6_K: 256 weights as sixteen sub-blocks of 16 six-bit quants, each with a signed byte as its scale
//! (6.5625 bits per weight).
//!
//! `weight = d * scale * (quant - 32)`. The block has the low nibbles, the upper bits, the sixteen scales, and
//! `d` as f16. Two halves of 128 weights are packed alike. A half has 64 bytes of low nibbles: byte `i` holds
//! weights `i` and `i + 64` of the half. It has 32 bytes of upper bit pairs: byte `i` holds those of weights
//! `i`, `i + 32`, `i + 64` and `i + 96`.

use super::f16;
use super::format::Format;
use super::lanes::{Lanes, nearest_int};
use super::vector::Vector;
use crate::gguf::GgmlType;

const SUPER_BLOCK_LEN: usize = 256;
const SUB_BLOCK_LEN: usize = 16;
const SUB_BLOCKS: usize = SUPER_BLOCK_LEN / SUB_BLOCK_LEN;
const LOW_BYTES: usize = SUPER_BLOCK_LEN / 2;
const HIGH_BYTES: usize = SUPER_BLOCK_LEN / 4;
const BLOCK_BYTES: usize = LOW_BYTES + HIGH_BYTES + SUB_BLOCKS + 2;

/// Magnitude below which a weight counts as zero (ggml's `GROUP_MAX_EPS`).
const NEGLIGIBLE: f32 = 1e-15;

/// Super-blocks of 256 six-bit quants, symmetric around zero.
pub struct Q6K;

impl Format for Q6K {
    const TYPE: GgmlType = GgmlType::Q6K;

    #[inline(always)]
    fn encode_blocks<V: Vector>(row: &[f32], out: &mut [u8]) {
        let blocks = out.as_chunks_mut::<BLOCK_BYTES>().0;
        for (x, block) in row.as_chunks::<SUPER_BLOCK_LEN>().0.iter().zip(blocks) {
            encode_block::<V>(x, block);
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
fn encode_block<V: Vector>(x: &[f32; SUPER_BLOCK_LEN], block: &mut [u8; BLOCK_BYTES]) {
    let found = search(&Lanes::<V>::gather(x));
    let (found_scales, kept_inverses) = (found.scale.to_array(), found.kept_inverse.to_array());
    let largest =
        found_scales.iter().fold(0f32, |largest, x| if x.abs() > largest.abs() { *x } else { largest });
    if largest.abs() < NEGLIGIBLE {
        block.fill(0);
        return;
    }

    let inverse = -128.0 / largest;
    let d = f16::from_f32(1.0 / inverse);
    let scales = found_scales.map(|scale| nearest_int(inverse * scale).min(127) as i8);
    let mut quants = [0; SUPER_BLOCK_LEN];
    for i in 0..SUB_BLOCKS {
        let x = &x.as_chunks::<SUB_BLOCK_LEN>().0[i];
        let quants = &mut quants.as_chunks_mut::<SUB_BLOCK_LEN>().0[i];
        let scale = f16::to_f32(d) * f32::from(scales[i]);
        if scale != 0.0 {
            *quants = x.map(|x| quant(x / scale));
        } else if x.iter().any(|x| x.abs() >= NEGLIGIBLE) {
            // If the scale became zero in eight bits or in f16, the quants are those of the search.
            *quants = x.map(|x| quant(kept_inverses[i] * x));
        }
    }

    let (low, rest) = block.split_at_mut(LOW_BYTES);
    let (high, rest) = rest.split_at_mut(HIGH_BYTES);
    pack(&quants, low, high);
    rest[..SUB_BLOCKS].copy_from_slice(&scales.map(|scale| scale as u8));
    rest[SUB_BLOCKS..].copy_from_slice(&d.to_le_bytes());
}

/// The quant of a weight in units of the scale; 32 for zero.
#[inline(always)]
fn quant(steps: f32) -> u8 {
    (nearest_int(steps).clamp(-32, 31) + 32) as u8
}

/// Result of the search for each sub-block.
struct Found<V> {
    /// The scale, of either sign; 0 if all weights are negligible.
    scale: Lanes<V>,
    /// The inverse scale that gave the best quants.
    kept_inverse: Lanes<V>,
}

/// Searches the scales for which `scale * quant` is closest to the weights (ggml's `make_qx_quants`).
///
/// `x[i]` holds weight `i` of each sub-block. Nineteen inverse scales are tried, around the one that maps the
/// weight of the largest magnitude to -32. Each gives quants, and for those the scale with the least squared
/// error, where a weight counts with its square.
#[inline(always)]
fn search<V: Vector>(x: &[Lanes<V>; SUB_BLOCK_LEN]) -> Found<V> {
    let zero = Lanes::splat(0.0);
    let (mut largest, mut extreme) = (zero, zero);
    for x in x {
        let larger = x.abs().gt(largest);
        largest = larger.select(x.abs(), largest);
        extreme = larger.select(*x, extreme);
    }
    let flat = largest.lt(Lanes::splat(NEGLIGIBLE));
    // A flat sub-block needs no search; an extreme of 1 keeps the quants of its lane within bounds.
    let extreme = flat.select(Lanes::splat(1.0), extreme);

    let (mut squares, mut cubes) = (*x, *x);
    for i in 0..SUB_BLOCK_LEN {
        squares[i] = x[i] * x[i];
        cubes[i] = squares[i] * x[i];
    }
    let mut kept_inverse = Lanes::splat(-32.0) / extreme;
    let (sum_xq, sum_qq) = sums(x, &squares, &cubes, kept_inverse);
    let mut scale = sum_qq.eq(zero).select(zero, sum_xq / sum_qq);
    let mut best = scale * sum_xq;
    for trial in (-9i8..=9).filter(|trial| *trial != 0) {
        let inverse = Lanes::splat(-(32.0 + 0.1 * f32::from(trial))) / extreme;
        let (sum_xq, sum_qq) = sums(x, &squares, &cubes, inverse);
        let better = sum_qq.gt(zero).and((sum_xq * sum_xq).gt(best * sum_qq));
        let trial_scale = sum_xq / sum_qq;
        kept_inverse = better.select(inverse, kept_inverse);
        scale = better.select(trial_scale, scale);
        best = better.select(trial_scale * sum_xq, best);
    }
    Found { scale: flat.select(zero, scale), kept_inverse }
}

/// The sums of the least squares for the quants of `inverse`: `Σ x² · x · quant` and `Σ x² · quant²`.
#[inline(always)]
fn sums<V: Vector>(
    x: &[Lanes<V>; SUB_BLOCK_LEN],
    squares: &[Lanes<V>; SUB_BLOCK_LEN],
    cubes: &[Lanes<V>; SUB_BLOCK_LEN],
    inverse: Lanes<V>,
) -> (Lanes<V>, Lanes<V>) {
    let (mut sum_xq, mut sum_qq) = (Lanes::splat(0.0), Lanes::splat(0.0));
    for i in 0..SUB_BLOCK_LEN {
        let quant = (inverse * x[i]).nearest_within(-32.0, 31.0);
        sum_xq = sum_xq + cubes[i] * quant;
        sum_qq = sum_qq + squares[i] * quant * quant;
    }
    (sum_xq, sum_qq)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Codec;
    use super::super::affine_k;
    use super::*;

    fn encoded(row: &[f32]) -> Vec<u8> {
        let mut out = vec![0; row.len() / SUPER_BLOCK_LEN * BLOCK_BYTES];
        Q6K.encode(row, &mut out);
        out
    }

    #[test]
    fn weights_on_the_grid_become_their_own_quants() {
        let row: Vec<f32> = (0..SUPER_BLOCK_LEN).map(|i| (i % 16) as f32 - 8.0).collect();
        let block = encoded(&row);
        // Scales of -128 times d, -1/512, make steps of a quarter: the quants are 0, 4, 8 ... 60.
        assert_eq!(block[208..], [0x00, 0x98]);
        assert_eq!(block[192..208], [0x80; 16]);
        assert_eq!(block[..5], [0x00, 0x44, 0x88, 0xcc, 0x00]);
        assert_eq!(block[128..133], [0x00, 0x00, 0x00, 0x00, 0x55]);
        let mut back = vec![0.0; row.len()];
        Q6K.decode(&block, &mut back);
        assert_eq!(back, row);
    }

    #[test]
    fn a_sub_block_whose_scale_vanishes_keeps_the_quants_of_the_search() {
        let mut row: Vec<f32> = (0..SUPER_BLOCK_LEN).map(|i| (i % 16) as f32 - 8.0).collect();
        row[..16].iter_mut().for_each(|x| *x *= 1e-3);
        let block = encoded(&row);
        assert_eq!(block[192], 0);
        assert_eq!(block[..5], [0x00, 0x44, 0x88, 0xcc, 0x00]);
    }

    #[test]
    fn negligible_weights_are_zero_bytes() {
        assert_eq!(encoded(&[9e-16; SUPER_BLOCK_LEN]), [0; BLOCK_BYTES]);
    }

    #[test]
    fn a_negligible_sub_block_beside_others_has_the_lowest_quants() {
        let mut row = [1.0; SUPER_BLOCK_LEN];
        row[..16].fill(0.0);
        let block = encoded(&row);
        assert!(block[..16].iter().all(|byte| byte & 15 == 0));
        assert!(block[128..144].iter().all(|byte| byte & 3 == 0));
    }

    proptest! {
        #[test]
        fn decoding_returns_each_weight_within_two_steps_of_the_largest(row in affine_k::rows()) {
            let mut back = vec![0.0; row.len()];
            Q6K.decode(&encoded(&row), &mut back);
            let largest = row.iter().fold(0f32, |largest, x| largest.max(x.abs()));
            let tolerance = 2.0 * largest / 32.0;
            for (x, y) in row.iter().zip(&back) {
                prop_assert!((x - y).abs() <= tolerance, "{x} became {y}");
            }
        }
    }
}
