//! Match of the function's name.

use super::{Metric, Pair, one_if};

/// 1 if both calls have the same name; an upper bound on verdicts of a judge.
pub struct FunctionName;

impl Metric for FunctionName {
    fn name(&self) -> &'static str {
        "function_name"
    }

    fn about(&self) -> &'static str {
        "the share of calls of the right tool, whatever their arguments"
    }

    fn is_binary(&self) -> bool {
        true
    }

    fn score(&self, pair: &Pair<'_>) -> Option<f64> {
        one_if(pair.calls().is_some_and(|(gold, predicted)| gold.name == predicted.name))
    }
}
