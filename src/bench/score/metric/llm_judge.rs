//! Verdict of an LLM judge.

use super::{Metric, Pair};
use crate::bench::score::judge;

/// 1 for good, 0 for bad. It cannot be computed from the texts: verdicts are added to the scores when the judge has
/// replied.
pub struct LlmJudge;

impl Metric for LlmJudge {
    fn name(&self) -> &'static str {
        judge::METRIC
    }

    fn about(&self) -> &'static str {
        "the verdict of a judge model by the criteria of the data; answers without a readable verdict are left out"
    }

    fn is_binary(&self) -> bool {
        true
    }

    fn score(&self, _: &Pair<'_>) -> Option<f64> {
        None
    }
}
