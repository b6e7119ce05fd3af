//! Settings of a run.

use crate::bench::row::Mode;

/// Settings that all rows of a run share.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Decoding modes; each makes its own rows.
    pub modes: Vec<Mode>,
    /// Maximum number of tokens in an answer.
    pub max_tokens: usize,
    /// Name of the primary metric.
    pub primary: String,
    /// Largest acceptable loss of the primary metric, as a fraction.
    pub margin: f64,
    /// True to measure probabilities too: on the ground-truth answers, or on the reference's answers in unlabelled
    /// data.
    pub divergence: bool,
}
