//! Quantization error: the decoded weights against the source's.

use std::iter::Sum;
use std::ops::AddAssign;

use super::Codec;
use super::dispatch::{self, Kernel};
use super::vector::Vector;

/// Sums over some weights `x` and their decoded values `y`, from which the error follows.
///
/// Sums of floats depend on their order. Sums of the same weights are equal on every machine. For results that
/// do not depend on the number of threads either, measure slabs of a fixed size and add them in order.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// Number of weights.
    pub count: u64,
    /// The sum of `(x - y)²`.
    pub squared_error: f64,
    /// The sum of `x²`.
    pub squared_source: f64,
    /// The sum of `y²`.
    pub squared_decoded: f64,
    /// The sum of `x * y`.
    pub dot: f64,
}

impl Loss {
    /// The sums over `source`, `[n]`, and the `blocks` into which `codec` encoded it.
    ///
    /// # Panics
    /// If the lengths do not match.
    pub fn measure(codec: &dyn Codec, source: &[f32], blocks: &[u8]) -> Loss {
        // A multiple of every block length, small enough for the L1 cache.
        const CHUNK: usize = 2048;
        let ggml_type = codec.ggml_type();
        assert_eq!(ggml_type.row_bytes(source.len() as u64), blocks.len() as u64, "blocks of other weights");
        let mut decoded = [0.0; CHUNK];
        let block_chunks = blocks.chunks(ggml_type.row_bytes(CHUNK as u64) as usize);
        source
            .chunks(CHUNK)
            .zip(block_chunks)
            .map(|(source, blocks)| {
                let decoded = &mut decoded[..source.len()];
                codec.decode(blocks, decoded);
                dispatch::run(Compare { source, decoded })
            })
            .sum()
    }

    /// True if every weight decodes to a finite number. A scale can overflow although no weight did.
    ///
    /// The squares of finite floats never overflow these sums.
    pub fn is_finite(&self) -> bool {
        self.squared_error.is_finite() && self.squared_decoded.is_finite()
    }

    /// Root mean square of the error, relative to that of the source; 0 if all weights are zero and stayed so.
    pub fn relative_rmse(&self) -> f64 {
        ratio(self.squared_error, self.squared_source, 0.0).sqrt()
    }

    /// Cosine of the angle between source and decoded weights; 1 if both are all zero.
    pub fn cosine(&self) -> f64 {
        let lengths = self.squared_source.sqrt() * self.squared_decoded.sqrt();
        ratio(self.dot, lengths, if self.squared_error == 0.0 { 1.0 } else { 0.0 })
    }
}

fn ratio(part: f64, whole: f64, of_nothing: f64) -> f64 {
    if whole > 0.0 {
        part / whole
    } else if part > 0.0 {
        f64::INFINITY
    } else {
        of_nothing
    }
}

impl AddAssign for Loss {
    fn add_assign(&mut self, other: Loss) {
        self.count += other.count;
        self.squared_error += other.squared_error;
        self.squared_source += other.squared_source;
        self.squared_decoded += other.squared_decoded;
        self.dot += other.dot;
    }
}

impl Sum for Loss {
    fn sum<I: Iterator<Item = Loss>>(slabs: I) -> Loss {
        slabs.fold(Loss::default(), |mut sum, slab| {
            sum += slab;
            sum
        })
    }
}

struct Compare<'a> {
    source: &'a [f32],
    decoded: &'a [f32],
}

impl Kernel for Compare<'_> {
    type Output = Loss;

    #[inline(always)]
    fn run<V: Vector>(self) -> Loss {
        let (x, y) = (self.source, self.decoded);
        Loss {
            count: x.len() as u64,
            squared_error: sum(x, y, |x, y| (x - y) * (x - y)),
            squared_source: sum(x, x, |x, y| x * y),
            squared_decoded: sum(y, y, |x, y| x * y),
            dot: sum(x, y, |x, y| x * y),
        }
    }
}

/// The sum of `term` over pairs. One sum at a time: LLVM vectorizes this, and not four sums at once.
#[inline(always)]
fn sum(xs: &[f32], ys: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    // The number of running sums affects the result, so it does not depend on the vector width.
    let mut lanes = [0f64; 8];
    let (x_chunks, x_rest) = xs.as_chunks::<8>();
    let (y_chunks, y_rest) = ys.as_chunks::<8>();
    for (x, y) in x_chunks.iter().zip(y_chunks) {
        for i in 0..8 {
            lanes[i] += term(f64::from(x[i]), f64::from(y[i]));
        }
    }
    let rest = x_rest.iter().zip(y_rest).map(|(x, y)| term(f64::from(*x), f64::from(*y)));
    lanes.into_iter().chain(rest).sum()
}

#[cfg(test)]
mod tests {
    use super::super::{F32, Q8_0};
    use super::*;

    fn encoded(codec: &dyn Codec, row: &[f32]) -> Vec<u8> {
        let mut out = vec![0; codec.ggml_type().row_bytes(row.len() as u64) as usize];
        codec.encode(row, &mut out);
        out
    }

    #[test]
    fn the_sums_are_those_of_the_definition() {
        let (x, y) = ([3.0, -4.0, 1.0], [3.0, -2.0, 0.0]);
        let loss = Loss::measure(&F32, &x, &encoded(&F32, &y));
        let expected =
            Loss { count: 3, squared_error: 5.0, squared_source: 26.0, squared_decoded: 13.0, dot: 17.0 };
        assert_eq!(loss, expected);
        assert_eq!(loss.relative_rmse(), (5f64 / 26.0).sqrt());
        assert!((loss.cosine() - 17.0 / (26f64 * 13.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn a_lossless_encoding_has_no_error() {
        let x: Vec<f32> = (0..5000).map(|i| (i as f32).sin()).collect();
        let loss = Loss::measure(&F32, &x, &encoded(&F32, &x));
        assert_eq!((loss.count, loss.relative_rmse()), (5000, 0.0));
        assert!((loss.cosine() - 1.0).abs() < 1e-15);
    }

    #[test]
    fn zeros_that_stay_zero_lost_nothing_and_zeros_that_do_not_lost_everything() {
        let kept = Loss::measure(&F32, &[0.0; 4], &encoded(&F32, &[0.0; 4]));
        assert_eq!((kept.relative_rmse(), kept.cosine()), (0.0, 1.0));
        let broken = Loss::measure(&F32, &[0.0; 4], &encoded(&F32, &[1.0; 4]));
        assert_eq!((broken.relative_rmse(), broken.cosine()), (f64::INFINITY, 0.0));
    }

    #[test]
    fn a_scale_beyond_half_precision_is_not_finite() {
        let mut row = [f32::MAX; 32];
        assert!(Loss::measure(&F32, &row, &encoded(&F32, &row)).is_finite());
        assert!(!Loss::measure(&Q8_0, &row, &encoded(&Q8_0, &row)).is_finite());
        row.fill(65504.0 * 127.0);
        assert!(Loss::measure(&Q8_0, &row, &encoded(&Q8_0, &row)).is_finite());
    }

    #[test]
    fn slabs_add_up_in_order_to_the_same_bits() {
        let x: Vec<f32> = (0..8 * 2048).map(|i| (i as f32 * 0.37).sin()).collect();
        let blocks = encoded(&Q8_0, &x);
        let whole = Loss::measure(&Q8_0, &x, &blocks);
        let slabs = x.chunks(2048).zip(blocks.chunks(2048 / 32 * 34));
        assert_eq!(slabs.map(|(x, blocks)| Loss::measure(&Q8_0, x, blocks)).sum::<Loss>(), whole);
        assert!(whole.relative_rmse() < 0.01 && whole.cosine() > 0.9999);
    }
}
