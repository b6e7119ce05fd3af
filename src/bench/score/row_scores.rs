//! Scores of a row.

use super::metric::{METRICS, Pair, Source, Toolbox};
use crate::bench::row::Row;

/// Scores `row` by every metric that applies to its data; `read` is its raw output in a format that the metrics parse.
pub fn score_row(row: &mut Row, read: &str, tools: &Toolbox) {
    let pair = Pair::new(&row.gold, &row.prediction, Some(read), Some(tools));
    let (call_error, is_labelled) = (pair.raw.err(), row.is_labelled());
    let scores = METRICS
        .iter()
        .filter(|metric| metric.applies_to(Source::Dataset(&row.data)))
        .filter(|metric| is_labelled || !metric.needs_label())
        .filter_map(|metric| Some((metric.name().to_owned(), metric.score(&pair)?)))
        .collect();
    row.call_error = call_error;
    row.scores = scores;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bench::{data::CallError, row::tests::row},
        tools::ToolSet,
    };

    #[test]
    fn scores_can_be_made_again_from_what_a_row_keeps() {
        let tools =
            serde_json::json!([{"name": "f", "parameters": {"properties": {"a": {"type": "string"}}}}]);
        let tools = Toolbox::new(&ToolSet::from_value(tools).unwrap());
        let score = |row: &mut Row| {
            let read = row.raw_output.clone();
            score_row(row, &read, &tools);
        };
        let mut row = row("q4", 0, 0, false);
        score(&mut row);
        assert_eq!((row.scores["staged_tool_call"], row.scores["schema_validity"]), (0.75, 1.0));
        assert!(!row.scores.contains_key("judge_proxy"));
        (row.raw_output, row.prediction) = ("Hello".into(), String::new());
        // The published test set, for which the proxy was fitted.
        row.data.test_md5 = "1c1b7ce2bf4ef1c262d06dd5fad2c59c".into();
        score(&mut row);
        assert_eq!(row.call_error, Some(CallError::NoJson));
        assert_eq!((row.scores["judge_proxy"], row.function()), (0.0, Some("f".into())));
    }
}
