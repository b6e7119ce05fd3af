//! Bundles: a model with the files that tell how it is called, as a folder or a tar.
//!
//! ```text
//! format     is the file an archive that is read?
//! unpack     into a temporary folder, within limits
//! layout     where in the folder is the model?
//! settings   the profile, from model_client.py, Modelfile, job_description.json
//! ```
//!
//! Nothing of a bundle is run: Python is parsed, and only constants are read of it.

mod entry_path;
mod error;
mod format;
mod guarded;
mod layout;
mod modelfile;
mod python;
mod settings;
mod temporary;
mod training;
mod unpack;

pub use error::Error;
pub use temporary::abandon;

use crate::profile::Profile;
use layout::{Layout, Model};
use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};
use temporary::Temporary;

/// Receiver of the progress of unpacking.
pub trait Progress {
    /// Called when an archive of `total_bytes` is opened.
    fn begin(&mut self, total_bytes: u64);

    /// Called when `done_bytes` of it have been read.
    fn advance_to(&mut self, done_bytes: u64);
}

/// Ignores the progress.
impl Progress for () {
    fn begin(&mut self, _total_bytes: u64) {}

    fn advance_to(&mut self, _done_bytes: u64) {}
}

/// A bundle whose model lies in a folder. Dropping it removes what was unpacked.
#[derive(Debug)]
pub struct Bundle {
    /// The checkpoint folder.
    pub model: PathBuf,
    /// Name of the bundle, which names its outputs; `None` for a folder.
    pub name: Option<String>,
    /// The settings that the model was made to be called with.
    pub profile: Profile,
    /// Names of the files that the settings were read from.
    pub sources: Vec<String>,
    /// Settings that were not taken over or are doubtful; one sentence each.
    pub warnings: Vec<String>,
    path: PathBuf,
    unpacked: Option<Temporary>,
}

/// Parts to read of the files that tell how the model is called. A part that is not wanted cannot be refused either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Anything at all; without it the profile stays empty.
    pub settings: bool,
    /// The system message.
    pub system: bool,
    /// The tools.
    pub tools: bool,
}

impl Wanted {
    /// All of it.
    pub const ALL: Wanted = Wanted { settings: true, system: true, tools: true };
}

impl Bundle {
    /// Opens the bundle at `path`; `None` for what is none, such as a checkpoint folder or a GGUF file.
    ///
    /// An archive is unpacked into a new folder in `unpack_into`; what killed processes left in there is removed first.
    ///
    /// # Errors
    /// An archive that is not read or refused, a folder without a model, files whose settings cannot be read.
    pub fn open(
        path: &Path,
        wanted: Wanted,
        unpack_into: &Path,
        progress: &mut dyn Progress,
        interrupt: &AtomicBool,
    ) -> Result<Option<Bundle>, Error> {
        if path.is_dir() {
            return match layout::of_folder(path)? {
                Some(layout) => Bundle::read(path, layout, wanted, None).map(Some),
                None => Ok(None),
            };
        }
        if !path.is_file() {
            return Ok(None);
        }
        let Some(format) = format::detect(path)? else { return Ok(None) };
        temporary::sweep(unpack_into);
        let unpacked = Temporary::create(path, unpack_into)?;
        unpack::unpack(path, format, unpacked.path(), progress, interrupt)?;
        let layout = layout::of_archive(unpacked.path(), path)?;
        Bundle::read(path, layout, wanted, Some(unpacked)).map(Some)
    }

    fn read(
        path: &Path,
        layout: Layout,
        wanted: Wanted,
        unpacked: Option<Temporary>,
    ) -> Result<Bundle, Error> {
        let Layout { root, model, unused_adapters, from_outside } = layout;
        let base = unpacked.as_ref().map_or(path, Temporary::path).to_path_buf();
        let (Model::Checkpoint(model) | Model::Adapter(model)) = model;
        let mut read = match wanted.settings {
            true => settings::read(&root, &model, wanted, |inside| shown(path, &base, inside))?,
            false => settings::Read::default(),
        };
        read.warnings.extend(training::warnings(&root));
        if !unused_adapters.is_empty() {
            let folder = model.strip_prefix(&root).unwrap_or(&model).display().to_string();
            let folder =
                if folder.is_empty() { "the bundle's folder".to_owned() } else { format!("{folder}/") };
            let adapters = unused_adapters.join(", ");
            read.warnings
                .push(format!("the model in {folder} is converted as it is; {adapters} was not used"));
        }
        if let Some(from) = from_outside {
            let from = from.escape_debug();
            read.warnings.push(format!(
                "{}: FROM {from} leads out of the bundle and was not followed; the model in the bundle is converted",
                shown(path, &base, &root.join(layout::MODELFILE)).display()
            ));
        }
        let name = unpacked.is_some().then(|| archive_name(path));
        let settings::Read { profile, sources, warnings } = read;
        Ok(Bundle { model, name, profile, sources, warnings, path: path.to_path_buf(), unpacked })
    }

    /// `text` with the archive's path in place of that of the folder that it was unpacked into.
    pub fn in_archive(&self, text: &str) -> String {
        match &self.unpacked {
            Some(folder) => text.replace(&*folder.path().to_string_lossy(), &self.path.to_string_lossy()),
            None => text.to_owned(),
        }
    }
}

/// The path of a file in the bundle for a message: behind the bundle's own, not that of the temporary folder `base`.
fn shown(path: &Path, base: &Path, inside: &Path) -> PathBuf {
    match inside.strip_prefix(base) {
        Ok(inside) if !inside.as_os_str().is_empty() => path.join(inside),
        _ => path.to_path_buf(),
    }
}

/// The archive's name without its ending.
fn archive_name(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let lower = name.to_ascii_lowercase();
    let ending = [".tar.gz", ".tgz", ".tar", ".gz"].into_iter().find(|ending| lower.ends_with(ending));
    let stem = &name[..name.len() - ending.map_or(0, str::len)];
    if stem.is_empty() { "model".to_owned() } else { stem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_named_after_the_archive() {
        for (path, name) in [
            ("a/weather.tar", "weather"),
            ("w.v2.tar.gz", "w.v2"),
            ("W.TGZ", "W"),
            ("model", "model"),
            (".tar", "model"),
        ] {
            assert_eq!(archive_name(Path::new(path)), name);
        }
    }
}
