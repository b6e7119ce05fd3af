//! `edgecall man`: a hidden command for packages and manual builds.

use super::{
    Cli,
    exit::{CliError, MEANINGS},
};
use clap::{Command, CommandFactory};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};
use edgecall::Kind;
use std::{fs, io, path::PathBuf};

/// The arguments of `edgecall man`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder for the pages
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let write = || -> io::Result<()> {
        fs::create_dir_all(&args.folder)?;
        pages()?.iter().try_for_each(|(name, page)| fs::write(args.folder.join(name), page))
    };
    write().map_err(|e| {
        CliError::with_kind(Kind::CannotCreate, format!("cannot write into {}: {e}", args.folder.display()))
    })
}

/// File names and contents of the pages; the program's page comes first.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    add(&program, &mut pages)?;
    exit_status().to_writer(&mut pages[0].1)?;
    Ok(pages)
}

/// Adds the page of `command` and those of its subcommands.
fn add(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    // Same inputs, same bytes: no date. An empty date would not be quoted, and the next field would take its place.
    let man = Man::new(command.clone())
        .date(" ")
        .source(concat!("edgecall ", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut page = Vec::new();
    man.render(&mut page)?;
    pages.push((man.get_filename(), page));
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .try_for_each(|command| add(command, pages))
}

fn exit_status() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (number, meaning) in MEANINGS {
        roff.control("TP", []).text([bold(number.to_string())]).text([roman(meaning)]);
    }
    roff
}

#[cfg(all(test, feature = "engine"))]
mod tests {
    use super::*;

    #[test]
    fn each_visible_command_has_a_page_that_names_its_options() {
        let pages = pages().unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[..3], ["edgecall.1", "edgecall-pull.1", "edgecall-convert.1"]);
        assert!(
            names.contains(&"edgecall-bench-tft.1") && names.contains(&"edgecall-cache-list.1"),
            "{names:?}"
        );
        assert!(
            !names.contains(&"edgecall-man.1") && !names.contains(&"edgecall-bench-measure.1"),
            "{names:?}"
        );
        let page = |wanted: &str| {
            let (_, page) = pages.iter().find(|(name, _)| name == wanted).unwrap();
            String::from_utf8(page.clone()).unwrap()
        };
        assert!(page("edgecall-call.1").contains(r"\-\-tool\-choice"));
        assert!(page("edgecall-call.1").contains("EDGECALL_MODEL"));
        assert!(page("edgecall.1").contains("EXIT STATUS") && page("edgecall.1").contains("Interrupted"));
    }
}
