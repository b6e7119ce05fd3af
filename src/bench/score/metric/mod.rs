//! Scores of one answer against one reference.
//!
//! The first four are the published metrics and match to all ten decimals. To add one: a file here, and a line in
//! [`METRICS`].

mod argument_slots;
mod binary;
mod equivalence;
mod function_name;
mod json_validity;
mod judge_proxy;
mod llm_judge;
mod rouge;
mod schema_validity;
mod staged;
mod toolbox;

pub use function_name::FunctionName;
pub use judge_proxy::TOOLS as JUDGE_PROXY_TOOLS;
pub use llm_judge::LlmJudge;
pub use staged::StagedToolCall;
pub use toolbox::{Toolbox, Toolboxes};

use crate::bench::data::{Call, CallError, DataId};

/// A reference and an answer, parsed once for all metrics.
pub struct Pair<'a> {
    /// The reference as text.
    pub answer: &'a str,
    /// The answer as text: the call in canonical form, or empty.
    pub prediction: &'a str,
    /// The reference as a call.
    pub gold: Result<Call, CallError>,
    /// The answer as a call.
    pub predicted: Result<Call, CallError>,
    /// Parse result of the model's raw output, or of `prediction` where that is not kept.
    pub raw: Result<(), CallError>,
    /// The tools, where known.
    pub tools: Option<&'a Toolbox>,
}

impl<'a> Pair<'a> {
    /// Parses both sides; `raw` is the model's raw output, if it was kept.
    pub fn new(
        answer: &'a str,
        prediction: &'a str,
        raw: Option<&str>,
        tools: Option<&'a Toolbox>,
    ) -> Pair<'a> {
        let predicted = Call::parse(prediction);
        let raw = match raw {
            Some(raw) => Call::parse(raw).map(|_| ()),
            None => predicted.as_ref().map(|_| ()).map_err(|error| *error),
        };
        Pair { answer, prediction, gold: Call::parse(answer), predicted, raw, tools }
    }

    /// Both calls, if both sides are one.
    fn calls(&self) -> Option<(&Call, &Call)> {
        Some((self.gold.as_ref().ok()?, self.predicted.as_ref().ok()?))
    }
}

/// Data that rows come from, as far as they are known.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A data set.
    Dataset(&'a DataId),
    /// A file of predictions, known by the functions that its references call.
    Predictions(&'a [&'a str]),
}

/// A score of one row.
pub trait Metric: Sync {
    /// Name in files and on the command line; a published metric has the name of its column.
    fn name(&self) -> &'static str;

    /// Definition in one sentence without its subject, as it stands below tables.
    fn about(&self) -> &'static str;

    /// True if every score is 0 or 1.
    fn is_binary(&self) -> bool;

    /// True if the metric compares with the ground truth.
    fn needs_label(&self) -> bool {
        true
    }

    /// True if scores come from an LLM judge. [`Metric::score`] then gives none.
    fn needs_judge(&self) -> bool {
        false
    }

    /// True if the metric means anything on data from `source`.
    fn applies_to(&self, _source: Source<'_>) -> bool {
        true
    }

    /// Caveat to print with every figure of the metric.
    fn caveat(&self) -> Option<&'static str> {
        None
    }

    /// Score from 0 to 1; `None` if the metric does not apply to the row.
    fn score(&self, pair: &Pair<'_>) -> Option<f64>;
}

/// Every metric, the published ones first.
pub static METRICS: &[&dyn Metric] = &[
    &staged::StagedToolCall,
    &binary::BinaryToolCall,
    &equivalence::ToolCallEquivalence,
    &rouge::Rouge,
    &function_name::FunctionName,
    &argument_slots::ArgumentSlots,
    &json_validity::JsonValidity,
    &schema_validity::SchemaValidity,
    &judge_proxy::JudgeProxy,
    &llm_judge::LlmJudge,
];

/// The primary metric of a run that names none.
pub static DEFAULT_PRIMARY: &dyn Metric = &StagedToolCall;

/// Finds a metric by name.
pub fn named(name: &str) -> Option<&'static dyn Metric> {
    METRICS.iter().copied().find(|metric| metric.name() == name)
}

/// True if two scores are equal to the ten decimals of the published files.
pub fn agree(ours: f64, published: f64) -> bool {
    let rounded = |score: f64| (score * 1e10).round();
    rounded(ours) == rounded(published) || (ours - published).abs() <= 5e-11
}

/// 1 for true, 0 for false.
fn one_if(yes: bool) -> Option<f64> {
    Some(if yes { 1.0 } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Score of `prediction` against `answer` by the metric called `metric`.
    pub(super) fn score(metric: &str, answer: &str, prediction: &str) -> f64 {
        named(metric).unwrap().score(&Pair::new(answer, prediction, None, None)).unwrap()
    }

    #[test]
    fn metrics_are_found_by_their_names_and_no_name_stands_twice() {
        for (i, metric) in METRICS.iter().enumerate() {
            assert_eq!(METRICS.iter().position(|other| other.name() == metric.name()), Some(i));
            assert_eq!(named(metric.name()).unwrap().about(), metric.about());
        }
    }

    #[test]
    fn scores_agree_to_ten_decimals_and_not_to_nine() {
        assert!(agree(28.0 / 33.0, 0.8484848485));
        assert!(!agree(28.0 / 33.0, 0.8484848486));
        assert!(!agree(28.0 / 33.0, 0.848484848));
        assert!(!agree(0.5, f64::NAN));
    }

    #[test]
    fn an_answer_without_a_call_scores_nothing_whatever_the_reference() {
        let call = r#"{"name": "f", "arguments": {}}"#;
        for name in ["staged_tool_call", "binary_tool_call", "tool_call_equivalence", "function_name"] {
            for (answer, prediction) in [(call, ""), ("", call), ("", ""), (call, "[1]")] {
                assert_eq!(score(name, answer, prediction), 0.0, "{name}");
            }
        }
    }
}
