//! Models answering the cases of a data set, row by row.
//!
//! Conversation by conversation all lanes take their turns, each in every mode. Nothing that runs here depends on
//! time or on what ran before: the same file, engine, kernels, KV type and threads give the same rows.

mod contender;
mod cost;
mod drift;
mod lane;
mod meter;
mod renderer;
pub mod room;
mod sensors;
mod walker;

pub use contender::{Contender, check_distinct, reference};
pub use cost::{Watch, host};
pub use drift::Along;
pub use lane::{Condition, Lane};
pub use meter::Meter;
pub(super) use sensors::peak_resident_bytes;
pub(super) use walker::read_as;

use super::{
    Case, Dataset, Error, Mode, Row, RowKey,
    answer::{Style, prediction},
    metric::Toolbox,
    row::{Arm, Data, Drift, Role, RowFile, SCHEMA_VERSION},
};
use crate::{Result, runtime};
use std::{collections::BTreeMap, path::Path};
use walker::Walker;

/// What all rows of a sweep have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How tokens are chosen; each mode makes its own rows.
    pub modes: Vec<Mode>,
    /// The most tokens of an answer.
    pub max_tokens: usize,
    /// The metric that decides.
    pub primary: String,
    /// The loss that one could live with, as a share.
    pub margin: f64,
    /// Whether probabilities are measured along the right answers too.
    pub drift: bool,
}

/// Who answers what.
pub struct Sweep<'s> {
    /// The data.
    pub dataset: &'s Dataset,
    /// The cases that are run, as indices of [`Dataset::cases`], conversation by conversation.
    pub cases: Vec<usize>,
    /// Who answers, and under which conditions.
    pub lanes: Vec<Lane<'s>>,
    /// What all rows have in common.
    pub settings: Settings,
}

/// The tokens of prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PromptTokens {
    /// Of those, the ones that had to be computed.
    pub computed: usize,
    /// All of them.
    pub in_all: usize,
}

/// Rows that are there already, by arm, conversation and turn.
type Done<'d> = BTreeMap<(Arm, usize, usize), &'d Row>;

impl Sweep<'_> {
    /// How many rows it makes.
    pub fn row_count(&self) -> usize {
        self.cases.len() * self.lanes.len() * self.settings.modes.len()
    }

    /// Makes the rows that `done`, the file at `path`, does not have yet and hands each to `sink`, in order.
    ///
    /// # Errors
    /// [`Error::OtherKey`] where the rows of `done` are another sweep's; a model that cannot be run; what `sink` says.
    pub fn run(
        &self,
        path: &Path,
        done: &RowFile,
        sink: &mut dyn FnMut(Row) -> Result<()>,
    ) -> Result<PromptTokens> {
        let mut walkers = Vec::with_capacity(self.lanes.len());
        for lane in &self.lanes {
            walkers.push(Walker::new(*lane, &walkers, self.dataset, &self.settings)?);
        }
        let mut run = Run {
            sweep: self,
            walkers,
            data: self.dataset.identity(),
            toolbox: Toolbox::new(&self.dataset.job.tools),
            tokens: PromptTokens::default(),
        };
        run.check(path, done)?;
        let done = done.done();
        let cases = &self.dataset.cases;
        for conversation in self.cases.chunk_by(|&a, &b| cases[a].conversation == cases[b].conversation) {
            run.conversation(conversation, &done, sink)?;
        }
        Ok(run.tokens)
    }
}

/// A sweep under way.
struct Run<'s> {
    sweep: &'s Sweep<'s>,
    walkers: Vec<Walker<'s>>,
    data: Data,
    toolbox: Toolbox,
    tokens: PromptTokens,
}

impl Run<'_> {
    fn conversation(
        &mut self,
        cases: &[usize],
        done: &Done<'_>,
        sink: &mut dyn FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        let is_missing = |run: &Self, walker: usize, mode: Mode, case: usize| {
            let Case { conversation, turn, .. } = run.sweep.dataset.cases[case];
            !done.contains_key(&(run.arm(walker, mode), conversation, turn))
        };
        let modes = &self.sweep.settings.modes;
        let wanted = |run: &Self, case: usize| -> Vec<bool> {
            let any_mode = |walker| modes.iter().any(|&mode| is_missing(run, walker, mode, case));
            (0..run.walkers.len()).map(any_mode).collect()
        };
        let mut drifts: BTreeMap<usize, Vec<Option<Drift>>> = BTreeMap::new();
        if self.sweep.settings.drift {
            self.walkers.iter_mut().for_each(Walker::begin_conversation);
            for &case in cases {
                let wanted = wanted(self, case);
                drifts.insert(case, self.drift(case, &wanted)?);
            }
        }
        for walker in 0..self.walkers.len() {
            for &mode in modes {
                self.walkers[walker].begin_conversation();
                for &case in cases {
                    if is_missing(self, walker, mode, case) {
                        let drift = drifts.get(&case).and_then(|drifts| drifts[walker].clone());
                        let row = self.row(walker, mode, case, drift)?;
                        sink(row)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn row(&mut self, index: usize, mode: Mode, case: usize, drift: Option<Drift>) -> Result<Row> {
        let key = RowKey {
            arm: self.arm(index, mode),
            prompt_sha256: self.walkers[index].prompts[case].sha256.clone(),
            kernels: runtime::cpu::kernels(),
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
            gold: case.answer(Style::Student),
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

    /// Walks all lanes along the right answer of a case together, the reference with those that are `wanted`.
    fn drift(&mut self, case: usize, wanted: &[bool]) -> Result<Vec<Option<Drift>>> {
        let mut drifts = vec![None; self.walkers.len()];
        if !wanted.contains(&true) {
            return Ok(drifts);
        }
        let reference = self.walkers.iter().position(|walker| walker.lane.role == Role::Reference);
        let mut golds = Vec::new();
        for (index, walker) in self.walkers.iter_mut().enumerate() {
            let gold = match wanted[index] || reference == Some(index) {
                true => walker.gold(case, self.sweep.dataset)?,
                false => None,
            };
            if gold.is_some() {
                walker.evaluate(case)?;
            }
            golds.push(gold);
        }
        let mut along = vec![Along::default(); self.walkers.len()];
        let most = golds.iter().flatten().map(Vec::len).max().unwrap_or(0);
        for at in 0..most {
            let with_token = |index: &usize| golds[*index].as_ref().and_then(|gold| gold.get(at)).copied();
            let in_step = reference.filter(|reference| with_token(reference).is_some());
            let reference_logits = in_step.map(|reference| self.walkers[reference].logits().to_vec());
            for index in 0..self.walkers.len() {
                let Some(token) = with_token(&index) else { continue };
                // The same tokens, so the same vocabulary as far as the answer goes.
                let comparable =
                    in_step.is_some_and(|reference| index != reference && golds[index] == golds[reference]);
                let against = reference_logits.as_deref().filter(|_| comparable);
                let walker = &mut self.walkers[index];
                along[index].add(walker.logits(), against, token);
                // Nothing is read after the last one.
                if golds[index].as_ref().is_some_and(|gold| at + 1 < gold.len()) {
                    walker.step(token)?;
                }
            }
        }
        for (index, along) in along.into_iter().enumerate() {
            drifts[index] = (wanted[index] && golds[index].is_some()).then(|| along.finish());
        }
        Ok(drifts)
    }

    fn arm(&self, index: usize, mode: Mode) -> Arm {
        let walker = &self.walkers[index];
        walker.lane.arm(mode, self.sweep.settings.max_tokens, walker.threads)
    }

    /// Refuses to add to rows of another sweep.
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

/// The last message of the prompt.
pub(super) fn tail(case: &Case) -> String {
    case.messages().last().and_then(|message| message.content()).unwrap_or_default().to_owned()
}
