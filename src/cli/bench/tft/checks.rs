//! Checks before a run, and the gates after it.

use super::{Args, out, primary};
use crate::cli::exit::CliError;
use edgecall::{
    Kind,
    bench::{
        Dataset,
        report::Report,
        row,
        score::metric::{self, Source},
    },
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

/// Returns an error if the row file exists and the run does not resume, before any slow step.
pub(super) fn refuse_overwriting(args: &Args) -> anyhow::Result<()> {
    let out = out(args);
    if args.resume || !out.exists() {
        return Ok(row::check_unused(&out)?);
    }
    let way_on = "go on with it by --resume, or name another with --out";
    Err(CliError::with_kind(Kind::CannotCreate, format!("{} is there already; {way_on}", out.display())))
}

/// Returns an error if a gate is not met.
pub(super) fn check_gates(args: &Args, report: &Report) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    if args.fail_if_worse {
        for verdict in &report.verdicts {
            let worse = verdict.verdict.findings.iter().filter(|finding| finding.worse);
            failed.extend(
                worse.map(|f| format!("{} is worse than {} ({})", f.name, verdict.reference, verdict.mode)),
            );
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
