//! `edgecall bench report`.

use super::{
    judge, network,
    outputs::{self, Output, exported, write_beside},
    read_rows,
};
use crate::cli::{exit::CliError, numbers::seed, output};
use anyhow::Context;
use edgecall::{
    Kind,
    bench::{
        Dataset, report,
        row::{self, RowFile},
        score::verdict::Rules,
    },
};
use std::path::{Path, PathBuf};

/// The arguments of `edgecall bench report`.
#[derive(clap::Args)]
pub struct Args {
    /// Rows to report; several files are merged as shards of one run
    #[arg(value_name = "RUN.jsonl", required = true)]
    files: Vec<PathBuf>,

    /// Print one JSON document, with every score
    #[arg(long, conflicts_with = "markdown")]
    json: bool,

    /// Print Markdown
    #[arg(long)]
    markdown: bool,

    /// Write an HTML page with charts to this file
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,

    /// Random seed of the statistics (bootstrap, sign-flip test)
    #[arg(long, value_name = "SEED", default_value_t = Rules::default().seed, value_parser = seed)]
    seed: u64,

    /// With --judge: folder with the data of the rows
    #[arg(long, value_name = "DIR", requires = "judge")]
    data: Option<PathBuf>,

    #[command(flatten)]
    judge: judge::Args,

    #[command(flatten)]
    network: network::Args,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let files = read_rows(&args.files)?;
    let mut rows = row::merge(&files)?;
    if let Some(path) = &args.html {
        let inputs: Vec<&Path> = args.files.iter().map(PathBuf::as_path).collect();
        outputs::check(&[Output { form: "html", path }], &inputs)?;
    }
    judge_rows(&args, &mut rows)?;
    let rules = Rules { seed: args.seed, ..Rules::default() };
    let report = report::collect(&rows, &rules).ok_or_else(|| {
        CliError::with_kind(Kind::Data, "there are no rows to report; a run writes one for each answer")
    })?;
    if let Some(path) = &args.html {
        let page = exported("html", &report);
        write_beside(path, &page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let form = match (args.json, args.markdown) {
        (true, _) => "json",
        (_, true) => "markdown",
        _ => "text",
    };
    Ok(output::text(&exported(form, &report))?)
}

/// Adds verdicts of the judge to the rows in memory, if a judge was given; the files do not change.
fn judge_rows(args: &Args, rows: &mut RowFile) -> anyhow::Result<()> {
    if !args.judge.is_asked() {
        return Ok(());
    }
    let Some(folder) = &args.data else {
        return Err(CliError::usage(
            "a judge reads the conversations; name the folder of the data with --data",
        ));
    };
    let dataset = Dataset::open(folder)?;
    if rows.rows.iter().any(|row| row.data != dataset.identity()) {
        let problem =
            format!("the rows are of other data than {}; name the folder of theirs", folder.display());
        return Err(CliError::with_kind(Kind::Data, problem));
    }
    dataset.require_labels("a judge, who compares with them,")?;
    let criteria = dataset.job.judge_instructions.as_deref();
    let judge = args.judge.prepare(&args.network, criteria, &folder.join("job_description.json"))?;
    if let Some(judge) = judge {
        judge.run(|judge, progress| judge.judge_rows(&mut rows.rows, &dataset, progress))?;
    }
    Ok(())
}
