//! A run: local models answer the cases of a data set.
//!
//! All models answer one conversation, in each mode, before the next begins. Rows do not depend on time or on earlier
//! work: the same file, engine, kernels, KV type and threads give the same rows.

mod case_runner;
mod condition;
mod divergence;
pub mod endpoint;
mod loaded_model;
mod meter;
mod renderer;
pub mod room;
mod stopwatch;
mod variant_config;

use case_runner::read_as;
pub use divergence::DivergenceSum;
pub use loaded_model::{LoadedModel, check_distinct, reference};
pub use meter::Meter;
pub use stopwatch::{Stopwatch, host};
pub use variant_config::{RULES, VariantConfig};

use crate::bench::{
    Error,
    data::{Case, DataId, Dataset, Style, prediction},
    row::{
        Divergence, Mode, ReferenceTokens, Role, Row, RowFile, RowKey, SCHEMA_VERSION, Variant, other_rules,
    },
    score::{metric::Toolbox, score_row},
};
use crate::{bench::Result, runtime};
use case_runner::CaseRunner;
use std::{collections::BTreeMap, path::Path};

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
    /// True to measure probabilities too: on the ground-truth answers, or on the reference's answers in
    /// unlabelled data.
    pub divergence: bool,
}

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

/// Number of prompt tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PromptTokens {
    /// Tokens that were computed rather than reused.
    pub computed: usize,
    /// All tokens.
    pub in_all: usize,
}

/// Finished rows by variant, conversation and turn.
type Done<'d> = BTreeMap<(Variant, usize, usize), &'d Row>;

/// Divergences by case, one for each model.
type Divergences = BTreeMap<usize, Vec<Option<Divergence>>>;

/// Consumer of the rows, in order.
type Sink<'s> = dyn FnMut(Row) -> Result<()> + 's;

impl RunPlan<'_> {
    /// Number of rows that a complete run has.
    pub fn row_count(&self) -> usize {
        self.cases.len() * self.configs.len() * self.settings.modes.len()
    }

    /// Prepares all models to continue after `done`, the rows of the file at `path`.
    ///
    /// # Errors
    /// [`Error::OtherKey`] if the rows of `done` are from another run; a model that cannot be run.
    pub fn begin(&self, path: &Path, done: &RowFile) -> Result<Run<'_>> {
        let mut runners = Vec::with_capacity(self.configs.len());
        for config in &self.configs {
            runners.push(CaseRunner::new(*config, &runners, self.dataset, &self.settings)?);
        }
        let run = Run {
            plan: self,
            runners,
            data: self.dataset.identity(),
            toolbox: Toolbox::new(&self.dataset.job.tools),
            tokens: PromptTokens::default(),
        };
        run.check(path, done)?;
        Ok(run)
    }
}

/// A run in progress.
pub struct Run<'s> {
    plan: &'s RunPlan<'s>,
    runners: Vec<CaseRunner<'s>>,
    data: DataId,
    toolbox: Toolbox,
    tokens: PromptTokens,
}

impl Run<'_> {
    /// Makes the rows that are missing from `done` and passes each to `sink`, in order.
    ///
    /// # Errors
    /// A model that cannot be run, and any error of `sink`.
    pub fn rows(mut self, done: &RowFile, sink: &mut dyn FnMut(Row) -> Result<()>) -> Result<PromptTokens> {
        let done = done.done();
        let cases = &self.plan.dataset.cases;
        let same = |&a: &usize, &b: &usize| cases[a].conversation == cases[b].conversation;
        for conversation in self.plan.cases.chunk_by(same) {
            self.conversation(conversation, &done, sink)?;
        }
        Ok(self.tokens)
    }

    fn conversation(&mut self, cases: &[usize], done: &Done<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let plan = self.plan;
        let (modes, divergence) = (&plan.settings.modes, plan.settings.divergence);
        match self.reference() {
            Some(reference) if divergence && !plan.dataset.labelled => {
                self.on_reference(reference, cases, done, sink)
            }
            _ => {
                let divergences =
                    if divergence { self.divergences_on_gold(cases, done)? } else { Divergences::new() };
                for runner in 0..self.runners.len() {
                    for &mode in modes {
                        self.answers(runner, mode, cases, done, &divergences, sink)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Makes the rows of a conversation of unlabelled data. The reference answers first; the divergence of the others
    /// is measured on its answers.
    fn on_reference(
        &mut self,
        reference: usize,
        cases: &[usize],
        done: &Done<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let plan = self.plan;
        let mut written: BTreeMap<(Mode, usize), Row> = BTreeMap::new();
        let alone: Vec<bool> = (0..self.runners.len()).map(|runner| runner == reference).collect();
        for &mode in &plan.settings.modes {
            self.runners[reference].begin_conversation();
            for &case in cases {
                let row = match done.get(&self.identity(reference, mode, case)) {
                    Some(row) => (*row).clone(),
                    None => {
                        let mut row = self.row(reference, mode, case, None)?;
                        row.divergence = self.divergence(case, &alone, Some(&row))?.swap_remove(reference);
                        sink(row.clone())?;
                        row
                    }
                };
                written.insert((mode, case), row);
            }
        }
        let others = || (0..alone.len()).filter(|&runner| runner != reference);
        let mut divergences = Vec::with_capacity(plan.settings.modes.len());
        for &mode in &plan.settings.modes {
            self.runners.iter_mut().for_each(CaseRunner::begin_conversation);
            let mut of_mode = Divergences::new();
            for &case in cases {
                let mut wanted: Vec<bool> =
                    (0..alone.len()).map(|runner| self.is_missing(runner, mode, case, done)).collect();
                wanted[reference] = false;
                of_mode.insert(case, self.divergence(case, &wanted, Some(&written[&(mode, case)]))?);
            }
            divergences.push(of_mode);
        }
        for runner in others() {
            for (&mode, divergences) in plan.settings.modes.iter().zip(&divergences) {
                self.answers(runner, mode, cases, done, divergences, sink)?;
            }
        }
        Ok(())
    }

    /// Measures divergence on the ground-truth answers of a conversation, for every model with a missing row.
    fn divergences_on_gold(&mut self, cases: &[usize], done: &Done<'_>) -> Result<Divergences> {
        let plan = self.plan;
        self.runners.iter_mut().for_each(CaseRunner::begin_conversation);
        let mut divergences = Divergences::new();
        for &case in cases {
            let any_mode =
                |runner| plan.settings.modes.iter().any(|&mode| self.is_missing(runner, mode, case, done));
            let wanted: Vec<bool> = (0..self.runners.len()).map(any_mode).collect();
            divergences.insert(case, self.divergence(case, &wanted, None)?);
        }
        Ok(divergences)
    }

    /// Makes the missing rows of one model in one mode.
    fn answers(
        &mut self,
        runner: usize,
        mode: Mode,
        cases: &[usize],
        done: &Done<'_>,
        divergences: &Divergences,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        self.runners[runner].begin_conversation();
        for &case in cases {
            if self.is_missing(runner, mode, case, done) {
                let divergence = divergences.get(&case).and_then(|divergences| divergences[runner].clone());
                let row = self.row(runner, mode, case, divergence)?;
                sink(row)?;
            }
        }
        Ok(())
    }

    /// Index of the reference, if it is a local model.
    fn reference(&self) -> Option<usize> {
        self.runners.iter().position(|runner| runner.config.role == Role::Reference)
    }

    fn is_missing(&self, runner: usize, mode: Mode, case: usize, done: &Done<'_>) -> bool {
        !done.contains_key(&self.identity(runner, mode, case))
    }

    /// Key of a row: variant, conversation and turn.
    fn identity(&self, runner: usize, mode: Mode, case: usize) -> (Variant, usize, usize) {
        let Case { conversation, turn, .. } = self.plan.dataset.cases[case];
        (self.variant(runner, mode), conversation, turn)
    }

    fn row(&mut self, index: usize, mode: Mode, case: usize, divergence: Option<Divergence>) -> Result<Row> {
        let key = RowKey {
            variant: self.variant(index, mode),
            prompt_sha256: self.runners[index].prompts[case].sha256.clone(),
            kernels: runtime::kernels::name().to_owned(),
        };
        let runner = &mut self.runners[index];
        let dataset = self.plan.dataset;
        let answered = runner.answer(case, mode, &dataset.job.tools)?;
        let read = runner.read_as(&answered.text).into_owned();
        self.tokens.computed += answered.cost.computed_tokens;
        self.tokens.in_all += answered.cost.prompt_tokens;
        let case = &dataset.cases[case];
        let settings = &self.plan.settings;
        let mut row = Row {
            schema_version: SCHEMA_VERSION,
            key,
            data: self.data.clone(),
            model: runner.loaded.name.clone(),
            checkpoint: runner.loaded.checkpoint(),
            file_bytes: runner.loaded.file_bytes,
            bits_per_weight: runner.loaded.bits_per_weight,
            role: runner.config.role,
            primary: settings.primary.clone(),
            margin: settings.margin,
            conversation: case.conversation,
            turn: case.turn,
            prompt_tail: tail(case),
            gold: case.answer(Style::Student).unwrap_or_default(),
            prediction: prediction(&read, Style::Student),
            raw_output: answered.text,
            tokens: answered.tokens,
            finish: answered.finish.to_owned(),
            scores: BTreeMap::new(),
            call_error: None,
            judge: None,
            divergence,
            cost: Some(answered.cost),
        };
        score_row(&mut row, &read, &self.toolbox);
        Ok(row)
    }

    /// Evaluates the same answer with the `wanted` models and the reference, token by token, and returns the divergence
    /// of each wanted one. The answer is that of `written`, or else the ground truth.
    fn divergence(
        &mut self,
        case: usize,
        wanted: &[bool],
        written: Option<&Row>,
    ) -> Result<Vec<Option<Divergence>>> {
        let mut divergences = vec![None; self.runners.len()];
        if !wanted.contains(&true) {
            return Ok(divergences);
        }
        let reference = self.reference();
        let mut texts = Vec::new();
        for (index, runner) in self.runners.iter_mut().enumerate() {
            let text = match written {
                _ if !wanted[index] && reference != Some(index) => None,
                Some(row) => runner.as_written(case, row)?,
                None => runner.gold(case, self.plan.dataset)?,
            };
            if text.is_some() {
                runner.evaluate(case)?;
            }
            texts.push(text);
        }
        let mut sums = vec![DivergenceSum::default(); self.runners.len()];
        let most = texts.iter().flatten().map(Vec::len).max().unwrap_or(0);
        for at in 0..most {
            let with_token = |index: &usize| texts[*index].as_ref().and_then(|text| text.get(at)).copied();
            let in_step = reference.filter(|reference| with_token(reference).is_some());
            let reference_logits = in_step.map(|reference| self.runners[reference].logits().to_vec());
            for index in 0..self.runners.len() {
                let Some(token) = with_token(&index) else { continue };
                // Equal token sequences imply that both vocabularies agree on this answer.
                let comparable =
                    in_step.is_some_and(|reference| index != reference && texts[index] == texts[reference]);
                let against = reference_logits.as_deref().filter(|_| comparable);
                let runner = &mut self.runners[index];
                sums[index].add(runner.logits(), against, token);
                // The logits after the last token are not needed.
                if texts[index].as_ref().is_some_and(|text| at + 1 < text.len()) {
                    runner.step(token)?;
                }
            }
        }
        let reference_tokens =
            if written.is_some() { ReferenceTokens::Reference } else { ReferenceTokens::Gold };
        for (index, sum) in sums.into_iter().enumerate() {
            divergences[index] =
                (wanted[index] && texts[index].is_some()).then(|| sum.finish(reference_tokens));
        }
        Ok(divergences)
    }

    fn variant(&self, index: usize, mode: Mode) -> Variant {
        let runner = &self.runners[index];
        runner.config.variant(mode, self.plan.settings.max_tokens, runner.threads)
    }

    /// Returns an error if `done` has rows of another run.
    fn check(&self, path: &Path, done: &RowFile) -> Result<(), Error> {
        let settings = &self.plan.settings;
        for (row, &line) in done.rows.iter().zip(&done.lines) {
            let index =
                self.runners.iter().position(|runner| runner.loaded.sha256 == row.key.variant.file_sha256);
            let mode = row.key.variant.mode;
            let config =
                (0..self.runners.len()).find(|&config| self.variant(config, mode) == row.key.variant);
            let prompt = || {
                let case = self
                    .plan
                    .dataset
                    .cases
                    .iter()
                    .position(|case| (case.conversation, case.turn) == row.case());
                Some(&self.runners[index?].prompts[case?].sha256)
            };
            let problem = if row.data != self.data {
                "the data are others".to_owned()
            } else if row.key.variant.endpoint.is_none() && row.key.variant.rules != RULES {
                other_rules(RULES, row.key.variant.rules) + "; begin another file"
            } else if row.primary != settings.primary {
                format!("the primary metric is {}, not {}", row.primary, settings.primary)
            } else if row.margin != settings.margin {
                format!("the margin is {} points, not {}", row.margin * 100.0, settings.margin * 100.0)
            } else if config.is_some_and(|config| self.runners[config].config.role != row.role) {
                "the reference is another model, or other conditions are compared".to_owned()
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

/// Last message of the prompt.
fn tail(case: &Case) -> String {
    case.messages().last().and_then(|message| message.content()).unwrap_or_default().to_owned()
}
