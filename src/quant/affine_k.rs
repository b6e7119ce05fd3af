//! The common part of Q4_K and Q5_K: a super-block of 256 weights is eight sub-blocks of 32. Each has a six-bit
//! scale and a six-bit minimum, which are multiplied by two f16 numbers.
//!
//! `weight = d * scale * quant - dmin * minimum`.

use super::f16;
use super::lanes::{Lanes, nearest_int};
use super::scale_min::{self, SUB_BLOCK_LEN, ScaleMin, Trials};
use super::vector::Vector;

pub(super) const SUPER_BLOCK_LEN: usize = 256;
const SUB_BLOCKS: usize = SUPER_BLOCK_LEN / SUB_BLOCK_LEN;
/// `d`, `dmin` and twelve bytes of packed scales and minimums.
pub(super) const HEADER_BYTES: usize = 16;

/// The parts in which Q4_K and Q5_K differ: trials of the search, and layout.
pub(super) trait Packing<const BYTES: usize> {
    const TRIALS: Trials;

    /// Writes a super-block; `#[inline(always)]`, like the kernel around it.
    fn pack(header: [u8; HEADER_BYTES], quants: &[u8; SUPER_BLOCK_LEN], block: &mut [u8; BYTES]);
}

/// Encodes the super-blocks of `row`.
#[inline(always)]
pub(super) fn encode<V: Vector, P: Packing<BYTES>, const BYTES: usize>(row: &[f32], out: &mut [u8]) {
    let pairs = row.as_chunks::<SUPER_BLOCK_LEN>().0.chunks(2);
    for (pair, blocks) in pairs.zip(out.as_chunks_mut::<BYTES>().0.chunks_mut(2)) {
        // A single last super-block leaves half of the lanes at zero.
        let lanes = Lanes::<V>::gather(pair.as_flattened());
        let found = scale_min::search::<V>(&lanes, P::TRIALS);
        for (i, (x, block)) in pair.iter().zip(blocks).enumerate() {
            let (header, quants) =
                quantize(x, &SubBlocks::from_search(&found, i), P::TRIALS.max_quant as i32);
            P::pack(header, &quants, block);
        }
    }
}

/// Result of the search for the sub-blocks of one super-block.
struct SubBlocks {
    scales: [f32; SUB_BLOCKS],
    /// Minimums as they are subtracted: zero or positive.
    mins: [f32; SUB_BLOCKS],
    kept_inverses: [f32; SUB_BLOCKS],
    kept_mins: [f32; SUB_BLOCKS],
}

impl SubBlocks {
    #[inline(always)]
    fn from_search<V: Vector>(found: &ScaleMin<V>, super_block: usize) -> SubBlocks {
        let start = super_block * SUB_BLOCKS;
        let part = |lanes: Lanes<V>| std::array::from_fn(|i| lanes.to_array()[start + i]);
        SubBlocks {
            scales: part(found.scale),
            mins: part(Lanes::splat(0.0) - found.min),
            kept_inverses: part(found.kept_inverse),
            kept_mins: part(found.kept_min),
        }
    }
}

/// Header and quants of a super-block.
#[inline(always)]
fn quantize(
    x: &[f32; SUPER_BLOCK_LEN],
    found: &SubBlocks,
    max_quant: i32,
) -> ([u8; HEADER_BYTES], [u8; SUPER_BLOCK_LEN]) {
    let (d, scales) = six_bits(&found.scales);
    let (dmin, mins) = six_bits(&found.mins);
    let mut quants = [0; SUPER_BLOCK_LEN];
    let sub_blocks = x.as_chunks::<SUB_BLOCK_LEN>().0.iter().zip(quants.as_chunks_mut::<SUB_BLOCK_LEN>().0);
    for (i, (x, quants)) in sub_blocks.enumerate() {
        let scale = f16::to_f32(d) * f32::from(scales[i]);
        let min = f16::to_f32(dmin) * f32::from(mins[i]);
        // If the scale became zero in six bits or in f16, the quants are those of the search.
        let (kept_inverse, kept_min) = (found.kept_inverses[i], found.kept_mins[i]);
        for (x, quant) in x.iter().zip(quants) {
            let steps = if scale == 0.0 { kept_inverse * (x - kept_min) } else { (x + min) / scale };
            *quant = nearest_int(steps).clamp(0, max_quant) as u8;
        }
    }
    let mut header = [0; HEADER_BYTES];
    header[..2].copy_from_slice(&d.to_le_bytes());
    header[2..4].copy_from_slice(&dmin.to_le_bytes());
    header[4..].copy_from_slice(&pack(&scales, &mins));
    (header, quants)
}

/// Six-bit quantization of `values`: a 63rd of the largest one as f16, and the multiples of it.
#[inline(always)]
fn six_bits(values: &[f32; SUB_BLOCKS]) -> (u16, [u8; SUB_BLOCKS]) {
    let largest = values.iter().fold(0.0, |largest, x| if *x > largest { *x } else { largest });
    let inverse = if largest > 0.0 { 63.0 / largest } else { 0.0 };
    (f16::from_f32(largest / 63.0), values.map(|x| (nearest_int(inverse * x) as u8).min(63)))
}

/// Packs eight scales and eight minimums of six bits into twelve bytes.
///
/// Bytes 0..4 and 4..8 hold the first four scales and minimums in their low six bits; bytes 8..12 hold
/// the low nibbles of the last four, scale below minimum; their upper two bits top up bytes 0..8.
#[inline(always)]
fn pack(scales: &[u8; SUB_BLOCKS], mins: &[u8; SUB_BLOCKS]) -> [u8; 12] {
    let mut packed = [0; 12];
    for i in 0..4 {
        packed[i] = scales[i] | (scales[i + 4] >> 4) << 6;
        packed[i + 4] = mins[i] | (mins[i + 4] >> 4) << 6;
        packed[i + 8] = scales[i + 4] & 15 | (mins[i + 4] & 15) << 4;
    }
    packed
}

/// The inverse of [`pack`].
#[inline(always)]
fn unpack(packed: &[u8; 12]) -> ([u8; SUB_BLOCKS], [u8; SUB_BLOCKS]) {
    let (mut scales, mut mins) = ([0; SUB_BLOCKS], [0; SUB_BLOCKS]);
    for i in 0..4 {
        scales[i] = packed[i] & 63;
        scales[i + 4] = packed[i + 8] & 15 | (packed[i] >> 6) << 4;
        mins[i] = packed[i + 4] & 63;
        mins[i + 4] = packed[i + 8] >> 4 | (packed[i + 4] >> 6) << 4;
    }
    (scales, mins)
}

/// Scale and minimum of each sub-block, from a super-block's header.
#[inline(always)]
pub(super) fn scales_and_mins(header: &[u8; HEADER_BYTES]) -> [(f32, f32); SUB_BLOCKS] {
    let [d0, d1, m0, m1, packed @ ..] = header;
    let d = f16::to_f32(u16::from_le_bytes([*d0, *d1]));
    let dmin = f16::to_f32(u16::from_le_bytes([*m0, *m1]));
    let (scales, mins) = unpack(packed);
    std::array::from_fn(|i| (d * f32::from(scales[i]), dmin * f32::from(mins[i])))
}

/// Super-blocks whose sub-blocks differ by up to three orders of magnitude.
#[cfg(test)]
pub(super) fn rows() -> impl proptest::strategy::Strategy<Value = Vec<f32>> {
    use proptest::prelude::*;
    let sub_block = (-4i32..6, prop::collection::vec(-1f32..1.0, SUB_BLOCK_LEN))
        .prop_map(|(exponent, x)| x.into_iter().map(|x| x * 2f32.powi(exponent)).collect::<Vec<_>>());
    prop::collection::vec(sub_block, SUB_BLOCKS).prop_map(|sub_blocks| sub_blocks.concat())
}

/// Span of the weights in a row, zero included.
#[cfg(test)]
pub(super) fn span(row: &[f32]) -> f32 {
    row.iter().fold(0f32, |max, x| max.max(*x)) - row.iter().fold(0f32, |min, x| min.min(*x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_bit_numbers_survive_packing() {
        let scales = [63, 0, 1, 31, 62, 33, 16, 15];
        let mins = [0, 63, 32, 7, 48, 47, 63, 8];
        assert_eq!(unpack(&pack(&scales, &mins)), (scales, mins));
    }

    #[test]
    fn the_last_four_are_split_over_three_bytes() {
        let (mut scales, mut mins) = ([0; 8], [0; 8]);
        (scales[4], mins[4]) = (0b10_0101, 0b01_1010);
        let mut expected = [0; 12];
        (expected[0], expected[4], expected[8]) = (0b1000_0000, 0b0100_0000, 0b1010_0101);
        assert_eq!(pack(&scales, &mins), expected);
    }

    #[test]
    fn six_bit_numbers_are_counted_in_63rds_of_the_largest() {
        let (unit, counts) = six_bits(&[6.3, 0.1, 0.0, 3.2, 0.0, 0.0, 0.0, -1.0]);
        assert_eq!(unit, f16::from_f32(0.1));
        assert_eq!(counts[..4], [63, 1, 0, 32]);
    }
}
