//! How far decoded weights are from the source's: relative RMSE and cosine.

/// Sums from which relative RMSE and cosine follow, over any number of weights.
///
/// Sums are taken in f32 over short runs in eight lanes, then in f64: the same on every machine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Deviation {
    /// Sum of the source's squares.
    source: f64,
    /// Sum of the decoded weights' squares.
    decoded: f64,
    /// Sum of their products.
    product: f64,
    /// Sum of the squared differences.
    difference: f64,
}

const LANES: usize = 8;
/// Long enough to be fast, short enough that f32 sums keep six digits.
const RUN: usize = 256;

impl Deviation {
    /// Adds the weights `source` and what they were decoded to, both `[n]`.
    ///
    /// # Errors
    /// The first index at which the decoded weight is not finite.
    pub fn add(&mut self, source: &[f32], decoded: &[f32]) -> Result<(), usize> {
        for (run, (a, b)) in source.chunks(RUN).zip(decoded.chunks(RUN)).enumerate() {
            let fast = sums_f32(a, b);
            // Squares of very large weights overflow in f32; of very small ones they vanish.
            let sums = if fast.iter().all(|sum| sum.is_finite()) && fast[0] > f64::from(f32::MIN_POSITIVE) {
                fast
            } else {
                sums_f64(a, b)
            };
            if !sums.iter().all(|sum| sum.is_finite()) {
                let within = b.iter().position(|weight| !weight.is_finite()).unwrap_or(0);
                return Err(run * RUN + within);
            }
            self.source += sums[0];
            self.decoded += sums[1];
            self.product += sums[2];
            self.difference += sums[3];
        }
        Ok(())
    }

    /// Adds the sums of other weights.
    pub fn merge(&mut self, other: &Deviation) {
        self.source += other.source;
        self.decoded += other.decoded;
        self.product += other.product;
        self.difference += other.difference;
    }

    /// The root of the mean squared difference over that of the source's mean square.
    pub fn relative_rmse(&self) -> f64 {
        if self.difference == 0.0 { 0.0 } else { (self.difference / self.source).sqrt() }
    }

    /// The cosine of the angle between source and decoded weights; 1 where both are zero.
    pub fn cosine(&self) -> f64 {
        if self.difference == 0.0 {
            return 1.0;
        }
        (self.product / (self.source.sqrt() * self.decoded.sqrt())).clamp(-1.0, 1.0)
    }
}

fn sums_f32(a: &[f32], b: &[f32]) -> [f64; 4] {
    let mut sums = [[0f32; LANES]; 4];
    let (a_lanes, b_lanes) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (a_rest, b_rest) = (a_lanes.remainder(), b_lanes.remainder());
    let mut add = |lane: usize, x: f32, y: f32| {
        sums[0][lane] += x * x;
        sums[1][lane] += y * y;
        sums[2][lane] += x * y;
        sums[3][lane] += (x - y) * (x - y);
    };
    for (x, y) in a_lanes.zip(b_lanes) {
        for lane in 0..LANES {
            add(lane, x[lane], y[lane]);
        }
    }
    a_rest.iter().zip(b_rest).enumerate().for_each(|(lane, (&x, &y))| add(lane, x, y));
    sums.map(|lanes| lanes.iter().map(|&sum| f64::from(sum)).sum())
}

fn sums_f64(a: &[f32], b: &[f32]) -> [f64; 4] {
    let mut sums = [0f64; 4];
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (f64::from(x), f64::from(y));
        sums[0] += x * x;
        sums[1] += y * y;
        sums[2] += x * y;
        sums[3] += (x - y) * (x - y);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deviation(source: &[f32], decoded: &[f32]) -> Deviation {
        let mut deviation = Deviation::default();
        deviation.add(source, decoded).unwrap();
        deviation
    }

    #[test]
    fn half_of_every_weight_is_a_relative_rmse_of_a_half_and_the_same_direction() {
        let source: Vec<f32> = (1..1000).map(|i| i as f32).collect();
        let half: Vec<f32> = source.iter().map(|x| x / 2.0).collect();
        let deviation = deviation(&source, &half);
        assert!((deviation.relative_rmse() - 0.5).abs() < 1e-6);
        assert!((deviation.cosine() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn weights_kept_to_the_bit_do_not_deviate_even_where_all_are_zero() {
        for source in [[0.0; 300], [1e-30; 300], [1e30; 300]] {
            let deviation = deviation(&source, &source);
            assert_eq!((deviation.relative_rmse(), deviation.cosine()), (0.0, 1.0));
        }
    }

    #[test]
    fn very_large_and_very_small_weights_are_measured() {
        for scale in [1e30, 1e-30] {
            let deviation = deviation(&[scale; 300], &[scale / 2.0; 300]);
            assert!((deviation.relative_rmse() - 0.5).abs() < 1e-6, "{scale}");
        }
    }

    #[test]
    fn a_decoded_weight_that_is_not_finite_is_found() {
        let mut decoded = [1.0; 600];
        decoded[517] = f32::INFINITY;
        assert_eq!(Deviation::default().add(&[1.0; 600], &decoded), Err(517));
    }

    #[test]
    fn merging_is_the_same_as_adding() {
        let (source, decoded) = ([1.0, 2.0, 3.0, 4.0], [1.0, 2.5, 3.0, 4.5]);
        let mut merged = deviation(&source[..2], &decoded[..2]);
        merged.merge(&deviation(&source[2..], &decoded[2..]));
        assert_eq!(merged.relative_rmse(), deviation(&source, &decoded).relative_rmse());
    }
}
