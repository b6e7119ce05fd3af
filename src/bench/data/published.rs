//! Published scores of known checkpoints.

use super::identity::DataId;
use serde::Serialize;

/// SHA-256 of task and tools with which the published scores were measured.
const JOB_SHA256: &str = "2e80de566ec4099d959e4879d896192f111cca18eab1781a2f44a666e16c0036";

/// Checkpoints `distillabs/tft-benchmark-...-Qwen3-1.7B` by the scenario in their name, with the mean staged tool-call
/// score from the model card. It covers all 359 calls; decoding was unconstrained as far as known.
const SCENARIOS: [(&str, f64); 5] =
    [("s1-tft", 0.765), ("s2-tft", 0.758), ("s3-tft", 0.748), ("s4-tft", 0.74), ("s4-direct", 0.66)];

/// A published score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Published {
    /// The checkpoint.
    pub checkpoint: String,
    /// The metric.
    pub metric: &'static str,
    /// Its mean.
    pub mean: f64,
    /// True if task and tools are those of the published measurement.
    pub same_job: bool,
}

/// Finds the checkpoint in a model's name in any spelling: `distillabs/tft-benchmark-s4-direct-Qwen3-1.7B`, or a
/// converter's form of it, `Tft Benchmark S4 Direct Qwen3 1.7B`.
pub fn checkpoint(name: &str) -> Option<String> {
    let letters = |text: &str| -> String {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
    };
    let name = format!("-{}-", letters(name));
    let (scenario, _) =
        SCENARIOS.iter().find(|(scenario, _)| name.contains(&format!("-tft-benchmark-{scenario}-")))?;
    Some(format!("distillabs/tft-benchmark-{scenario}-Qwen3-1.7B"))
}

/// Published score of a checkpoint; `None` if the checkpoint is unknown or the test set is not the published one.
pub fn published_score(checkpoint: Option<&str>, data: &DataId) -> Option<Published> {
    let checkpoint = checkpoint.filter(|_| data.is_public())?;
    let mean = staged(checkpoint)?;
    let same_job = data.job_sha256 == JOB_SHA256;
    Some(Published { checkpoint: checkpoint.to_owned(), metric: "staged_tool_call", mean, same_job })
}

/// Mean staged tool-call score on the model card of a checkpoint that [`checkpoint`] returned.
pub fn staged(checkpoint: &str) -> Option<f64> {
    let known = SCENARIOS.iter().find(|(scenario, _)| checkpoint.contains(&format!("-{scenario}-")));
    known.map(|(_, mean)| *mean)
}

/// Note on the published scores of a report; `None` if it has none.
pub fn note<'p>(all: impl Iterator<Item = &'p Published>) -> Option<String> {
    let all: Vec<&Published> = all.collect();
    let first = all.first()?;
    let other_job = match all.iter().all(|published| published.same_job) {
        true => "",
        false => " Task or tools of this run are not those that it was trained and measured with.",
    };
    Some(format!(
        "Published scores are those of the model cards ({} and its kin): BF16, all 359 calls, unconstrained as far as is \
         known. How they were decoded is not public, and no row of theirs is, so nothing is paired with them.{other_job}",
        first.checkpoint
    ))
}

#[cfg(test)]
mod tests {
    use super::checkpoint;

    #[test]
    fn a_checkpoint_is_known_by_its_name_in_every_spelling() {
        for name in [
            "distillabs/tft-benchmark-s4-direct-Qwen3-1.7B",
            "Tft Benchmark S4 Direct Qwen3 1.7B",
            "tft-benchmark-s4-direct-Qwen3-1.7B-Q4_K_M",
            "/models/tft_benchmark_s4_direct_qwen3",
        ] {
            assert_eq!(
                checkpoint(name).as_deref(),
                Some("distillabs/tft-benchmark-s4-direct-Qwen3-1.7B"),
                "{name}"
            );
        }
        assert_eq!(
            checkpoint("tft-benchmark-s1-tft").as_deref(),
            Some("distillabs/tft-benchmark-s1-tft-Qwen3-1.7B")
        );
        for name in [
            "Qwen3 1.7B",
            "pocket",
            "tft-benchmark-s1-direct-Qwen3-1.7B",
            "my-s4-direct-model",
            "tft-benchmark-s4-directive",
        ] {
            assert_eq!(checkpoint(name), None, "{name}");
        }
    }
}
