//! Bootstrap interval of a mean difference.

use super::{Cluster, quantile};
use serde::{Deserialize, Serialize};

/// A two-sided 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Percentile interval of the mean difference, from a bootstrap over conversations (Efron and Tibshirani 1993, "An
/// Introduction to the Bootstrap", chapter 13; by clusters: Davison and Hinkley 1997, section 3.8).
///
/// Each of `draws` samples takes as many conversations as there are, with replacement; `pick` returns the index of
/// each. The mean is the sum of their differences over the number of their rows. `None` without conversations or
/// samples.
pub fn bootstrap(clusters: &[Cluster], draws: usize, pick: &mut impl FnMut() -> usize) -> Option<Interval> {
    if clusters.is_empty() {
        return None;
    }
    let mut deltas: Vec<f64> = (0..draws)
        .map(|_| {
            let (mut sum, mut rows) = (0.0, 0);
            for _ in clusters {
                let cluster = clusters[pick()];
                sum += cluster.sum;
                rows += cluster.rows;
            }
            if rows == 0 { 0.0 } else { sum / rows as f64 }
        })
        .collect();
    deltas.sort_by(f64::total_cmp);
    Some(Interval { low: quantile(&deltas, 0.025)?, high: quantile(&deltas, 0.975)? })
}

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::*;

    #[test]
    fn one_seed_gives_one_interval_around_the_mean() {
        let clusters: Vec<Cluster> =
            (0..34).map(|i| Cluster { sum: f64::from(i % 5) - 2.0, rows: 6 + i as usize % 9 }).collect();
        let interval = |seed| {
            let mut random = Random::new(seed);
            bootstrap(&clusters, 2000, &mut || random.below(34)).unwrap()
        };
        let (a, delta) = (interval(1), super::super::delta(&clusters));
        assert_eq!(a, interval(1));
        assert_ne!(a, interval(2));
        assert!(a.low < delta && delta < a.high);
    }

    #[test]
    fn without_differences_the_interval_is_a_point() {
        let clusters = [Cluster { sum: 0.0, rows: 3 }; 4];
        let mut random = Random::new(0);
        assert_eq!(
            bootstrap(&clusters, 100, &mut || random.below(4)),
            Some(Interval { low: 0.0, high: 0.0 })
        );
        assert_eq!(bootstrap(&[], 100, &mut || 0), None);
    }
}
