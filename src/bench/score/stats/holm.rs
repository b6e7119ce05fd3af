//! Correction for multiple tests.

/// P-values adjusted for multiple tests, in their order (Holm 1979, "A Simple Sequentially Rejective Multiple Test
/// Procedure"): the smallest times their number, the next times one less and so on; no value is below the one before
/// it, or above 1.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![1.0; p.len()];
    let mut floor: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        floor = floor.max((p.len() - rank) as f64 * p[index]).min(1.0);
        adjusted[index] = floor;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_p_never_becomes_smaller_than_a_smaller_one() {
        assert_eq!(holm(&[0.03, 0.01, 0.035]), [0.06, 0.03, 0.06]);
        assert_eq!(holm(&[0.5, 0.9]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
