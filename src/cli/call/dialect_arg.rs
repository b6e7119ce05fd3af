//! `--dialect`: a name, or a file that is read when the command runs.

use super::input::read;
use anyhow::Context as _;
use edgecall::dialect::{self, Dialect, Wanted};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Argument of `--dialect`.
#[derive(Clone, Debug)]
pub enum DialectArg {
    /// `auto`, `strict`, or a name.
    Wanted(Wanted),
    /// A file.
    File(PathBuf),
}

/// Parses the argument.
pub fn dialect(text: &str) -> Result<DialectArg, String> {
    match text {
        "auto" => Ok(DialectArg::Wanted(Wanted::Auto)),
        "strict" => Ok(DialectArg::Wanted(Wanted::Strict)),
        name if dialect::named(name).is_some() => Ok(DialectArg::Wanted(Wanted::Named(name.to_owned()))),
        file if file.ends_with(".json") => Ok(DialectArg::File(file.into())),
        _ => {
            let names = dialect::names().join(", ");
            Err(format!("the known dialects are {names}; others are read from a file FILE.json"))
        }
    }
}

/// The dialect of an argument; the model's own without one.
///
/// # Errors
/// A file that cannot be read, or is no dialect.
pub fn wanted(arg: Option<&DialectArg>) -> anyhow::Result<Wanted> {
    match arg {
        None => Ok(Wanted::default()),
        Some(DialectArg::Wanted(wanted)) => Ok(wanted.clone()),
        Some(DialectArg::File(path)) => Ok(Wanted::Given(Arc::new(from_file(path)?))),
    }
}

fn from_file(path: &Path) -> anyhow::Result<Dialect> {
    Dialect::parse(&read(path)?).with_context(|| format!("{} cannot be used", path.display()))
}
