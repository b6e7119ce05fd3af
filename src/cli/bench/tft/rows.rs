//! The rows of a run, and its measured calls.

use super::Args;
use crate::cli::{
    bench::measure::{DataFiles, SpeedPass},
    output,
};
use anyhow::Context;
use edgecall::{
    bench::{
        self, Dataset, Row,
        row::{ByName, Record, RowWriter, SCHEMA_VERSION, Start},
        run::{self, RunPlan, endpoint::Endpoint},
    },
    runtime,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
};

/// Makes the rows that the file at `out` lacks, and returns its writer.
pub(super) fn make_rows(
    args: &Args,
    plan: &RunPlan<'_>,
    endpoint: Option<&Endpoint<'_>>,
    skipped: &ByName<String>,
    out: &Path,
) -> anyhow::Result<RowWriter> {
    let is_new = !out.exists();
    let (mut writer, done) = RowWriter::resume(out)?;
    // Another run may have made it in between.
    let is_new = is_new && done.starts.is_empty();
    let checked = || {
        let run = plan.begin(out, &done)?;
        endpoint.map_or(Ok(()), |endpoint| endpoint.check(out, &done)).map(|()| run)
    };
    let run = checked().inspect_err(|_| {
        if is_new {
            // Otherwise the next run would fail because the file exists.
            let _ = std::fs::remove_file(out);
        }
    });
    let run = run.map_err(|error| match &error {
        bench::Error::OtherKey { .. } => {
            anyhow::Error::new(error).context("these rows cannot be added to; name another file with --out")
        }
        _ => error.into(),
    })?;
    let start = Start {
        schema_version: SCHEMA_VERSION,
        command: std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect(),
        environment: environment(),
        skipped: skipped.clone(),
    };
    writer.append(&Record::Start(start))?;
    let bar = bar(plan.row_count() + endpoint.map_or(0, Endpoint::row_count), "rows");
    bar.set_position(done.rows.len() as u64);
    let mut sink = |row: Row| {
        bar.set_message(format!("{}, {}", row.model, row.key.variant.mode));
        writer.append(&Record::Row(Box::new(row)))?;
        bar.inc(1);
        Ok(())
    };
    let tokens = run.rows(&done, &mut sink)?;
    if let Some(endpoint) = endpoint {
        endpoint.run(&done, &mut sink).context("the server ended the run; go on with --resume")?;
    }
    bar.finish_and_clear();
    if args.timings {
        let (computed, in_all) = (tokens.computed, tokens.in_all);
        // Nobody reads a closed stderr.
        let _ = writeln!(io::stderr(), "prompt tokens computed: {computed} of {in_all}");
    }
    Ok(writer)
}

/// Measures the calls that the file lacks.
pub(super) fn measure(
    pass: &SpeedPass,
    dataset: &Dataset,
    files: &DataFiles,
    writer: &mut RowWriter,
) -> anyhow::Result<()> {
    let bar = bar(pass.turns(), "turns");
    pass.run(dataset, files, writer, &mut |model| {
        bar.set_message(format!("speed of {model}"));
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    Ok(())
}

/// Facts about the machine and the build, by name.
fn environment() -> BTreeMap<String, String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name") || line.starts_with("Model"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let facts = [
        ("edgecall", Some(env!("CARGO_PKG_VERSION").to_owned())),
        ("engine", Some(runtime::ENGINE.to_owned())),
        ("kernels", Some(runtime::kernels::name().to_owned())),
        ("host", Some(run::host())),
        ("system", Some(format!("{} {}", std::env::consts::OS, std::env::consts::ARCH))),
        ("cpu", cpu),
    ];
    facts.into_iter().filter_map(|(name, fact)| Some((name.to_owned(), fact?))).collect()
}

/// Progress bar on stderr if it is a terminal.
fn bar(length: usize, unit: &str) -> ProgressBar {
    if !output::is_stderr_a_screen() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg:24} {wide_bar} {pos} of {len} {prefix} {eta:>4}");
    let bar = ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::stderr());
    bar.set_prefix(unit.to_owned());
    bar.with_style(style.expect("the template is a constant"))
}
