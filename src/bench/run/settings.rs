//! Settings of a run.

use crate::{
    bench::row::{ChangedSettings, Mode},
    call::Think,
    hash::hex,
};
use sha2::{Digest, Sha256};

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
    /// Prompts and sampling.
    pub calls: CallSettings,
}

/// Prompts and sampling of a run. The default is the benchmark's: the model's own chat template, no reasoning, greedy.
#[derive(Clone, Debug, Default)]
pub struct CallSettings {
    /// A chat template, in Jinja, in place of the models' own.
    pub template: Option<String>,
    /// Reasoning before the call. It is not part of the answer, and counts as its tokens.
    pub think: Think,
    /// Divisor of the logits; 0 is greedy.
    pub temperature: f32,
    /// Random seed of the first case; each later case has the next number, so that a row does not depend on others.
    pub seed: u64,
}

impl CallSettings {
    /// These settings as part of a row's key; `None` for those of the benchmark.
    pub fn changed(&self) -> Option<ChangedSettings> {
        let is_greedy = self.temperature == 0.0;
        if self.template.is_none() && self.think == Think::Off && is_greedy {
            return None;
        }
        let thinking = match self.think {
            Think::Off => "off",
            Think::On => "on",
            Think::Auto => "auto",
        };
        Some(ChangedSettings {
            thinking: thinking.into(),
            temperature: self.temperature.to_string(),
            seed: if is_greedy { 0 } else { self.seed },
            template_sha256: self.template.as_ref().map(|template| hex(&Sha256::digest(template))),
        })
    }
}
