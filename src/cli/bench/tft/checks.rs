//! Checks before a run, and the gates after it.

use super::{Args, Undecided, data_files, out, outputs as files_of, primary};
use crate::cli::{
    bench::{outputs, warn},
    exit::CliError,
};
use anyhow::Context;
use edgecall::{
    Kind,
    bench::{
        Dataset,
        report::Report,
        row::{self, RowFile},
        score::{
            self,
            metric::{self, Source},
            verdict::{Finding, Margin},
        },
    },
};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Returns an error if a requested metric or gate cannot be measured on these data.
pub(super) fn check_metrics(args: &Args, dataset: &Dataset) -> anyhow::Result<()> {
    let require = |what: &str| dataset.require_labels(what);
    if args.primary.is_some() {
        require("--primary names what decides, and a decision")?;
    }
    if args.fail_if_worse {
        require("--fail-if-worse")?;
    }
    if args.judge.is_asked() {
        require("a judge, who compares with them,")?;
    }
    for (name, _) in &args.fail_under {
        if metric::named(name).is_some_and(|metric| metric.needs_label()) {
            require(&format!("--fail-under {name}"))?;
        }
    }
    let data = dataset.identity();
    let gates = args.fail_under.iter().map(|(name, _)| ("--fail-under", name.as_str()));
    for (option, name) in gates.chain([("--primary", primary(args))]) {
        let Some(metric) = metric::named(name) else { continue };
        if !metric.applies_to(Source::Dataset(&data)) {
            return Err(CliError::usage(format!(
                "{name} is fitted to the published test set, and this is another; take another {option}"
            )));
        }
        if metric.needs_judge() && !args.judge.is_asked() {
            return Err(CliError::usage(format!(
                "{name} takes a judge; name one with --judge URL and --judge-model NAME"
            )));
        }
    }
    Ok(())
}

/// Returns an error if an output cannot be written, before any slow step. A row file that is there is
/// added to with --resume, and where it has the default name and rows of this very command alone.
pub(super) fn check_outputs(args: &Args) -> anyhow::Result<()> {
    let out = out(args);
    let (job, test) = data_files(args);
    let mut inputs = vec![&*out, &*job, &*test];
    inputs.extend(args.models.iter().chain(&args.reference).map(PathBuf::as_path));
    outputs::check(&files_of(args), &inputs).map_err(|error| {
        let way_on =
            format!("or make the report later with `edgecall bench report {} --html FILE`", out.display());
        error.context(format!("no row was computed; name another file, {way_on}"))
    })?;
    outputs::writable(&out).with_context(|| format!("cannot write {}", out.display()))?;
    if args.resume || !out.exists() {
        return Ok(row::check_unused(&out)?);
    }
    if args.out.is_none() && is_of_this_command(&out) {
        note(&format!("{} has rows of this command, which are used again", out.display()));
        return Ok(());
    }
    let way_on = "go on with it by --resume, or name another with --out";
    Err(CliError::with_kind(Kind::CannotCreate, format!("{} is there already; {way_on}", out.display())))
}

/// True if every row of the file was made by this command line, but for --resume.
fn is_of_this_command(rows: &Path) -> bool {
    let arguments = |command: &[String]| -> Vec<String> {
        command.iter().skip(1).filter(|argument| *argument != "--resume").cloned().collect()
    };
    let ours: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let ours = arguments(&ours);
    let Ok(rows) = RowFile::read(rows) else { return false };
    !rows.starts.is_empty() && rows.starts.iter().all(|start| arguments(&start.command) == ours)
}

/// Warns of right answers that no model can give under the constraint, and names messages that are not scored.
pub(super) fn warn_of_answers(args: &Args, dataset: &Dataset) {
    let (_, test) = data_files(args);
    if let Some(first) = dataset.unscored.first() {
        let (path, n) = (test.display(), dataset.unscored.len());
        note(&format!(
            "{path}: {n} of the assistant's messages are no single call; they stay in their conversations and are not \
             scored, such as in {first}"
        ));
    }
    let wrong = score::unreachable(dataset);
    let most = 10;
    for answer in wrong.iter().take(most) {
        let (path, line, call, problem) = (test.display(), answer.line, &answer.place, &answer.problem);
        warn(&format!(
            "{path}: line {line}: {call} breaks the tool's schema, so no constrained model can give it: {problem}"
        ));
    }
    if wrong.len() > most {
        warn(&format!(
            "{}: {} more right answers break their tool's schema",
            test.display(),
            wrong.len() - most
        ));
    }
}

/// Returns an error if a gate is not met.
pub(super) fn check_gates(args: &Args, report: &Report) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    if args.fail_if_worse {
        failed.extend(worse(report));
        let undecided = undecided(report);
        match args.undecided {
            Undecided::Fail if !undecided.is_empty() => {
                let open = undecided.join("; ");
                failed.push(format!(
                    "--fail-if-worse is not decided: {open} (--undecided pass lets that pass)"
                ));
            }
            Undecided::Fail => {}
            Undecided::Pass => undecided.iter().for_each(|open| note(&format!("not decided: {open}"))),
        }
    }
    for (metric, least) in &args.fail_under {
        failed.extend(report.variants.iter().filter_map(|variant| {
            let label = &variant.label;
            match variant.mean(metric).and_then(|mean| mean.mean) {
                Some(mean) if mean >= *least => None,
                Some(mean) => Some(format!("{metric} of {label} is {mean:.4}, below {least}")),
                None => Some(format!("{metric} of {label} could not be measured on any row")),
            }
        }));
    }
    if failed.is_empty() { Ok(()) } else { Err(CliError::with_kind(Kind::Negative, failed.join("; "))) }
}

/// Candidates that are worse than the reference.
fn worse(report: &Report) -> impl Iterator<Item = String> {
    report.verdicts.iter().flat_map(|verdict| {
        let worse = verdict.verdict.findings.iter().filter(|finding| finding.worse);
        worse.map(|f| format!("{} is worse than {} ({})", f.name, verdict.reference, verdict.mode))
    })
}

/// Candidates and modes on which nothing is decided: neither worse nor without a loss beyond the margin.
fn undecided(report: &Report) -> Vec<String> {
    let mut open: Vec<String> = report.nothing_to_compare().into_iter().map(str::to_owned).collect();
    for verdict in &report.verdicts {
        let (mode, findings) = (verdict.mode, &verdict.verdict.findings);
        if findings.is_empty() || verdict.verdict.too_few_conversations {
            open.push(format!("{} ({mode})", verdict.sentence.trim_end_matches('.')));
            continue;
        }
        let is_open = |finding: &Finding| !finding.worse && finding.margin != Margin::Within;
        let found = findings.iter().zip(&verdict.words).filter(|(finding, _)| is_open(finding));
        open.extend(found.map(|(finding, words)| format!("{} ({mode}): {words}", finding.name)));
    }
    open
}

fn note(text: &str) {
    // Nobody reads a closed stderr.
    let _ = writeln!(io::stderr(), "note: {text}");
}
