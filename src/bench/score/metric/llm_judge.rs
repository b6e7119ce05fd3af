//! Verdict of an LLM judge.

use super::{Metric, Pair};

/// 1 for good, 0 for bad. It cannot be computed from the texts: verdicts are added to the scores when the judge has
/// replied.
pub struct LlmJudge;

impl Metric for LlmJudge {
    fn name(&self) -> &'static str {
        "llm_judge"
    }

    fn about(&self) -> &'static str {
        "the share of calls that a judge model finds good by the criteria of the data; answers without a readable \
         verdict are left out"
    }

    fn is_binary(&self) -> bool {
        true
    }

    fn needs_judge(&self) -> bool {
        true
    }

    fn score(&self, _: &Pair<'_>) -> Option<f64> {
        None
    }
}
