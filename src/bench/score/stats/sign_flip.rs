//! Sign-flip permutation test of a mean difference.

/// Two-sided p-value of the hypothesis that candidate and reference are exchangeable. The differences summed by
/// conversation get random signs. If k of `draws` such totals are at least as far from 0 as the observed one, then
/// p = (k + 1) / (draws + 1) (Phipson and Smyth 2010, "Permutation P-values Should Never Be Zero").
///
/// `flip` is called once for each conversation of each draw.
pub fn sign_flip(sums: &[f64], draws: usize, flip: &mut impl FnMut() -> bool) -> f64 {
    let observed = sums.iter().sum::<f64>().abs();
    // The same numbers added in another order may differ in the last bits; they count as ties.
    let slack = 1e-12 * sums.iter().map(|sum| sum.abs()).sum::<f64>().max(1.0);
    let extreme = (0..draws)
        .filter(|_| {
            let sum: f64 = sums.iter().map(|sum| if flip() { -sum } else { *sum }).sum();
            sum.abs() >= observed - slack
        })
        .count();
    (extreme + 1) as f64 / (draws + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::*;

    #[test]
    fn all_on_one_side_is_rare_and_nothing_is_certain() {
        let mut random = Random::new(3);
        let p = sign_flip(&[1.0; 10], 9999, &mut || random.coin());
        // 2 of 1024 sign patterns are as extreme.
        assert!((0.0005..0.004).contains(&p), "{p}");
        assert_eq!(sign_flip(&[0.0; 10], 999, &mut || random.coin()), 1.0);
        assert_eq!(sign_flip(&[], 999, &mut || random.coin()), 1.0);
    }
}
