//! The plan of a run with local models.

use super::{RULES, Settings, VariantConfig, case_runner::CaseRunner};
use crate::bench::{
    Error,
    data::Dataset,
    row::{RowFile, other_rules},
};
use std::path::Path;

/// Plan of a run: the cases, and the models that answer them.
pub struct RunPlan<'s> {
    /// The data.
    pub dataset: &'s Dataset,
    /// Cases to run, as indices into [`Dataset::cases`], conversation by conversation.
    pub cases: Vec<usize>,
    /// Models with their runtime options.
    pub configs: Vec<VariantConfig<'s>>,
    /// Settings that all rows share.
    pub settings: Settings,
}

impl RunPlan<'_> {
    /// Number of rows that a complete run has.
    pub fn row_count(&self) -> usize {
        self.cases.len() * self.configs.len() * self.settings.modes.len()
    }

    /// Returns an error if `done` has rows of another run.
    pub(super) fn check(&self, runners: &[CaseRunner<'_>], path: &Path, done: &RowFile) -> Result<(), Error> {
        let (settings, data) = (&self.settings, self.dataset.identity());
        for (row, &line) in done.rows.iter().zip(&done.lines) {
            let index = runners.iter().position(|runner| runner.loaded.sha256 == row.key.variant.file_sha256);
            let mode = row.key.variant.mode;
            let config = (0..runners.len()).find(|&config| runners[config].variant(mode) == row.key.variant);
            let prompt = || {
                let case =
                    self.dataset.cases.iter().position(|case| (case.conversation, case.turn) == row.case());
                Some(&runners[index?].prompts[case?].sha256)
            };
            let problem = if row.data != data {
                "the data are others".to_owned()
            } else if row.key.variant.endpoint.is_none() && row.key.variant.rules != RULES {
                other_rules(RULES, row.key.variant.rules) + "; begin another file"
            } else if row.primary != settings.primary {
                format!("the primary metric is {}, not {}", row.primary, settings.primary)
            } else if row.margin != settings.margin {
                format!("the margin is {} points, not {}", row.margin * 100.0, settings.margin * 100.0)
            } else if config.is_some_and(|config| runners[config].config.role != row.role) {
                "the reference is another model, or other conditions are compared".to_owned()
            } else if row.key.variant.endpoint.is_none()
                && row.key.variant.changed != self.settings.calls.changed()
            {
                format!("the settings of its calls are others: {}", row.key.variant.settings_words())
            } else if index.is_none() && runners.iter().any(|runner| runner.loaded.name == row.model) {
                format!(
                    "it is of another file called {}, of SHA-256 {:.8}; begin another file of rows",
                    row.model, row.key.variant.file_sha256
                )
            } else if prompt().is_some_and(|sha256| *sha256 != row.key.prompt_sha256) {
                "the prompt is written otherwise".to_owned()
            } else {
                continue;
            };
            let (path, other) = (path.to_path_buf(), "this run".into());
            return Err(Error::OtherKey { path, line, other, problem });
        }
        Ok(())
    }
}
