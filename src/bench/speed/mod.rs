//! Speed of calls: decodes and seconds.

mod calls;
mod ceiling;
mod example;
mod measure;
mod replay;
mod start;
mod table;
mod work;

pub use calls::{CallOutput, CallSettings, Calls, calls};
pub use ceiling::Ceiling;
pub use example::Example;
pub use measure::{Measured, Rate, Scope, measure};
pub use replay::{Replay, SLOPES, replay};
pub use start::{Start, start};
pub(crate) use work::{ordinary_tokens, weights_of_a_token};

use crate::{
    bench::{Result, data::Dataset, score::stats::quantile},
    call::{self, PromptTemplate, Request, Think},
    dialect::{Dialect, Wanted},
    runtime::Vocabulary,
};
use std::sync::Arc;

/// A tokenized prompt.
struct Prompt {
    tokens: Vec<i32>,
    /// SHA-256 of its text, in hex.
    sha256: String,
}

/// Prompts of all cases, with the model's call format.
fn prompts(dataset: &Dataset, vocabulary: &Vocabulary) -> Result<(Arc<Dialect>, Vec<Prompt>)> {
    let format = PromptTemplate::default();
    let mut tool_format = None;
    let mut prompts = Vec::new();
    for case in &dataset.cases {
        let conversation = dataset.conversation(case);
        let request = Request::new(&conversation, Some(case.tools()));
        if tool_format.is_none() {
            tool_format = format.tool_format(vocabulary, &request, &Wanted::Auto)?;
        }
        let text = format.render(vocabulary, &request, tool_format.as_ref(), Think::Off)?;
        let tokens = text.tokenize(vocabulary)?;
        prompts.push(Prompt { tokens, sha256: text.fingerprint() });
    }
    match tool_format {
        Some(tool_format) => Ok((tool_format.dialect, prompts)),
        None => Err(call::Error::NoTemplate.into()),
    }
}

/// Median; the mean of the two middle values for an even number; `None` for an empty slice.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle_by_size_whenever_it_was_measured() {
        assert_eq!(median(&[3.0, 9.0, 1.0]), Some(3.0));
        assert_eq!(median(&[8.0, 1.0, 2.0, 4.0]), Some(3.0));
        assert_eq!(median(&[]), None);
    }
}
