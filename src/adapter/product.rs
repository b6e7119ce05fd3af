//! The product of a LoRA module's matrices, in the order of the reference.
//!
//! Each element is one chain of fused multiply-adds over the rank, from 0 on. Above a rank of 192 the reference's
//! library (MKL, measured on one CPU) adds the sums of several chains.

/// Longest chain; the reference splits longer ones.
pub(super) const LONGEST_CHAIN: usize = 192;
/// Rows and columns that are computed at once, in registers.
const TILE_ROWS: usize = 4;
const TILE_COLUMNS: usize = 16;

/// Fills `out`, `[rows, width]`, with `coefficients` times `factors`.
///
/// `coefficients` is `[rows, rank]` and `factors` `[rank, width]`. The bits do not depend on the split into rows.
///
/// # Panics
/// If the lengths do not match.
pub(super) fn product(coefficients: &[f32], factors: &[f32], rank: usize, width: usize, out: &mut [f32]) {
    assert_eq!(factors.len(), rank * width);
    assert_eq!(coefficients.len() * width, out.len() * rank);
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("fma") && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: this machine has AVX2 and FMA, as just detected.
        #[allow(unsafe_code)]
        unsafe {
            product_fma(coefficients, factors, rank, width, out);
        }
        return;
    }
    tiles(coefficients, factors, rank, width, out);
}

/// [`tiles`], compiled for instructions that fuse; without them each `mul_add` is a call, with the same result.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn product_fma(coefficients: &[f32], factors: &[f32], rank: usize, width: usize, out: &mut [f32]) {
    tiles(coefficients, factors, rank, width, out);
}

#[inline(always)]
fn tiles(coefficients: &[f32], factors: &[f32], rank: usize, width: usize, out: &mut [f32]) {
    let (columns, rest) = (width / TILE_COLUMNS * TILE_COLUMNS, width % TILE_COLUMNS);
    let rows = coefficients.len() / rank;
    for column in (0..columns).step_by(TILE_COLUMNS) {
        let tiled = rows / TILE_ROWS * TILE_ROWS;
        for row in (0..tiled).step_by(TILE_ROWS) {
            tile::<TILE_ROWS, TILE_COLUMNS>(coefficients, factors, rank, width, row, column, out);
        }
        for row in tiled..rows {
            tile::<1, TILE_COLUMNS>(coefficients, factors, rank, width, row, column, out);
        }
    }
    for column in width - rest..width {
        for row in 0..rows {
            tile::<1, 1>(coefficients, factors, rank, width, row, column, out);
        }
    }
}

/// Computes `R` rows from `row` on and `C` columns from `column` on.
#[inline(always)]
fn tile<const R: usize, const C: usize>(
    coefficients: &[f32],
    factors: &[f32],
    rank: usize,
    width: usize,
    row: usize,
    column: usize,
    out: &mut [f32],
) {
    let mut sums = [[0.0_f32; C]; R];
    let step = chain_length(rank);
    let mut start = 0;
    while start < rank {
        let end = rank.min(start + step);
        let mut chains = [[0.0_f32; C]; R];
        for k in start..end {
            let factors: &[f32; C] =
                factors[k * width + column..][..C].try_into().expect("the slice has that length");
            for (i, chain) in chains.iter_mut().enumerate() {
                let coefficient = coefficients[(row + i) * rank + k];
                for (sum, factor) in chain.iter_mut().zip(factors) {
                    *sum = coefficient.mul_add(*factor, *sum);
                }
            }
        }
        if start == 0 {
            sums = chains;
        } else {
            for (sums, chains) in sums.iter_mut().zip(&chains) {
                sums.iter_mut().zip(chains).for_each(|(sum, chain)| *sum += chain);
            }
        }
        start = end;
    }
    for (i, sums) in sums.iter().enumerate() {
        out[(row + i) * width + column..][..C].copy_from_slice(sums);
    }
}

/// Number of ranks in one chain.
#[inline(always)]
fn chain_length(rank: usize) -> usize {
    match rank {
        0..=LONGEST_CHAIN => rank.max(1),
        _ if rank <= 2 * LONGEST_CHAIN => rank / 2,
        _ => LONGEST_CHAIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;

    fn matrix(len: usize, seed: u64) -> Vec<f32> {
        let mut random = SplitMix64::new(seed);
        (0..len).map(|_| (random.below(2_000_001) as f32 - 1e6) * 1e-7).collect()
    }

    #[test]
    fn an_element_is_one_chain_of_fused_multiply_adds_whatever_its_tile() {
        for (rows, rank, width) in [(1, 1, 1), (5, 8, 16), (9, 16, 37), (4, 192, 3), (3, 7, 64)] {
            let (b, a) = (matrix(rows * rank, 1), matrix(rank * width, 2));
            let mut out = vec![f32::NAN; rows * width];
            product(&b, &a, rank, width, &mut out);
            let mut portable = out.clone();
            tiles(&b, &a, rank, width, &mut portable);
            assert_eq!(out, portable);
            for (at, found) in out.iter().enumerate() {
                let (i, j) = (at / width, at % width);
                let chain = (0..rank).fold(0.0_f32, |sum, k| b[i * rank + k].mul_add(a[k * width + j], sum));
                assert_eq!(*found, chain, "{rows}x{rank}x{width} at {i},{j}");
            }
        }
    }

    #[test]
    fn a_rank_above_192_is_the_sum_of_several_chains() {
        assert_eq!([192, 193, 256, 384, 385, 768].map(chain_length), [192, 96, 128, 192, 192, 192]);
        let (rank, width) = (193, 2);
        let (b, a) = (matrix(rank, 3), matrix(rank * width, 4));
        let mut out = vec![0.0; width];
        product(&b, &a, rank, width, &mut out);
        let chain =
            |ranks: std::ops::Range<usize>| ranks.fold(0.0_f32, |sum, k| b[k].mul_add(a[k * width], sum));
        assert_eq!(out[0], chain(0..96) + chain(96..192) + chain(192..193));
    }
}
