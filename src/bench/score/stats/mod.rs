//! Statistics of paired scores, grouped by conversation. Each formula cites its source.

mod bootstrap;
mod holm;
mod kappa;
mod margin;
mod mcnemar;
mod quantile;
mod random;
mod sign_flip;
mod wilson;

pub use bootstrap::{Interval, bootstrap};
pub use holm::holm;
pub use kappa::{cohens_kappa, kappa_interval};
pub use margin::{conversations_needed, supported_margin};
pub use mcnemar::mcnemar_exact;
pub use quantile::{mean, quantile};
pub use random::Random;
pub use sign_flip::sign_flip;
pub use wilson::wilson;

/// The differences of one conversation's rows: candidate minus reference.
///
/// Rows of a conversation share their history, so they are sampled and flipped together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cluster {
    /// Sum of the rows' differences.
    pub sum: f64,
    /// Number of rows.
    pub rows: usize,
}

/// Mean difference over all rows; 0 without rows.
pub fn delta(clusters: &[Cluster]) -> f64 {
    let rows: usize = clusters.iter().map(|cluster| cluster.rows).sum();
    let sum: f64 = clusters.iter().map(|cluster| cluster.sum).sum();
    if rows == 0 { 0.0 } else { sum / rows as f64 }
}
