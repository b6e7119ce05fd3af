//! Diagnosis of this machine and of a model on it: what limits there are, if the speed is near them, and if the results
//! are right.
//!
//! ```text
//! facts      from the operating system: processor, limits, memory, sensors, the cache folder
//! cpus       limits of the CPUs, and other programs on them
//! speed      prefill and decode, compared with memory bandwidth and arithmetic
//! manifest   what was recorded of the model's file at its conversion
//! hash       the file's bytes, compared with its manifest
//! answers    the model's answers to fixed prompts, compared with its manifest or with each other
//! finding    findings with remedies; the verdict
//! ```

pub mod answers;
mod cpus;
pub mod facts;
mod finding;
mod hash;
mod manifest;
pub mod speed;
mod table;
mod words;

pub use finding::{Finding, Severity, Topic};

use crate::{
    convert::manifest::Answers,
    display::{chain, visible},
    machine::load::Moment,
    memory::{self, AS_STORED, PlannedRun, Repack},
    profile::Profile,
    runtime::{self, LoadOptions, Model, Options, Trust, cpu, kernels},
};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// Time for which the load of other programs is measured while edgecall is idle.
const WATCHED: Duration = Duration::from_secs(1);

/// Request for a diagnosis.
#[derive(Clone, Debug)]
pub struct Request {
    /// Model to run; `None` for the machine alone.
    pub model: Option<PathBuf>,
    /// Trust in the model's file.
    pub trust: Trust,
    /// Threads, KV cache and attention, as in later calls.
    pub session: Options,
    /// Cache folder of calls; `None` if the user has none.
    pub cache_folder: Option<PathBuf>,
}

/// Results of a diagnosis.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of edgecall.
    pub edgecall: &'static str,
    /// llama.cpp build.
    pub engine: &'static str,
    /// Facts from the operating system.
    pub machine: facts::Facts,
    /// Upper bounds of memory bandwidth and arithmetic.
    pub ceiling: speed::Limit,
    /// The model on this machine; `None` if none was given, or if it cannot be run.
    pub model: Option<ModelReport>,
    /// Things that are wrong, or that could be better.
    pub findings: Vec<Finding>,
    /// True if nothing is wrong.
    pub ok: bool,
    /// Verdict in one line.
    pub verdict: String,
}

/// A model on this machine.
#[derive(Clone, Debug, Serialize)]
pub struct ModelReport {
    /// Path of the file.
    pub path: PathBuf,
    /// True if the weights are repacked, as calls do if there is enough memory for the copies.
    pub repack: bool,
    /// Speed of prefill and decode; `None` if it could not be measured.
    pub speed: Option<speed::Speed>,
    /// Answers to the fixed prompts.
    pub answers: answers::Compared,
    /// Comparison of the file with its manifest.
    pub file: hash::FileState,
}

/// Checks the machine, and the model of `request` if there is one; `progress` is called with the name of each step.
/// Except for loading weights, no step takes more than 20 seconds, even on a slow machine.
///
/// # Errors
/// A machine that cannot run this build, more threads than CPUs, a model that cannot be loaded.
pub fn examine(request: &Request, mut progress: impl FnMut(&str)) -> Result<Report, runtime::Error> {
    let active = kernels::active()?;
    let root = Path::new("/");
    let threads = cpu::threads(request.session.threads)?;
    progress("what the system says");
    let mut machine = facts::Facts::gather(root, active, threads, request.cache_folder.as_deref());
    let mut findings = machine.findings();
    progress("other programs' load");
    let before = Moment::now(root);
    thread::sleep(WATCHED);
    machine.load = before.and_then(|before| before.until_now());
    progress("memory and arithmetic");
    let ceiling = speed::Limit::measure(threads, machine.memory);
    let model = match &request.model {
        Some(path) => {
            let mut examined = Examined { request, machine: &machine, findings: &mut findings };
            examined.model(path, &ceiling, &mut progress)?
        }
        None => None,
    };
    let speed = model.as_ref().and_then(|model| model.speed.as_ref());
    findings.extend(machine.load_findings(speed.and_then(|speed| speed.load)));
    if let Some(speed) = speed {
        findings.extend(speed.findings(&machine));
    }
    let verdict = finding::verdict(&findings, model.as_ref());
    let ok = findings.iter().all(|finding| finding.severity != Severity::Wrong);
    let edgecall = env!("CARGO_PKG_VERSION");
    Ok(Report { edgecall, engine: runtime::ENGINE, machine, ceiling, model, findings, ok, verdict })
}

struct Examined<'r> {
    request: &'r Request,
    machine: &'r facts::Facts,
    findings: &'r mut Vec<Finding>,
}

impl Examined<'_> {
    /// Compares the file with its manifest; returns the manifest's answers, too, unless the lengths differ. Answers are
    /// compared even if the hash differs, so a changed scale shows in both.
    fn file(&mut self, path: &Path) -> (hash::FileState, Option<Answers>) {
        let manifest = manifest::Manifest::read(path);
        let file = hash::FileState::look_at(path, manifest.as_ref());
        self.findings.extend(manifest.as_ref().and_then(|manifest| manifest.finding(path)));
        self.findings.extend(file.finding(path));
        let manifest = manifest.filter(|manifest| manifest.has_length_of(path));
        (file, manifest.and_then(|manifest| manifest.answers))
    }

    /// Loads and runs the model; `None` if there is not enough memory.
    fn model(
        &mut self,
        path: &Path,
        ceiling: &speed::Limit,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Option<ModelReport>, runtime::Error> {
        let header = Model::read_header(path)?;
        if let Err(error) = Profile::from_gguf(&header) {
            let problem = visible(&chain(&error));
            let what = format!("the profile of {} cannot be used: {problem}", words::shown(path));
            let remedy = "ignore it in calls, or remove it with `edgecall profile`";
            self.findings.push(Finding::wrong(Topic::Profile, what, remedy));
        }
        let run = PlannedRun {
            header: &header,
            is_repacked: kernels::is_repacked,
            kv_type: self.request.session.kv_type,
            flash_attention: self.request.session.flash_attention,
            n_prompt: speed::N_CTX as u64,
            n_ctx: speed::N_CTX as u64,
            n_ctx_is_asked: false,
        };
        let checked = self
            .machine
            .memory
            .map_or(Ok((true, None)), |machine| run.check_before_loading(&run, Repack::IfItFits, machine));
        let (repack, shortage) = match checked {
            Ok((repack, shortage)) => (Some(repack), shortage),
            Err(shortage) => (None, Some(*shortage)),
        };
        if let Some(shortage) = shortage {
            let found = Finding::wrong(Topic::Memory, shortage.to_string(), facts::MORE_MEMORY);
            self.findings.push(Finding { changes: shortage.remedies, ..found });
        }
        let Some(repack) = repack else { return Ok(None) };
        let is_repacked = if repack { kernels::is_repacked } else { AS_STORED };
        let need = PlannedRun { is_repacked, ..run }.need().unwrap_or_default();
        if let Err(error) = memory::check_address_space(need.total()) {
            self.findings.push(Finding::wrong(Topic::Memory, error.to_string(), facts::MORE_MEMORY));
            return Ok(None);
        }
        let options = |repack| LoadOptions { trust: self.request.trust, repack };
        progress("the file's bytes");
        let (file, recorded) = self.file(path);
        let load = |repack| Model::load_with(path, options(repack));
        progress("loading");
        let mut checked = answers::Checked::begin(recorded);
        checked.as_stored(&load(false)?, &self.request.session, progress);
        progress("loading");
        let model = load(repack)?;
        let speed = speed::Speed::measure(&model, &self.request.session, ceiling, progress);
        let speed = speed.inspect_err(|error| {
            let error = error.to_string();
            self.findings.push(Finding::wrong(Topic::Speed, error, "free memory, and look again"));
        });
        checked.as_called(&model, &self.request.session, progress);
        let answers = checked.finish();
        self.findings.extend(answers.findings());
        Ok(Some(ModelReport { path: path.to_path_buf(), repack, speed: speed.ok(), answers, file }))
    }
}
