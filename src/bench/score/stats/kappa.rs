//! Agreement of two judges beyond chance.

use super::{Interval, quantile};
use std::collections::BTreeMap;

/// Cohen's kappa of pairs of verdicts (Cohen 1960, "A Coefficient of Agreement for Nominal Scales"). `None` without
/// pairs, or if the agreement expected by chance is 1.
pub fn cohens_kappa<T: Ord>(pairs: &[(T, T)]) -> Option<f64> {
    let n = pairs.len() as f64;
    let mut shares: BTreeMap<&T, (f64, f64)> = BTreeMap::new();
    for (first, second) in pairs {
        shares.entry(first).or_default().0 += 1.0 / n;
        shares.entry(second).or_default().1 += 1.0 / n;
    }
    let agreed = pairs.iter().filter(|(first, second)| first == second).count() as f64 / n;
    let by_chance: f64 = shares.values().map(|(first, second)| first * second).sum();
    (!pairs.is_empty() && by_chance < 1.0 - 1e-12).then(|| (agreed - by_chance) / (1.0 - by_chance))
}

/// Percentile interval of kappa, from a bootstrap over conversations as in [`bootstrap`](super::bootstrap()). Samples
/// without a kappa are left out. `None` without conversations, or if no sample has a kappa.
pub fn kappa_interval<T: Ord + Copy>(
    conversations: &[Vec<(T, T)>],
    draws: usize,
    pick: &mut impl FnMut() -> usize,
) -> Option<Interval> {
    if conversations.is_empty() {
        return None;
    }
    let mut draw = || {
        let pairs: Vec<(T, T)> =
            conversations.iter().flat_map(|_| conversations[pick()].iter().copied()).collect();
        cohens_kappa(&pairs)
    };
    let mut kappas: Vec<f64> = (0..draws).filter_map(|_| draw()).collect();
    kappas.sort_by(f64::total_cmp);
    Some(Interval { low: quantile(&kappas, 0.025)?, high: quantile(&kappas, 0.975)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_agreement_is_worth_nothing() {
        assert_eq!(cohens_kappa(&[(0, 0), (0, 1), (1, 0), (1, 1)]), Some(0.0));
        assert_eq!(cohens_kappa(&[(0, 0), (1, 1)]), Some(1.0));
        assert_eq!(cohens_kappa(&[(1, 1), (1, 1)]), None);
        assert_eq!(cohens_kappa::<u8>(&[]), None);
    }
    #[test]
    fn the_interval_holds_kappa_and_narrows_with_conversations() {
        let interval = |conversations: usize| {
            let mut random = super::super::Random::new(3);
            let rows: Vec<Vec<(bool, bool)>> = (0..conversations)
                .map(|i| (0..8).map(|j| ((i + j) % 3 == 0, (i + j) % 3 == 0 || (i * j) % 7 == 5)).collect())
                .collect();
            let kappa = cohens_kappa(&rows.concat()).unwrap();
            let interval = kappa_interval(&rows, 500, &mut || random.below(conversations)).unwrap();
            assert!(interval.low < kappa && kappa < interval.high, "{interval:?} {kappa}");
            interval.high - interval.low
        };
        assert!(interval(90) < interval(10));
        let same = vec![vec![(true, true)], vec![(false, false)]];
        let mut random = super::super::Random::new(3);
        let sure = kappa_interval(&same, 100, &mut || random.below(2));
        assert_eq!(sure, Some(Interval { low: 1.0, high: 1.0 }));
        assert_eq!(kappa_interval(&[vec![(true, true)]], 100, &mut || 0), None);
    }
}
