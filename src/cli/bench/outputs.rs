//! Files for reports: checked before a run, and written at its end.
//!
//! A report that is there is replaced, since it can be made again from its rows; a line on stderr says so. Rows are never
//! replaced.

use crate::cli::exit::CliError;
use anyhow::Context;
use edgecall::{
    Kind,
    bench::report::{self, Report},
    files,
};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A file for the report in one format.
pub struct Output<'p> {
    /// The format, which is also the name of the option.
    pub form: &'static str,
    /// The file.
    pub path: &'p Path,
}

/// Returns an error if an output cannot be written, or is one of `inputs` or another output.
pub fn check(outputs: &[Output<'_>], inputs: &[&Path]) -> anyhow::Result<()> {
    for (index, Output { form, path }) in outputs.iter().enumerate() {
        let same = |other: &Path| place(other) == place(path);
        if let Some(other) = outputs[..index].iter().find(|other| same(other.path)) {
            let message = format!("--{} and --{form} are the same file, {}", other.form, path.display());
            return Err(CliError::usage(format!("{message}; name two")));
        }
        if inputs.iter().any(|input| same(input)) {
            let message =
                format!("--{form} {} is a file that this run reads or adds rows to", path.display());
            return Err(CliError::usage(format!("{message}; name another")));
        }
    }
    for Output { path, .. } in outputs {
        writable(path).with_context(|| format!("cannot write {}", path.display()))?;
        if path.exists() {
            // Nobody reads a closed stderr.
            let _ = writeln!(io::stderr(), "note: {} is there and will be replaced", path.display());
        }
    }
    Ok(())
}

/// Returns an error if `path` cannot be written: no folder, no permission, or no regular file.
pub fn writable(path: &Path) -> anyhow::Result<()> {
    let target = target(path)?;
    if target.exists() {
        OpenOptions::new().append(true).open(&target).map_err(cannot)?;
    }
    beside(&target).map(drop)
}

/// Writes the report in every format; returns an error after the last, if one failed.
#[cfg(feature = "engine")]
pub fn write(outputs: &[Output<'_>], report: &Report, rows: &Path) -> anyhow::Result<()> {
    let mut result = Ok(());
    for Output { form, path } in outputs {
        let written = write_beside(path, &exported(form, report)).with_context(|| {
            let (path, rows) = (path.display(), rows.display());
            let option = match *form {
                "html" => format!("--html {path}"),
                form => format!("--{form} > {path}"),
            };
            format!("cannot write {path}; `edgecall bench report {rows} {option}` makes it from the rows")
        });
        result = result.and(written);
    }
    result
}

/// The report in the format called `form`.
pub fn exported(form: &str, report: &Report) -> String {
    report::exporter(form).expect("the form is one of EXPORTERS").export(report)
}

/// Writes a temporary file and renames it, so that a killed process leaves no partial page.
pub fn write_beside(path: &Path, text: &str) -> anyhow::Result<()> {
    let target = target(path)?;
    let mut file = beside(&target)?;
    file.write_all(text.as_bytes())?;
    file.persist(&target).map_err(|e| cannot(e.error))?;
    Ok(())
}

/// A temporary file in the folder of `target`.
fn beside(target: &Path) -> anyhow::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    // Permissions of any new file; a temporary one is private to its owner.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let folder = files::folder_of(target);
    // tempfile's own error repeats the path of the temporary file.
    let file = fs::metadata(folder)
        .and_then(|_| builder.tempfile_in(folder).map_err(|error| io::Error::from(error.kind())))
        .map_err(cannot);
    file.with_context(|| format!("no file can be created in {}", folder.display()))
}

/// The file that `path` leads to, which may not be there yet. A link is followed, so that it stays a link.
fn target(path: &Path) -> anyhow::Result<PathBuf> {
    let refused = |problem: &str| CliError::with_kind(Kind::CannotCreate, problem);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => fs::canonicalize(path).map_err(cannot),
        Ok(_) => Err(refused("it is not a regular file")),
        Err(_) if fs::symlink_metadata(path).is_ok() => Err(refused("it is a link that leads nowhere")),
        Err(_) => Ok(path.to_path_buf()),
    }
}

/// The place of `path`, by which two names of one file are equal.
fn place(path: &Path) -> PathBuf {
    let in_folder = || Some(fs::canonicalize(files::folder_of(path)).ok()?.join(path.file_name()?));
    fs::canonicalize(path).ok().or_else(in_folder).unwrap_or_else(|| path.to_path_buf())
}

fn cannot(error: io::Error) -> anyhow::Error {
    CliError::with_kind(Kind::CannotCreate, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs<'p>(paths: &[(&'static str, &'p Path)]) -> Vec<Output<'p>> {
        paths.iter().map(|(form, path)| Output { form, path }).collect()
    }

    #[test]
    fn an_output_that_cannot_be_written_or_is_an_input_is_refused_before_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (page, nowhere, rows) = (at("page.html"), at("nodir/page.html"), at("rows.jsonl"));
        fs::write(&rows, "kept").unwrap();
        fs::create_dir(at("folder")).unwrap();
        std::os::unix::fs::symlink("missing", at("dangling")).unwrap();
        let said = |outputs: &[Output<'_>]| match check(outputs, &[&rows]) {
            Ok(()) => String::new(),
            Err(error) => format!("{error:#}"),
        };
        assert_eq!(said(&outputs(&[("html", &page), ("json", &at("page.json"))])), "");
        assert!(!page.exists(), "the check leaves nothing behind");
        let once_more = at("folder/../page.html");
        for (outputs, expected) in [
            (outputs(&[("html", &nowhere)]), "nodir: No such file or directory (os error 2)\n"),
            (outputs(&[("html", &page), ("json", &once_more)]), "--html and --json are the same file"),
            (outputs(&[("json", &at("folder/../rows.jsonl"))]), "is a file that this run reads"),
            (outputs(&[("json", &at("folder"))]), "not a regular file"),
            (outputs(&[("json", &at("dangling"))]), "a link that leads nowhere"),
            (outputs(&[("markdown", Path::new("/dev/null"))]), "not a regular file"),
        ] {
            let said = said(&outputs) + "\n";
            assert!(said.contains(expected), "{said}: {expected}");
        }
        assert_eq!(fs::read_to_string(&rows).unwrap(), "kept");
    }

    #[test]
    fn a_page_is_written_through_a_link_to_its_target() {
        let folder = tempfile::tempdir().unwrap();
        let (page, link) = (folder.path().join("page.html"), folder.path().join("link.html"));
        fs::write(&page, "old").unwrap();
        std::os::unix::fs::symlink(&page, &link).unwrap();
        write_beside(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&page).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
