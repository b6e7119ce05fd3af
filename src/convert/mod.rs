//! Checkpoint -> GGUF, in one streaming pass.
//!
//! ```text
//! Plan::new   names, keys, types, sizes; no weights are read
//! convert     one pass over the weights into files beside their targets; read back and hashed
//! publish     manifests, and all files get their names
//! ```

pub mod general;
pub mod manifest;
pub mod pretokenizer;
pub mod readback;
pub mod recipe;
pub mod report;
pub mod rewrite;
pub mod vocab;

mod error;
mod existing;
mod folder_name;
mod loadable;
mod model_card;
mod model_id;
mod output;
mod peak;
mod plan;
mod publish;
mod sentencepiece;
mod slab;
mod source_hash;
mod special;
mod stream;
mod temporary;
mod tensors;
mod token_kind;
mod written;

pub use error::Error;
pub use existing::{Existing, existing};
pub use folder_name::output_name;
pub use model_card::Error as ModelCardError;
pub use output::{Output, Targets, manifest_path};
pub use plan::{FilePlan, Plan};
pub use recipe::{FileType, Override, Recipe};
pub use report::Report;
pub use temporary::abandon;
pub use tensors::{Head, ModelTensor, Origin};

use crate::checkpoint::Checkpoint;
use manifest::{Answers, Manifest};
use output::Outputs;
use std::{num::NonZero, sync::atomic::AtomicBool, time::Instant};

/// Receiver of a conversion's progress.
pub trait Progress {
    /// Called when a step of `total_bytes` begins.
    fn begin(&mut self, step: &str, total_bytes: u64);

    /// Called when `done_bytes` of the step are done.
    fn advance_to(&mut self, done_bytes: u64);
}

/// Ignores the progress.
impl Progress for () {
    fn begin(&mut self, _step: &str, _total_bytes: u64) {}

    fn advance_to(&mut self, _done_bytes: u64) {}
}

/// Converted files under temporary names. Dropping it removes them.
#[derive(Debug)]
pub struct Converted {
    outputs: Outputs,
    manifests: Vec<Manifest>,
    report: Report,
}

/// Writes the files of `plan` beside their targets, reads them back and hashes them.
///
/// `threads` defaults to the machine's and affects nothing but the time. `interrupt` may be set by a signal
/// handler at any time.
///
/// # Errors
/// Any failure; no file is left behind then.
pub fn convert(
    checkpoint: &Checkpoint,
    plan: &Plan,
    targets: &Targets,
    threads: Option<NonZero<usize>>,
    progress: &mut dyn Progress,
    interrupt: &AtomicBool,
) -> Result<Converted, Error> {
    let started = Instant::now();
    let threads = threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get);
    source_hash::check_small_files(&checkpoint.dir)?;
    let outputs = Outputs::create(plan, targets)?;
    let mut peak = peak::Peak::start();
    let mut progress = peak::Watched { progress, peak: &mut peak };
    let passed = stream::run(checkpoint, plan, &outputs.files, threads, &mut progress, interrupt)?;
    let written = written::check(plan, &outputs.files, threads, &mut progress, interrupt)?;
    let mut sources = source_hash::small_files(&checkpoint.dir)?;
    sources.extend(passed.hashes);
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    let merged = manifest::Merged::into(checkpoint, interrupt)?;
    let manifests = plan
        .files
        .iter()
        .zip(&written)
        .map(|(file, written)| Manifest::new(plan, file, written, &sources, merged.as_ref()))
        .collect();
    let report = Report::new(checkpoint, plan, targets, &passed.losses, &passed.busy_s, started, &peak);
    Ok(Converted { outputs, manifests, report })
}

impl Converted {
    /// The files, under their temporary names.
    pub fn files(&self) -> &[Output] {
        &self.outputs.files
    }

    /// Adds a model's answers to the manifest of the file at this index of [`Converted::files`].
    pub fn add_answers(&mut self, file: usize, answers: Answers) {
        if let Some(manifest) = self.manifests.get_mut(file) {
            manifest.answers = Some(answers);
        }
    }

    /// Writes the manifests and renames all files to their targets.
    ///
    /// # Errors
    /// The system's error; no file is left behind then.
    pub fn publish(self) -> Result<Report, Error> {
        let Converted { mut outputs, manifests, report } = self;
        let targets: Vec<_> = outputs.files.iter().map(|output| output.target().to_path_buf()).collect();
        for (manifest, target) in manifests.iter().zip(targets) {
            outputs.add_manifest(&target, &manifest.to_json())?;
        }
        outputs.publish()?;
        Ok(report)
    }
}
