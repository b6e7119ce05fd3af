//! Exact McNemar test.

/// Two-sided exact p-value of `broken` against `fixed` discordant pairs: twice the smaller tail of the binomial with
/// probability 0.5, at most 1 (McNemar 1947, "Note on the Sampling Error of the Difference Between Correlated
/// Proportions"). It assumes independent pairs, which those of one conversation are not.
pub fn mcnemar_exact(broken: usize, fixed: usize) -> f64 {
    let (n, smaller) = (broken + fixed, broken.min(fixed));
    // The largest term of the tail, C(n, smaller) / 2^n, halved during the computation so that it neither overflows nor
    // underflows.
    let mut term: f64 = 1.0;
    let mut halvings = n;
    for i in 0..smaller {
        term *= (n - i) as f64 / (i + 1) as f64;
        while term > 1.0 && halvings > 0 {
            term *= 0.5;
            halvings -= 1;
        }
    }
    term *= 0.5f64.powi(halvings.min(1 << 20) as i32);
    // The other terms, each from the previous one.
    let mut tail = 0.0;
    for k in (0..=smaller).rev() {
        tail += term;
        term *= k as f64 / (n - k + 1) as f64;
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_per_cent_needs_six_to_nothing() {
        assert_eq!(mcnemar_exact(6, 0), 0.03125);
        assert_eq!(mcnemar_exact(0, 5), 0.0625);
        for (broken, fixed) in [(8, 1), (10, 2), (12, 3), (13, 4), (15, 5), (17, 6)] {
            assert!(mcnemar_exact(broken, fixed) <= 0.05);
            assert!(mcnemar_exact(broken - 1, fixed) > 0.05);
        }
    }

    #[test]
    fn equal_counts_say_nothing_however_many_there_are() {
        for n in [0, 1, 2, 30, 5000] {
            assert_eq!(mcnemar_exact(n, n), 1.0);
        }
        assert_eq!(mcnemar_exact(5000, 0), 0.0);
    }
}
