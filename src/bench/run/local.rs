//! A run with local models.
//!
//! All models answer one conversation, in each mode, before the next begins. Rows do not depend on time or on earlier
//! work: the same file, engine, kernels, KV type and threads give the same rows.

use super::{
    case_runner::CaseRunner,
    divergence::{Text, divergences},
    plan::RunPlan,
    row_builder::{Answer, RowBuilder},
};
use crate::bench::{
    Result,
    data::Case,
    row::{Divergence, Mode, Role, Row, RowFile, Variant},
};
use std::{collections::BTreeMap, path::Path};

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

/// A run in progress.
pub struct Run<'s> {
    plan: &'s RunPlan<'s>,
    runners: Vec<CaseRunner<'s>>,
    builder: RowBuilder<'s>,
    tokens: PromptTokens,
}

/// A conversation of a run: its cases, with the finished rows and the consumer of new ones.
struct Conversation<'c, 's> {
    cases: &'c [usize],
    done: &'c Done<'c>,
    sink: &'c mut Sink<'s>,
}

impl RunPlan<'_> {
    /// Prepares all models to continue after `done`, the rows of the file at `path`.
    ///
    /// # Errors
    /// [`Error::OtherKey`](crate::bench::Error::OtherKey) if the rows of `done` are from another run; a model that cannot be run.
    pub fn begin(&self, path: &Path, done: &RowFile) -> Result<Run<'_>> {
        let mut runners = Vec::with_capacity(self.configs.len());
        for config in &self.configs {
            runners.push(CaseRunner::new(*config, &runners, self.dataset, &self.settings)?);
        }
        self.check(&runners, path, done)?;
        Ok(Run::new(self, runners))
    }
}

impl<'s> Run<'s> {
    /// A run of `plan` with one runner for each of its models.
    fn new(plan: &'s RunPlan<'s>, runners: Vec<CaseRunner<'s>>) -> Run<'s> {
        let builder = RowBuilder::new(plan.dataset, &plan.settings);
        Run { plan, runners, builder, tokens: PromptTokens::default() }
    }

    /// Makes the rows that are missing from `done` and passes each to `sink`, in order.
    ///
    /// # Errors
    /// A model that cannot be run, and any error of `sink`.
    pub fn rows(mut self, done: &RowFile, sink: &mut dyn FnMut(Row) -> Result<()>) -> Result<PromptTokens> {
        let done = done.done();
        let cases = &self.plan.dataset.cases;
        let same = |&a: &usize, &b: &usize| cases[a].conversation == cases[b].conversation;
        for cases in self.plan.cases.chunk_by(same) {
            self.conversation(Conversation { cases, done: &done, sink })?;
        }
        Ok(self.tokens)
    }

    fn conversation(&mut self, mut conversation: Conversation<'_, '_>) -> Result<()> {
        let plan = self.plan;
        let with_divergence = plan.settings.divergence;
        match self.reference() {
            Some(reference) if with_divergence && !plan.dataset.labelled => {
                self.on_reference(reference, conversation)
            }
            _ => {
                let divergences = match with_divergence {
                    true => self.divergences_on_gold(&conversation)?,
                    false => Divergences::new(),
                };
                for runner in 0..self.runners.len() {
                    for &mode in &plan.settings.modes {
                        self.answers(runner, mode, &divergences, &mut conversation)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Makes the rows of a conversation of unlabelled data. The reference answers first; the divergence of the others
    /// is measured on its answers.
    fn on_reference(&mut self, reference: usize, mut conversation: Conversation<'_, '_>) -> Result<()> {
        let plan = self.plan;
        let Conversation { cases, done, .. } = conversation;
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
                        (conversation.sink)(row.clone())?;
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
                self.answers(runner, mode, divergences, &mut conversation)?;
            }
        }
        Ok(())
    }

    /// Measures divergence on the ground-truth answers of a conversation, for every model with a missing row.
    fn divergences_on_gold(&mut self, conversation: &Conversation<'_, '_>) -> Result<Divergences> {
        let (plan, done) = (self.plan, conversation.done);
        self.runners.iter_mut().for_each(CaseRunner::begin_conversation);
        let mut divergences = Divergences::new();
        for &case in conversation.cases {
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
        divergences: &Divergences,
        conversation: &mut Conversation<'_, '_>,
    ) -> Result<()> {
        self.runners[runner].begin_conversation();
        for &case in conversation.cases {
            if self.is_missing(runner, mode, case, conversation.done) {
                let divergence = divergences.get(&case).and_then(|divergences| divergences[runner].clone());
                let row = self.row(runner, mode, case, divergence)?;
                (conversation.sink)(row)?;
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
        (self.runners[runner].variant(mode), conversation, turn)
    }

    fn row(&mut self, runner: usize, mode: Mode, case: usize, divergence: Option<Divergence>) -> Result<Row> {
        let (runner, dataset) = (&mut self.runners[runner], self.plan.dataset);
        let answer = Answer { divergence, ..runner.answer(case, mode, dataset.cases[case].tools())? };
        self.tokens.computed += answer.cost.computed_tokens;
        self.tokens.in_all += answer.cost.prompt_tokens;
        Ok(self.builder.row(&dataset.cases[case], runner.facts(), answer))
    }

    /// Divergence of the `wanted` models on one answer: that of `written`, or else the ground truth.
    fn divergence(
        &mut self,
        case: usize,
        wanted: &[bool],
        written: Option<&Row>,
    ) -> Result<Vec<Option<Divergence>>> {
        let reference = self.reference();
        let text = written.map_or(Text::Gold(self.plan.dataset), Text::Written);
        divergences(&mut self.runners, reference, case, wanted, text)
    }
}
