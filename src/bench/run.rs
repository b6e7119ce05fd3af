//! A run: local models answer the cases of a data set.
//!
//! All models answer one conversation, in each mode, before the next begins. Rows do not depend on time or on earlier
//! work: the same file, engine, kernels, KV type and threads give the same rows.

mod contender;
mod cost;
mod drift;
mod lane;
mod meter;
mod renderer;
pub mod room;
mod walker;

pub use contender::{Contender, check_distinct, reference};
pub use cost::{Watch, host};
pub use drift::Along;
pub use lane::{Condition, Lane, RULES};
pub use meter::Meter;
pub(super) use walker::read_as;

use super::{
    Case, Dataset, Error, Mode, Row, RowKey,
    answer::{Style, prediction},
    metric::Toolbox,
    row::{Arm, Data, Drift, Role, RowFile, SCHEMA_VERSION, Trail, other_rules},
};
use crate::{bench::Result, runtime};
use std::{collections::BTreeMap, path::Path};
use walker::Walker;

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
    /// True to measure probabilities too: along the ground-truth answers, or along the reference's answers in
    /// unlabelled data.
    pub drift: bool,
}

/// Plan of a run: the cases, and the models that answer them.
pub struct Sweep<'s> {
    /// The data.
    pub dataset: &'s Dataset,
    /// Cases to run, as indices into [`Dataset::cases`], conversation by conversation.
    pub cases: Vec<usize>,
    /// Models with their runtime options.
    pub lanes: Vec<Lane<'s>>,
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
type Done<'d> = BTreeMap<(Arm, usize, usize), &'d Row>;

/// Divergences by case, one for each model.
type Drifts = BTreeMap<usize, Vec<Option<Drift>>>;

/// Consumer of the rows, in order.
type Sink<'s> = dyn FnMut(Row) -> Result<()> + 's;

impl Sweep<'_> {
    /// Number of rows that a complete run has.
    pub fn row_count(&self) -> usize {
        self.cases.len() * self.lanes.len() * self.settings.modes.len()
    }

    /// Prepares all models to continue after `done`, the rows of the file at `path`.
    ///
    /// # Errors
    /// [`Error::OtherKey`] if the rows of `done` are from another run; a model that cannot be run.
    pub fn begin(&self, path: &Path, done: &RowFile) -> Result<Run<'_>> {
        let mut walkers = Vec::with_capacity(self.lanes.len());
        for lane in &self.lanes {
            walkers.push(Walker::new(*lane, &walkers, self.dataset, &self.settings)?);
        }
        let run = Run {
            sweep: self,
            walkers,
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
    sweep: &'s Sweep<'s>,
    walkers: Vec<Walker<'s>>,
    data: Data,
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
        let cases = &self.sweep.dataset.cases;
        let same = |&a: &usize, &b: &usize| cases[a].conversation == cases[b].conversation;
        for conversation in self.sweep.cases.chunk_by(same) {
            self.conversation(conversation, &done, sink)?;
        }
        Ok(self.tokens)
    }

    fn conversation(&mut self, cases: &[usize], done: &Done<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let sweep = self.sweep;
        let (modes, drift) = (&sweep.settings.modes, sweep.settings.drift);
        match self.reference() {
            Some(reference) if drift && !sweep.dataset.labelled => {
                self.along_reference(reference, cases, done, sink)
            }
            _ => {
                let drifts = if drift { self.along_gold(cases, done)? } else { Drifts::new() };
                for walker in 0..self.walkers.len() {
                    for &mode in modes {
                        self.answers(walker, mode, cases, done, &drifts, sink)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Makes the rows of a conversation of unlabelled data. The reference answers first; the divergence of the others
    /// is measured along its answers.
    fn along_reference(
        &mut self,
        reference: usize,
        cases: &[usize],
        done: &Done<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let sweep = self.sweep;
        let mut written: BTreeMap<(Mode, usize), Row> = BTreeMap::new();
        let alone: Vec<bool> = (0..self.walkers.len()).map(|walker| walker == reference).collect();
        for &mode in &sweep.settings.modes {
            self.walkers[reference].begin_conversation();
            for &case in cases {
                let row = match done.get(&self.identity(reference, mode, case)) {
                    Some(row) => (*row).clone(),
                    None => {
                        let mut row = self.row(reference, mode, case, None)?;
                        row.drift = self.drift(case, &alone, Some(&row))?.swap_remove(reference);
                        sink(row.clone())?;
                        row
                    }
                };
                written.insert((mode, case), row);
            }
        }
        let others = || (0..alone.len()).filter(|&walker| walker != reference);
        let mut drifts = Vec::with_capacity(sweep.settings.modes.len());
        for &mode in &sweep.settings.modes {
            self.walkers.iter_mut().for_each(Walker::begin_conversation);
            let mut of_mode = Drifts::new();
            for &case in cases {
                let mut wanted: Vec<bool> =
                    (0..alone.len()).map(|walker| self.is_missing(walker, mode, case, done)).collect();
                wanted[reference] = false;
                of_mode.insert(case, self.drift(case, &wanted, Some(&written[&(mode, case)]))?);
            }
            drifts.push(of_mode);
        }
        for walker in others() {
            for (&mode, drifts) in sweep.settings.modes.iter().zip(&drifts) {
                self.answers(walker, mode, cases, done, drifts, sink)?;
            }
        }
        Ok(())
    }

    /// Measures divergence along the ground-truth answers of a conversation, for every model with a missing row.
    fn along_gold(&mut self, cases: &[usize], done: &Done<'_>) -> Result<Drifts> {
        let sweep = self.sweep;
        self.walkers.iter_mut().for_each(Walker::begin_conversation);
        let mut drifts = Drifts::new();
        for &case in cases {
            let any_mode =
                |walker| sweep.settings.modes.iter().any(|&mode| self.is_missing(walker, mode, case, done));
            let wanted: Vec<bool> = (0..self.walkers.len()).map(any_mode).collect();
            drifts.insert(case, self.drift(case, &wanted, None)?);
        }
        Ok(drifts)
    }

    /// Makes the missing rows of one model in one mode.
    fn answers(
        &mut self,
        walker: usize,
        mode: Mode,
        cases: &[usize],
        done: &Done<'_>,
        drifts: &Drifts,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        self.walkers[walker].begin_conversation();
        for &case in cases {
            if self.is_missing(walker, mode, case, done) {
                let drift = drifts.get(&case).and_then(|drifts| drifts[walker].clone());
                let row = self.row(walker, mode, case, drift)?;
                sink(row)?;
            }
        }
        Ok(())
    }

    /// Index of the reference, if it is a local model.
    fn reference(&self) -> Option<usize> {
        self.walkers.iter().position(|walker| walker.lane.role == Role::Reference)
    }

    fn is_missing(&self, walker: usize, mode: Mode, case: usize, done: &Done<'_>) -> bool {
        !done.contains_key(&self.identity(walker, mode, case))
    }

    /// Key of a row: variant, conversation and turn.
    fn identity(&self, walker: usize, mode: Mode, case: usize) -> (Arm, usize, usize) {
        let Case { conversation, turn, .. } = self.sweep.dataset.cases[case];
        (self.arm(walker, mode), conversation, turn)
    }

    fn row(&mut self, index: usize, mode: Mode, case: usize, drift: Option<Drift>) -> Result<Row> {
        let key = RowKey {
            arm: self.arm(index, mode),
            prompt_sha256: self.walkers[index].prompts[case].sha256.clone(),
            kernels: runtime::kernels::name().to_owned(),
        };
        let walker = &mut self.walkers[index];
        let dataset = self.sweep.dataset;
        let answered = walker.answer(case, mode, &dataset.job.tools)?;
        let read = walker.read_as(&answered.text).into_owned();
        self.tokens.computed += answered.cost.computed_tokens;
        self.tokens.in_all += answered.cost.prompt_tokens;
        let case = &dataset.cases[case];
        let settings = &self.sweep.settings;
        let mut row = Row {
            schema_version: SCHEMA_VERSION,
            key,
            data: self.data.clone(),
            model: walker.contender.name.clone(),
            checkpoint: walker.contender.checkpoint(),
            file_bytes: walker.contender.file_bytes,
            bits_per_weight: walker.contender.bits_per_weight,
            role: walker.lane.role,
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
            rejection: None,
            judge: None,
            drift,
            cost: Some(answered.cost),
        };
        row.rescore_read_as(&read, &self.toolbox, dataset.is_public());
        Ok(row)
    }

    /// Evaluates the same answer with the `wanted` models and the reference, token by token, and returns the divergence
    /// of each wanted one. The answer is that of `written`, or else the ground truth.
    fn drift(&mut self, case: usize, wanted: &[bool], written: Option<&Row>) -> Result<Vec<Option<Drift>>> {
        let mut drifts = vec![None; self.walkers.len()];
        if !wanted.contains(&true) {
            return Ok(drifts);
        }
        let reference = self.reference();
        let mut texts = Vec::new();
        for (index, walker) in self.walkers.iter_mut().enumerate() {
            let text = match written {
                _ if !wanted[index] && reference != Some(index) => None,
                Some(row) => walker.as_written(case, row)?,
                None => walker.gold(case, self.sweep.dataset)?,
            };
            if text.is_some() {
                walker.evaluate(case)?;
            }
            texts.push(text);
        }
        let mut along = vec![Along::default(); self.walkers.len()];
        let most = texts.iter().flatten().map(Vec::len).max().unwrap_or(0);
        for at in 0..most {
            let with_token = |index: &usize| texts[*index].as_ref().and_then(|text| text.get(at)).copied();
            let in_step = reference.filter(|reference| with_token(reference).is_some());
            let reference_logits = in_step.map(|reference| self.walkers[reference].logits().to_vec());
            for index in 0..self.walkers.len() {
                let Some(token) = with_token(&index) else { continue };
                // Equal token sequences imply that both vocabularies agree on this answer.
                let comparable =
                    in_step.is_some_and(|reference| index != reference && texts[index] == texts[reference]);
                let against = reference_logits.as_deref().filter(|_| comparable);
                let walker = &mut self.walkers[index];
                along[index].add(walker.logits(), against, token);
                // The logits after the last token are not needed.
                if texts[index].as_ref().is_some_and(|text| at + 1 < text.len()) {
                    walker.step(token)?;
                }
            }
        }
        let trail = if written.is_some() { Trail::Reference } else { Trail::Gold };
        for (index, along) in along.into_iter().enumerate() {
            drifts[index] = (wanted[index] && texts[index].is_some()).then(|| along.finish(trail));
        }
        Ok(drifts)
    }

    fn arm(&self, index: usize, mode: Mode) -> Arm {
        let walker = &self.walkers[index];
        walker.lane.arm(mode, self.sweep.settings.max_tokens, walker.threads)
    }

    /// Returns an error if `done` has rows of another run.
    fn check(&self, path: &Path, done: &RowFile) -> Result<(), Error> {
        let settings = &self.sweep.settings;
        for (row, &line) in done.rows.iter().zip(&done.lines) {
            let index =
                self.walkers.iter().position(|walker| walker.contender.sha256 == row.key.arm.file_sha256);
            let mode = row.key.arm.mode;
            let lane = (0..self.walkers.len()).find(|&lane| self.arm(lane, mode) == row.key.arm);
            let prompt = || {
                let case = self
                    .sweep
                    .dataset
                    .cases
                    .iter()
                    .position(|case| (case.conversation, case.turn) == row.case());
                Some(&self.walkers[index?].prompts[case?].sha256)
            };
            let problem = if row.data != self.data {
                "the data are others".to_owned()
            } else if row.key.arm.endpoint.is_none() && row.key.arm.rules != RULES {
                other_rules(RULES, row.key.arm.rules) + "; begin another file"
            } else if row.primary != settings.primary {
                format!("the primary metric is {}, not {}", row.primary, settings.primary)
            } else if row.margin != settings.margin {
                format!("the margin is {} points, not {}", row.margin * 100.0, settings.margin * 100.0)
            } else if lane.is_some_and(|lane| self.walkers[lane].lane.role != row.role) {
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
pub(super) fn tail(case: &Case) -> String {
    case.messages().last().and_then(|message| message.content()).unwrap_or_default().to_owned()
}
