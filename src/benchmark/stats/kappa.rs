//! Agreement of two judges beyond chance.

use std::collections::BTreeMap;

/// Cohen's kappa of pairs of verdicts (Cohen 1960, "A Coefficient of Agreement for Nominal Scales"); `None` without
/// pairs, or where chance alone would agree always.
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
}
