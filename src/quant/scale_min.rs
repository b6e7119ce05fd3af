//! The search that Q4_K and Q5_K share: for each sub-block of 32 weights, the scale and the minimum
//! with which `scale * quant + minimum` comes closest to the weights.
//!
//! ggml's `make_qkx2_quants`: from the span of the weights it derives a first pair; then it stretches
//! the span a little more at each trial, quantises, solves the weighted least squares for that choice
//! of quants, and keeps the pair if its error is smaller. Here a sub-block is a lane.

use super::lanes::{Lanes, nearest_int};

pub(super) const SUB_BLOCK_LEN: usize = 32;

/// How a format stretches the span: trial `i` divides it into `max_quant + first + 0.1 * i` steps.
#[derive(Clone, Copy)]
pub(super) struct Trials {
    pub(super) max_quant: f32,
    pub(super) first: f32,
    pub(super) count: u8,
}

/// What the search found for each lane.
pub(super) struct ScaleMin<const N: usize> {
    pub(super) scale: Lanes<N>,
    /// The minimum, zero or negative.
    pub(super) min: Lanes<N>,
    /// The inverse scale and the minimum that the best quants were made with; see [`kept_quant`].
    pub(super) kept_inverse: Lanes<N>,
    pub(super) kept_min: Lanes<N>,
}

/// Searches `N` sub-blocks; `x[i]` holds weight `i` of each of them.
#[inline(always)]
pub(super) fn search<const N: usize>(x: &[Lanes<N>; SUB_BLOCK_LEN], trials: Trials) -> ScaleMin<N> {
    let zero = Lanes::splat(0.0);
    let importance = importance(x);
    let (mut lowest, mut highest) = (x[0], x[0]);
    let (mut sum_w, mut sum_x) = (importance[0], importance[0] * x[0]);
    for i in 1..SUB_BLOCK_LEN {
        lowest = x[i].min(lowest);
        highest = x[i].max(highest);
        sum_w = sum_w + importance[i];
        sum_x = sum_x + importance[i] * x[i];
    }
    let mut min = lowest.gt(zero).select(zero, lowest);
    let flat = highest.eq(min);
    let flat_min = min;
    // A flat sub-block is settled; a span of 1 keeps its lane from dividing by zero along the way.
    let span = |min| flat.select(Lanes::splat(1.0), highest - min);
    let quantize = |inverse, min, quants: &mut _| {
        quantize(x, inverse, min, (lowest, highest), trials.max_quant, quants);
    };

    let mut quants = [zero; SUB_BLOCK_LEN];
    let mut inverse = Lanes::splat(trials.max_quant) / span(min);
    let mut scale = Lanes::splat(1.0) / inverse;
    quantize(inverse, min, &mut quants);
    let mut least_error = error(x, &importance, &quants, scale, min);
    let (mut kept_inverse, mut kept_min) = (inverse, min);

    for trial in 0..=trials.count {
        let steps = trials.first + 0.1 * f32::from(trial) + trials.max_quant;
        inverse = Lanes::splat(steps) / span(min);
        quantize(inverse, min, &mut quants);
        let (mut sum_q, mut sum_qq, mut sum_xq) = (zero, zero, zero);
        for i in 0..SUB_BLOCK_LEN {
            let weighted = importance[i] * quants[i];
            sum_q = sum_q + weighted;
            sum_qq = sum_qq + weighted * quants[i];
            sum_xq = sum_xq + weighted * x[i];
        }
        let determinant = sum_w * sum_qq - sum_q * sum_q;
        let best_min = (sum_qq * sum_x - sum_q * sum_xq) / determinant;
        let best_scale = (sum_w * sum_xq - sum_x * sum_q) / determinant;
        // The format stores a minimum that is subtracted: it cannot be above zero.
        let above = best_min.gt(zero);
        let trial_min = above.select(zero, best_min);
        let trial_scale = above.select(sum_xq / sum_qq, best_scale);
        let error = error(x, &importance, &quants, trial_scale, trial_min);
        let better = determinant.gt(zero).and(error.lt(least_error));
        kept_inverse = better.select(inverse, kept_inverse);
        kept_min = better.select(min, kept_min);
        least_error = better.select(error, least_error);
        scale = better.select(trial_scale, scale);
        min = better.select(trial_min, min);
    }
    ScaleMin {
        scale: flat.select(zero, scale),
        min: flat.select(flat_min, min),
        kept_inverse: flat.select(zero, kept_inverse),
        kept_min: flat.select(flat_min, kept_min),
    }
}

/// How much the error of each weight counts: its magnitude plus the root mean square of its sub-block.
#[inline(always)]
fn importance<const N: usize>(x: &[Lanes<N>; SUB_BLOCK_LEN]) -> [Lanes<N>; SUB_BLOCK_LEN] {
    let mut squares = Lanes::splat(0.0);
    for x in x {
        squares = squares + *x * *x;
    }
    let rms = (squares / Lanes::splat(SUB_BLOCK_LEN as f32)).map(f32::sqrt);
    let mut importance = *x;
    for x in &mut importance {
        *x = rms + x.abs();
    }
    importance
}

/// The quants of the weights, all of which lie within `lowest..=highest`.
#[inline(always)]
fn quantize<const N: usize>(
    x: &[Lanes<N>; SUB_BLOCK_LEN],
    inverse: Lanes<N>,
    min: Lanes<N>,
    (lowest, highest): (Lanes<N>, Lanes<N>),
    max_quant: f32,
    quants: &mut [Lanes<N>; SUB_BLOCK_LEN],
) {
    // Rounding is monotonic: no product is larger than that of the weight farthest from the minimum.
    let farthest = (highest - min).abs().max((lowest - min).abs());
    if (inverse.abs() * farthest).lt(Lanes::splat(f32::powi(2.0, 21))).all() {
        for i in 0..SUB_BLOCK_LEN {
            quants[i] = (inverse * (x[i] - min)).nearest_within(0.0, max_quant);
        }
    } else {
        for i in 0..SUB_BLOCK_LEN {
            let clamp = |x| nearest_int(x).clamp(0, max_quant as i32) as f32;
            quants[i] = (inverse * (x[i] - min)).map(clamp);
        }
    }
}

/// The weighted sum of squared errors.
#[inline(always)]
fn error<const N: usize>(
    x: &[Lanes<N>; SUB_BLOCK_LEN],
    importance: &[Lanes<N>; SUB_BLOCK_LEN],
    quants: &[Lanes<N>; SUB_BLOCK_LEN],
    scale: Lanes<N>,
    min: Lanes<N>,
) -> Lanes<N> {
    let mut sum = Lanes::splat(0.0);
    for i in 0..SUB_BLOCK_LEN {
        let difference = scale * quants[i] + min - x[i];
        sum = sum + importance[i] * (difference * difference);
    }
    sum
}
