//! Converts a checkpoint, an adapter or a bundle into the files to compare.

use crate::cli::{
    convert::{Bar, bundle::Input, source::Asked},
    exit::CliError,
    output::Format,
    profile_args::ProfileArgs,
};
use edgecall::{
    bench::{self, Job},
    convert::{self, Existing, FileType, Plan, Recipe, Targets, manifest_path},
    profile::Profile,
    remedy::Remedy,
};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

/// Opens the checkpoint, the adapter with its base, or the bundle at `dir`; an archive is unpacked beside `folder`.
///
/// # Errors
/// Everything that a conversion refuses, too.
pub fn open(dir: &Path, base: Option<&Path>, folder: &Path) -> anyhow::Result<Input> {
    let asked = Asked { dir, base, adapters: &[], mode: None };
    let (options, never) = (ProfileArgs::default(), AtomicBool::new(false));
    let input = Input::open(&asked, &options, None, Some(folder), &mut Bar::new(Format::Table), &never)?;
    for warning in input.warnings() {
        super::warn(&warning);
    }
    Ok(input)
}

/// The job that the bundle's own settings describe, if they have tools.
///
/// # Errors
/// Tools that cannot be used.
pub fn job(input: &Input, dir: &Path) -> Result<Option<Job>, bench::Error> {
    input.profile.as_ref().map_or(Ok(None), |profile| Job::from_profile(profile, dir))
}

/// Returns an error unless the profile of the file at `path` is that of the bundle: it may be of an earlier conversion.
///
/// # Errors
/// Another profile, or none.
pub fn check_profile(input: &Input, path: &Path) -> anyhow::Result<()> {
    match Profile::read_file(path) {
        Ok(profile) if profile == input.profile => Ok(()),
        _ => Err(refused(path, "has another profile than the bundle", ", or remove the file")),
    }
}

/// Converts the input into `folder` and returns the files. F16 is added to `types` if it is missing.
///
/// Files that are there already are used again if their manifests fit the checkpoint. With `resume`, files of another
/// checkpoint are converted again; without, they are an error.
///
/// # Errors
/// Errors of the conversion; no type besides F16; a file of another checkpoint or of none.
pub fn convert(
    input: &Input,
    types: &[FileType],
    folder: &Path,
    resume: bool,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut file_types = types.to_vec();
    if !file_types.contains(&FileType::F16) {
        file_types.insert(0, FileType::F16);
    }
    if file_types.len() == 1 {
        return Err(CliError::usage("there is nothing to compare F16 with; give --types more than f16"));
    }
    let checkpoint = &input.checkpoint;
    // The slash makes it a folder for a single file, too.
    let folder = folder.join("");
    let plan = plan(input, file_types)?;
    let targets = Targets::new(checkpoint, &plan, Some(&folder), true).map_err(with_models_dir)?;
    let paths = targets.paths().to_vec();
    let states = convert::existing(checkpoint, &plan, &targets).map_err(with_models_dir)?;
    let mut missing = Vec::new();
    for ((state, path), file) in states.iter().zip(&paths).zip(&plan.files) {
        match state {
            Existing::Fits => continue,
            Existing::Other { problem } if resume => {
                note(&format!("{} {problem}; it is converted again", path.display()));
            }
            Existing::Other { problem } => {
                return Err(refused(path, problem, ", or convert it again with --resume"));
            }
            Existing::Unknown { problem } => return Err(refused(path, problem, ", or remove the file")),
            Existing::Missing => {}
        }
        missing.push(file.file_type);
    }
    if missing.len() < paths.len() {
        let used = paths.len() - missing.len();
        note(&format!(
            "{used} of {} files in {} fit the checkpoint and are used again",
            paths.len(),
            folder.display()
        ));
    }
    if missing.is_empty() {
        return Ok(paths);
    }
    let plan = self::plan(input, missing)?;
    let is_there = |path: &PathBuf| path.exists() || manifest_path(path).exists();
    let replace = paths.iter().any(is_there);
    let targets = Targets::new(checkpoint, &plan, Some(&folder), replace).map_err(with_models_dir)?;
    let never = AtomicBool::new(false);
    let converted = convert::convert(checkpoint, &plan, &targets, None, &mut (), &never);
    converted.and_then(convert::Converted::publish).map_err(with_models_dir)?;
    Ok(paths)
}

/// The plan of a conversion to these types.
fn plan(input: &Input, file_types: Vec<FileType>) -> Result<Plan, convert::Error> {
    let recipe = Recipe { file_types, profile: input.profile.clone(), ..Recipe::default() };
    let mut plan = Plan::new(&input.checkpoint, recipe)?;
    if let Some(name) = input.name() {
        plan.name = name;
    }
    Ok(plan)
}

fn refused(path: &Path, problem: &str, or: &str) -> anyhow::Error {
    let message = format!("{} {problem}; name another folder with --models-dir{or}", path.display());
    CliError::with_kind(edgecall::Kind::CannotCreate, message)
}

/// The error of a conversion, with this command's name for another output.
fn with_models_dir(error: convert::Error) -> anyhow::Error {
    let is_output = |remedy: &Remedy| matches!(remedy, Remedy::Overwrite | Remedy::OtherOutput);
    if !error.remedies().iter().any(is_output) {
        return error.into();
    }
    let kind = error.kind();
    let message = format!("{:#}; name another folder with --models-dir", anyhow::Error::from(error));
    CliError::with_kind(kind, message)
}

/// Prints a line to stderr.
fn note(text: &str) {
    // Nobody reads a closed stderr.
    let _ = writeln!(io::stderr(), "note: {text}");
}
