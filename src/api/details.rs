//! Details of an answer that a request asks for: where its tokens came from, how its schemas are held, what took how long.

use crate::{
    call::{AnswerToken, Timings, sources},
    tools::explain::Explanation,
};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The details, as members of the answer's field `edgecall`; times are in milliseconds.
pub fn details(
    tokens: &[AnswerToken],
    explanation: Option<&Explanation>,
    timings: &Timings,
) -> Map<String, Value> {
    let ms = |time: Duration| json!((time.as_secs_f64() * 1e6).round() / 1e3);
    let steps = timings.steps;
    let times = json!({
        "prompt_ms": ms(timings.prompt), "context_ms": ms(timings.context), "restore_ms": ms(timings.restore),
        "prefill_ms": ms(timings.prefill), "grammar_ms": ms(timings.grammar), "decode_ms": ms(timings.decode),
        "prompt_tokens": timings.prompt_tokens, "kept_tokens": timings.kept_tokens,
        "restored_tokens": timings.restored_tokens, "generated_tokens": timings.generated_tokens,
        "forced_tokens": steps.forced, "drafted_tokens": steps.drafted, "accepted_tokens": steps.accepted,
        "decodes": steps.decodes,
    });
    let mut details = Map::new();
    details.insert("tokens".to_owned(), sources(tokens));
    details.insert(
        "tools".to_owned(),
        explanation.and_then(|explanation| serde_json::to_value(&explanation.tools).ok()).unwrap_or_default(),
    );
    details.insert("timings".to_owned(), times);
    details
}
