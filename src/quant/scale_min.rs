//! The search of Q4_K and Q5_K: for each sub-block of 32 weights, the scale and the minimum for which `scale *
//! quant + minimum` is closest to the weights.
//!
//! The algorithm is ggml's `make_qkx2_quants`. A first pair follows from the span of the weights. Each trial
//! then stretches the span a little more, quantizes, solves the weighted least squares for these quants, and
//! keeps the pair if its error is smaller. Here a sub-block is a lane.

use super::lanes::Lanes;
use super::vector::Vector;

pub(super) const SUB_BLOCK_LEN: usize = 32;

/// Trials of a format: trial `i` divides the span into `max_quant + first + 0.1 * i` steps.
#[derive(Clone, Copy)]
pub(super) struct Trials {
    pub(super) max_quant: f32,
    pub(super) first: f32,
    pub(super) count: u8,
}

/// Result of the search for each lane.
pub(super) struct ScaleMin<V> {
    pub(super) scale: Lanes<V>,
    /// The minimum, zero or negative.
    pub(super) min: Lanes<V>,
    /// The inverse scale and the minimum that gave the best quants.
    pub(super) kept_inverse: Lanes<V>,
    pub(super) kept_min: Lanes<V>,
}

/// Searches sixteen sub-blocks; `x[i]` holds weight `i` of each of them.
#[inline(always)]
pub(super) fn search<V: Vector>(x: &[Lanes<V>; SUB_BLOCK_LEN], trials: Trials) -> ScaleMin<V> {
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
    // A flat sub-block needs no search; a span of 1 keeps its lane from dividing by zero.
    let one = Lanes::splat(1.0);
    let bounds = (lowest, highest);

    let mut quants = [zero; SUB_BLOCK_LEN];
    let mut inverse = Lanes::splat(trials.max_quant) / flat.select(one, highest - min);
    let mut scale = one / inverse;
    quantize(x, inverse, min, bounds, trials.max_quant, &mut quants);
    let mut least_error = error(x, &importance, &quants, scale, min);
    let (mut kept_inverse, mut kept_min) = (inverse, min);

    for trial in 0..=trials.count {
        let steps = trials.first + 0.1 * f32::from(trial) + trials.max_quant;
        inverse = Lanes::splat(steps) / flat.select(one, highest - min);
        quantize(x, inverse, min, bounds, trials.max_quant, &mut quants);
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
        // The format subtracts the minimum, so it cannot be above zero.
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

/// Weight of each error in the sum: the magnitude plus the root mean square of the sub-block.
#[inline(always)]
fn importance<V: Vector>(x: &[Lanes<V>; SUB_BLOCK_LEN]) -> [Lanes<V>; SUB_BLOCK_LEN] {
    let mut squares = Lanes::splat(0.0);
    for x in x {
        squares = squares + *x * *x;
    }
    let rms = (squares / Lanes::splat(SUB_BLOCK_LEN as f32)).sqrt();
    let mut importance = *x;
    for x in &mut importance {
        *x = rms + x.abs();
    }
    importance
}

/// The quants of the weights, all of which are in `lowest..=highest`.
#[inline(always)]
fn quantize<V: Vector>(
    x: &[Lanes<V>; SUB_BLOCK_LEN],
    inverse: Lanes<V>,
    min: Lanes<V>,
    (lowest, highest): (Lanes<V>, Lanes<V>),
    max_quant: f32,
    quants: &mut [Lanes<V>; SUB_BLOCK_LEN],
) {
    // Rounding is monotonic, so no product is larger than that of the weight farthest from the minimum.
    let farthest = (highest - min).abs().max((lowest - min).abs());
    if (inverse.abs() * farthest).lt(Lanes::splat(f32::powi(2.0, 21))).all() {
        for i in 0..SUB_BLOCK_LEN {
            quants[i] = (inverse * (x[i] - min)).nearest_within(0.0, max_quant);
        }
    } else {
        for i in 0..SUB_BLOCK_LEN {
            quants[i] = (inverse * (x[i] - min)).nearest_int_within(0, max_quant as i32);
        }
    }
}

/// The weighted sum of squared errors.
#[inline(always)]
fn error<V: Vector>(
    x: &[Lanes<V>; SUB_BLOCK_LEN],
    importance: &[Lanes<V>; SUB_BLOCK_LEN],
    quants: &[Lanes<V>; SUB_BLOCK_LEN],
    scale: Lanes<V>,
    min: Lanes<V>,
) -> Lanes<V> {
    let mut sum = Lanes::splat(0.0);
    for i in 0..SUB_BLOCK_LEN {
        let difference = scale * quants[i] + min - x[i];
        sum = sum + importance[i] * (difference * difference);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::super::lanes::nearest_int;
    use super::super::vector::Portable;
    use super::*;

    #[test]
    fn products_too_large_to_round_give_the_quants_that_ggml_makes_of_them() {
        let x: [f32; SUB_BLOCK_LEN] = std::array::from_fn(|i| i as f32 / 31.0);
        let lanes = Lanes::<Portable>::gather(&x);
        for inverse in [31.0, 4e6, 1e7, 1e30, f32::INFINITY] {
            let mut quants = lanes;
            let (zero, one) = (Lanes::splat(0.0), Lanes::splat(1.0));
            quantize(&lanes, Lanes::splat(inverse), zero, (zero, one), 15.0, &mut quants);
            for (quant, x) in quants.iter().zip(x) {
                assert_eq!(quant.to_array()[0], nearest_int(inverse * x).clamp(0, 15) as f32);
            }
        }
    }

    #[test]
    fn the_lanes_do_not_see_each_other() {
        let alone: Vec<f32> = (0..SUB_BLOCK_LEN).map(|i| (i as f32 * 0.7).sin()).collect();
        let mut crowd = vec![0.0; 5 * SUB_BLOCK_LEN];
        crowd[..SUB_BLOCK_LEN].fill(1e30);
        crowd.extend_from_slice(&alone);
        let trials = Trials { max_quant: 15.0, first: -1.0, count: 20 };
        let first = search(&Lanes::<Portable>::gather(&alone), trials);
        let sixth = search(&Lanes::<Portable>::gather(&crowd), trials);
        assert_eq!(first.scale.to_array()[0], sixth.scale.to_array()[5]);
        assert_eq!(first.min.to_array()[0], sixth.min.to_array()[5]);
    }
}
