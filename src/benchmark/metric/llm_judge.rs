//! The verdict of a model that was asked.

use super::{Metric, Pair};
use crate::benchmark::judge;

/// 1 for good, 0 for bad. No text says what a judge thinks: verdicts are put beside the other scores once they are given.
pub struct LlmJudge;

impl Metric for LlmJudge {
    fn name(&self) -> &'static str {
        judge::METRIC
    }

    fn about(&self) -> &'static str {
        "a model's verdict by the criteria of the data, from --judge; answers without a readable verdict are left out"
    }

    fn is_binary(&self) -> bool {
        true
    }

    fn score(&self, _: &Pair<'_>) -> Option<f64> {
        None
    }
}
