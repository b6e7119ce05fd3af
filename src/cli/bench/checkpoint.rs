//! Converts a checkpoint into the files to compare.

use crate::cli::exit::CliError;
use edgecall::{
    checkpoint::Checkpoint,
    convert::{self, FileType, Plan, Recipe, Targets},
};
use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

/// Converts the checkpoint into `folder` and returns the files. F16 is added to `types` if it is missing. With
/// `resume`, existing files are reused if none is missing.
///
/// # Errors
/// Errors of the conversion; no type besides F16.
pub fn convert(dir: &Path, types: &[FileType], folder: &Path, resume: bool) -> anyhow::Result<Vec<PathBuf>> {
    let mut file_types = types.to_vec();
    if !file_types.contains(&FileType::F16) {
        file_types.insert(0, FileType::F16);
    }
    if file_types.len() == 1 {
        return Err(CliError::usage("there is nothing to compare F16 with; give --types more than f16"));
    }
    let checkpoint = Checkpoint::open(dir)?;
    let recipe = Recipe { file_types, ..Recipe::default() };
    let plan = Plan::new(&checkpoint, recipe)?;
    let targets = Targets::new(&checkpoint, &plan, Some(folder), resume)?;
    let paths = targets.paths().to_vec();
    if resume && paths.iter().all(|path| path.is_file()) {
        return Ok(paths);
    }
    let never = AtomicBool::new(false);
    let converted = convert::convert(&checkpoint, &plan, &targets, None, &mut (), &never)?;
    converted.publish()?;
    Ok(paths)
}
