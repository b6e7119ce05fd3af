//! Confidence interval of a proportion.

use super::Interval;

/// The 97.5 % point of the standard normal distribution.
pub(super) const Z: f64 = 1.959963984540054;

/// 95 % score interval of `successes` in `n` trials (Wilson 1927, "Probable Inference, the Law of Succession, and
/// Statistical Inference"); `None` without trials. It assumes independent rows, which those of one conversation are
/// not.
pub fn wilson(successes: usize, n: usize) -> Option<Interval> {
    if n == 0 {
        return None;
    }
    let (n, share) = (n as f64, successes as f64 / n as f64);
    let shrink = 1.0 + Z * Z / n;
    let centre = (share + Z * Z / (2.0 * n)) / shrink;
    let half = Z * ((share * (1.0 - share) + Z * Z / (4.0 * n)) / n).sqrt() / shrink;
    Some(Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) })
}
