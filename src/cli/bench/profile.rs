//! Task and tools from the profile of a model, where the data bring none.

use edgecall::{
    bench::{Error, Job},
    profile::Profile,
};
use std::path::{Path, PathBuf};

/// The job that the profile of the model at `path` describes; `None` without a profile, or one without tools.
///
/// # Errors
/// A profile that cannot be used.
pub fn job_of(path: &Path) -> Result<Option<Job>, Error> {
    read(path)?.map_or(Ok(None), |profile| Job::from_profile(&profile, path))
}

/// The job of the first model that has one, with that model's path.
///
/// # Errors
/// A profile that cannot be used; two that differ in system message or tools.
pub(super) fn job_of_models(models: &[PathBuf]) -> Result<Option<(PathBuf, Job)>, Error> {
    let mut first: Option<(&PathBuf, Profile)> = None;
    for path in models {
        let Some(profile) = read(path)?.filter(|profile| profile.tools.is_some()) else { continue };
        match &first {
            Some((other, theirs)) if (&theirs.system, &theirs.tools) != (&profile.system, &profile.tools) => {
                let other = other.display();
                let problem = format!(
                    "its profile has another system message or other tools than that of {other}, and all models answer the \
                     same; give a job description with --job"
                );
                return Err(Error::File { path: path.clone(), problem, source: None });
            }
            Some(_) => {}
            None => first = Some((path, profile)),
        }
    }
    match first {
        Some((path, profile)) => Ok(Job::from_profile(&profile, path)?.map(|job| (path.clone(), job))),
        None => Ok(None),
    }
}

/// The profile of the model at `path`; `None` if it has none.
///
/// # Errors
/// A profile that cannot be used.
pub fn read(path: &Path) -> Result<Option<Profile>, Error> {
    Profile::read_file(path).map_err(|source| Error::File {
        path: path.to_path_buf(),
        problem: "the profile cannot be used; --no-profile ignores it".into(),
        source: Some(Box::new(source)),
    })
}
