//! The input of a conversion: a checkpoint folder, or a bundle with one.

use super::{
    super::{exit, profile_args::ProfileArgs},
    Bar,
    source::{self, Asked, Opened},
};
use edgecall::{
    adapter::Merge,
    bundle::{self, Bundle, Wanted},
    checkpoint::Checkpoint,
    convert::{self, Progress, Report, Targets},
    files,
    profile::Profile,
};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

/// A checkpoint, with what the bundle around it says. Dropping it removes what was unpacked.
pub struct Input {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The settings of the bundle and the options.
    pub profile: Option<Profile>,
    /// Adapters that are merged into the checkpoint.
    pub merge: Option<Arc<Merge>>,
    path: PathBuf,
    bundle: Option<Bundle>,
}

impl Input {
    /// Opens the checkpoint, adapter or bundle that is asked for. An archive is unpacked into `unpack_into`, or beside the output.
    pub fn open(
        asked: &Asked,
        options: &ProfileArgs,
        unpack_into: Option<&Path>,
        output: Option<&Path>,
        bar: &mut Bar,
        interrupt: &AtomicBool,
    ) -> anyhow::Result<Input> {
        let path = asked.dir;
        let wanted = Wanted {
            settings: !options.replaces_all(),
            system: !options.gives_task(),
            tools: !options.gives_tools(),
        };
        let unpack_into = unpack_into.unwrap_or_else(|| output.map_or(Path::new("."), folder_of_output));
        let opened = Bundle::open(path, wanted, unpack_into, &mut Unpacking(bar), interrupt);
        bar.finish();
        let Some(bundle) = opened? else {
            let Opened { checkpoint, merge } = source::open(asked)?;
            return Ok(Input {
                checkpoint,
                profile: options.given()?,
                merge,
                path: path.to_path_buf(),
                bundle: None,
            });
        };
        let opened = source::open(&Asked { dir: &bundle.model, ..*asked });
        let Opened { checkpoint, merge } = opened.map_err(|error| in_archive(&bundle, error))?;
        let profile = Some(options.over(bundle.profile.clone())?).filter(|profile| !profile.is_empty());
        if !bundle.sources.is_empty() {
            let sources = bundle.sources.join(", ");
            // Nobody reads a closed stderr.
            let _ = writeln!(
                io::stderr(),
                "note: settings for calls were read from {sources}; `edgecall profile FILE.gguf` shows them"
            );
        }
        Ok(Input { checkpoint, profile, merge, path: path.to_path_buf(), bundle: Some(bundle) })
    }

    /// The name for the outputs; `None` where the checkpoint's folder gives it.
    pub fn name(&self) -> Option<String> {
        let bundle = self.bundle.as_ref()?;
        Some(bundle.name.clone().unwrap_or_else(|| convert::output_name(&self.path)))
    }

    /// `error` with the names of the archive's entries in place of paths that are gone when it is read.
    pub fn in_archive(&self, error: anyhow::Error) -> anyhow::Error {
        match &self.bundle {
            Some(bundle) => in_archive(bundle, error),
            None => error,
        }
    }

    /// Refuses to replace the archive itself.
    pub fn check(&self, targets: &Targets) -> Result<(), convert::Error> {
        let Ok(archive) = fs::canonicalize(&self.path) else { return Ok(()) };
        let is_archive = |target: &&PathBuf| fs::canonicalize(target).is_ok_and(|target| target == archive);
        match targets.paths().iter().find(is_archive) {
            Some(path) => Err(convert::Error::OutputIsInput { path: path.clone() }),
            None => Ok(()),
        }
    }

    /// Doubts about the checkpoint and the bundle, one sentence each.
    #[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "there is no benchmark"))]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.checkpoint.warnings.clone();
        if let Some(bundle) = &self.bundle {
            warnings.iter_mut().for_each(|warning| *warning = bundle.in_archive(warning));
            warnings.extend(bundle.warnings.iter().cloned());
        }
        warnings
    }

    /// `report` with the warnings of the bundle, and with paths that are there after the conversion.
    pub fn in_report(&self, mut report: Report) -> Report {
        if let Some(bundle) = &self.bundle {
            report.warnings.iter_mut().for_each(|warning| *warning = bundle.in_archive(warning));
            report.warnings.extend(bundle.warnings.iter().cloned());
        }
        report
    }
}

fn in_archive(bundle: &Bundle, error: anyhow::Error) -> anyhow::Error {
    match bundle.name {
        Some(_) => exit::reworded(error, |text| bundle.in_archive(text)),
        None => error,
    }
}

/// The folder that the output will lie in, or the nearest above it that exists.
fn folder_of_output(output: &Path) -> &Path {
    let mut folder = output;
    while !folder.is_dir() {
        folder = files::folder_of(folder);
    }
    folder
}

/// Shows the progress of unpacking on the bar.
struct Unpacking<'a>(&'a mut Bar);

impl bundle::Progress for Unpacking<'_> {
    fn begin(&mut self, total_bytes: u64) {
        self.0.begin("unpacking", total_bytes);
    }

    fn advance_to(&mut self, done_bytes: u64) {
        self.0.advance_to(done_bytes);
    }
}
