//! An examination of this machine, and of a model on it: what it can do, whether it does that, and whether it computes
//! rightly.
//!
//! ```text
//! facts      what the system says: processor, limits, memory, sensors, the cache folder
//! speed      what memory and arithmetic allow; prefill and decode beside that
//! answers    what the model says to fixed prompts, beside its manifest or beside itself
//! finding    what is wrong, with what to do; the verdict
//! ```

pub mod answers;
pub mod facts;
mod finding;
mod hash;
pub mod speed;
mod table;

pub use finding::{Finding, Severity, Topic};

use crate::{
    Result,
    inspect::fit::{AS_STORED, Outlook, Planned},
    machine::{Machine, load::Moment},
    runtime::{self, LoadOptions, Model, Options, Trust, cpu, kernels},
};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// How long the machine is watched while nothing runs here.
const WATCHED: Duration = Duration::from_secs(1);

/// What is examined.
#[derive(Clone, Debug)]
pub struct Request {
    /// A model to run, or the machine alone.
    pub model: Option<PathBuf>,
    /// How far its file is trusted.
    pub trust: Trust,
    /// Threads, KV cache and attention, as calls will have them.
    pub session: Options,
    /// The folder of what calls keep; `None` where the user has none.
    pub cache_folder: Option<PathBuf>,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of this program.
    pub edgecall: &'static str,
    /// The engine that computes.
    pub engine: &'static str,
    /// What the system says.
    pub machine: facts::Facts,
    /// What memory and arithmetic allow.
    pub ceiling: speed::Limit,
    /// The model on this machine; `None` where none was named, or it cannot be run.
    pub model: Option<ModelReport>,
    /// What is wrong, and what could be better.
    pub findings: Vec<Finding>,
    /// Whether nothing is wrong.
    pub ok: bool,
    /// All of it in one line.
    pub verdict: String,
}

/// A model on this machine.
#[derive(Clone, Debug, Serialize)]
pub struct ModelReport {
    /// Its file.
    pub path: PathBuf,
    /// Whether its weights are rearranged for this CPU, as calls do where there is memory for the copies.
    pub repack: bool,
    /// Prefill and decode; `None` where they could not be measured.
    pub speed: Option<speed::Speed>,
    /// What it says to fixed prompts.
    pub answers: answers::Compared,
    /// Whether the file's bytes are those of its manifest.
    pub file: hash::FileState,
}

/// Examines the machine and the model that `request` names; `progress` hears what comes next. No step but the loading of
/// weights takes more than 20 seconds, however slow the machine is.
///
/// # Errors
/// A machine that cannot run this build, more threads than CPUs, a model that cannot be loaded.
pub fn examine(request: &Request, mut progress: impl FnMut(&str)) -> Result<Report> {
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
    findings.extend(machine.load_findings(model.as_ref().and_then(|model| model.speed.as_ref())));
    if let Some(speed) = model.as_ref().and_then(|model| model.speed.as_ref()) {
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
    /// Loads and runs the model; `None` where there is no memory for it.
    fn model(
        &mut self,
        path: &Path,
        ceiling: &speed::Limit,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Option<ModelReport>> {
        let header = Model::read_header(path)?;
        let planned = Planned {
            header: &header,
            is_repacked: kernels::is_repacked,
            kv_type: self.request.session.kv_type,
            flash_attention: self.request.session.flash_attention,
            n_prompt: speed::N_CTX as u64,
            n_ctx: speed::N_CTX as u64,
            n_ctx_is_asked: false,
        };
        let is_better = |machine: Machine| planned.is_better_as_stored(machine);
        let repack = !self.machine.memory.is_some_and(is_better);
        let is_repacked = if repack { kernels::is_repacked } else { AS_STORED };
        let shortage =
            self.machine.memory.and_then(|machine| Planned { is_repacked, ..planned }.shortage(machine));
        if let Some(shortage) = shortage {
            self.findings.push(Finding::wrong(Topic::Memory, shortage.to_string(), facts::MORE_MEMORY));
            if shortage.outlook == Outlook::CannotBe {
                return Ok(None);
            }
        }
        progress("the file's bytes");
        let (file, recorded) = hash::FileState::look_at(path);
        self.findings.extend(file.finding(path));
        let load = |repack| Model::load_with(path, LoadOptions { trust: self.request.trust, repack });
        progress("loading");
        let mut checked = answers::Checked::begin(recorded.and_then(|recorded| recorded.answers));
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
