//! `edgecall bench tft`.

use super::{
    checkpoint,
    conditions::Conditions,
    endpoint, judge,
    measure::Pass,
    network,
    report::{exported, write_beside},
};
use crate::cli::{
    convert::file_types,
    exit::{self, Failure},
    output,
};
use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use edgecall::{
    Kind,
    bench::{
        Dataset, Mode, Row, Split,
        report::{self, Report},
        row::{self, ByName, Record, RowFile, RowWriter, SCHEMA_VERSION, Start},
        run::{self, RunPlan, Settings, endpoint::Endpoint},
        score::{
            metric::{self, DEFAULT_PRIMARY, METRICS, Source},
            verdict::Rules,
        },
    },
    convert::{self, FileType},
    runtime,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

/// The arguments of `edgecall bench tft`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder with job_description.json and test.jsonl
    #[arg(long, value_name = "DIR", required_unless_present_all = ["job", "test"])]
    data: Option<PathBuf>,

    /// Test set, instead of the one in --data
    #[arg(long, value_name = "TEST.jsonl")]
    test: Option<PathBuf>,

    /// Job description, instead of the one in --data
    #[arg(long, value_name = "JOB.json")]
    job: Option<PathBuf>,

    /// Model to run (repeatable)
    #[arg(short, long = "model", value_name = "MODEL.gguf")]
    #[arg(required_unless_present_any = ["checkpoint", "endpoint", "endpoint_chat"])]
    models: Vec<PathBuf>,

    /// Checkpoint to convert first; the converted files are run
    #[arg(long, value_name = "CHECKPOINT_DIR")]
    checkpoint: Option<PathBuf>,

    /// With --checkpoint: types to compare; F16 is always included
    #[arg(long, value_name = "TYPE", value_delimiter = ',', default_value = "f16,q8_0,q4_k_m,q4_0")]
    #[arg(value_parser = file_types(), ignore_case = true)]
    types: Vec<FileType>,

    /// With --checkpoint: folder for the converted files
    #[arg(long, value_name = "DIR", default_value = "bench-tft-models")]
    models_dir: PathBuf,

    /// Model to compare the others with [default: the F32 file, else F16, else the first]
    #[arg(long, value_name = "MODEL.gguf")]
    reference: Option<PathBuf>,

    /// Decode freely, or constrained to a call with keys in any order or in the schema's [default: any; with a server
    /// free]
    #[arg(long = "mode", value_name = "MODE", value_delimiter = ',')]
    #[arg(value_parser = modes())]
    modes: Vec<Mode>,

    /// Run all cases, or the 78 with published predictions
    #[arg(long, value_name = "SPLIT", default_value = "all359", value_parser = splits())]
    split: Split,

    /// Run only the first N cases
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,

    /// Run every Nth conversation, starting with the Ith; 1/3, 2/3 and 3/3 cover all
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<(usize, usize)>,

    /// Maximum number of tokens in an answer
    #[arg(long, value_name = "N", default_value = "512")]
    max_tokens: NonZeroUsize,

    #[command(flatten)]
    conditions: Conditions,

    /// Measure the speed of calls on the first N conversations; models take turns
    #[arg(long, value_name = "N", default_value = "3")]
    speed: usize,

    /// Do not measure NLL and KL divergence
    #[arg(long)]
    no_drift: bool,

    /// Metric that the verdict is based on [default: staged_tool_call]
    #[arg(long, value_name = "METRIC", value_parser = metrics())]
    primary: Option<String>,

    /// Largest acceptable loss, in percentage points
    #[arg(long, value_name = "POINTS", default_value = "3", value_parser = points)]
    margin: f64,

    /// File to append the rows to [default: bench-tft.jsonl, of a shard bench-tft-IofN.jsonl]
    #[arg(short, long, value_name = "RUN.jsonl")]
    out: Option<PathBuf>,

    /// Resume an interrupted run
    #[arg(long)]
    resume: bool,

    /// Write the report as JSON to this file, with every score
    #[arg(long, value_name = "FILE.json")]
    json: Option<PathBuf>,

    /// Write the report as Markdown to this file
    #[arg(long, value_name = "FILE.md")]
    markdown: Option<PathBuf>,

    /// Write the report as an HTML page with charts to this file
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,

    /// Exit with 1 if a model is worse than the reference
    #[arg(long)]
    fail_if_worse: bool,

    /// Exit with 1 if the mean of this metric is below X for any model (repeatable)
    #[arg(long, value_name = "METRIC=X", value_parser = gate)]
    fail_under: Vec<(String, f64)>,

    /// Print the number of computed prompt tokens to stderr
    #[arg(long)]
    timings: bool,

    #[command(flatten)]
    endpoint: endpoint::Args,

    #[command(flatten)]
    judge: judge::Args,

    #[command(flatten)]
    network: network::Args,
}

fn modes() -> impl TypedValueParser<Value = Mode> {
    PossibleValuesParser::new(Mode::ALL.map(Mode::name))
        .map(|name| Mode::ALL.into_iter().find(|mode| mode.name() == name).expect("clap takes no other name"))
}

fn splits() -> impl TypedValueParser<Value = Split> {
    PossibleValuesParser::new(Split::ALL.map(|(name, _)| name)).map(|name| {
        let found = Split::ALL.into_iter().find(|(known, _)| *known == name);
        found.expect("clap takes no other name").1
    })
}

fn metrics() -> PossibleValuesParser {
    PossibleValuesParser::new(METRICS.iter().map(|metric| metric.name()))
}

fn shard(text: &str) -> Result<(usize, usize), String> {
    let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match numbers {
        Some((i, n)) if (1..=n).contains(&i) => Ok((i, n)),
        _ => Err("expected I/N with I from 1 to N, such as 2/3".into()),
    }
}

fn points(text: &str) -> Result<f64, String> {
    let points = text.parse().ok().filter(|points: &f64| *points > 0.0 && *points < 100.0);
    points.ok_or_else(|| "expected points between 0 and 100, such as 3".into())
}

fn gate(text: &str) -> Result<(String, f64), String> {
    let parts = text.split_once('=').and_then(|(name, x)| Some((name, x.parse().ok()?)));
    let Some((name, least)) = parts.filter(|(_, x): &(_, f64)| (0.0..=1.0).contains(x)) else {
        return Err("expected METRIC=X with X from 0 to 1, such as staged_tool_call=0.7".into());
    };
    let names: Vec<&str> = METRICS.iter().map(|metric| metric.name()).collect();
    match names.contains(&name) {
        true => Ok((name.to_owned(), least)),
        false => Err(format!("`{name}` is no metric; there are {}", names.join(", "))),
    }
}

/// Runs the command.
pub fn run(mut args: Args) -> anyhow::Result<()> {
    runtime::kernels::active()?;
    let has_models = !args.models.is_empty() || args.checkpoint.is_some();
    args.modes = args.endpoint.modes(&args.modes, has_models)?;
    let dataset = dataset(&args)?;
    check_metrics(&args, &dataset)?;
    let cases = cases(&args, &dataset)?;
    // Finished rows are on disk: Ctrl-C loses only the current one, and the files of an unfinished conversion.
    exit::leave_on_interrupt("interrupted; go on with --resume", convert::abandon)?;
    refuse_overwriting(&args)?;
    let judge =
        args.judge.prepare(&args.network, dataset.job.judge_instructions.as_deref(), &data_files(&args).0)?;
    let mut server = args.endpoint.connect(&args.network, has_models)?;
    if let Some(dir) = &args.checkpoint {
        args.models.extend(checkpoint::convert(dir, &args.types, &args.models_dir, args.resume)?);
    }
    let paths = paths(&args)?;
    let is_reference = |path: &Path| args.reference.as_ref().is_some_and(|named| same(path, named));
    let field = args.conditions.field(
        &paths,
        is_reference,
        args.endpoint.is_reference(),
        (&dataset, args.max_tokens.get()),
    )?;
    let settings = Settings {
        modes: args.modes.clone(),
        max_tokens: args.max_tokens.get(),
        primary: primary(&args).to_owned(),
        margin: args.margin / 100.0,
        divergence: !args.no_drift,
    };
    args.endpoint.complete(&mut server, field.reference())?;
    let endpoint = server.as_ref().map(|server| server.endpoint(&dataset, cases.clone(), &settings));
    let plan = RunPlan { dataset: &dataset, cases, configs: field.configs(), settings };
    let out = out(&args);
    make_rows(&args, &plan, endpoint.as_ref(), &field.skipped, &out)?;
    let pass = Pass::new(&plan, args.speed)?;
    // Frees the memory for the measuring processes.
    drop(plan);
    drop(field);
    measure(&args, &pass, &dataset, &out)?;
    if let Some(judge) = judge {
        judge.judge_file(&out, &dataset).context("the judge ended the run; go on with --resume")?;
    }
    let rows = RowFile::read(&out)?;
    let rows = row::merge(&[(out, rows)])?;
    let report = report::collect(&rows, &Rules::default()).ok_or_else(|| {
        Failure::of(Kind::Data, "this shard has no conversations; there are fewer than shards")
    })?;
    write_reports(&args, &report)?;
    check_gates(&args, &report)
}

/// Name of the primary metric.
fn primary(args: &Args) -> &str {
    args.primary.as_deref().unwrap_or(DEFAULT_PRIMARY.name())
}

/// Returns an error if a requested metric or gate cannot be measured on these data.
fn check_metrics(args: &Args, dataset: &Dataset) -> anyhow::Result<()> {
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
            return Err(Failure::usage(format!(
                "{name} is fitted to the published test set, and this is another; take another {option}"
            )));
        }
        if metric.needs_judge() && !args.judge.is_asked() {
            return Err(Failure::usage(format!(
                "{name} takes a judge; name one with --judge URL and --judge-model NAME"
            )));
        }
    }
    Ok(())
}

/// Returns an error if the row file exists and the run does not resume, before any slow step.
fn refuse_overwriting(args: &Args) -> anyhow::Result<()> {
    let out = out(args);
    if args.resume || !out.exists() {
        return Ok(());
    }
    let way_on = "go on with it by --resume, or name another with --out";
    Err(Failure::of(Kind::CannotCreate, format!("{} is there already; {way_on}", out.display())))
}

fn dataset(args: &Args) -> anyhow::Result<Dataset> {
    let (job, test) = data_files(args);
    Ok(Dataset::open_files(&job, &test)?)
}

/// Paths of the data: the job description and the test set.
fn data_files(args: &Args) -> (PathBuf, PathBuf) {
    let job = place(&args.job, &args.data, "job_description.json");
    let test = place(&args.test, &args.data, "test.jsonl");
    (job, test)
}

fn measure(args: &Args, pass: &Pass, dataset: &Dataset, out: &Path) -> anyhow::Result<()> {
    let (job, test) = data_files(args);
    let bar = bar(pass.turns(), "turns");
    pass.run(dataset, (&job, &test), out, &mut |model| {
        bar.set_message(format!("speed of {model}"));
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    Ok(())
}

/// The path given, else `name` in the folder.
fn place(named: &Option<PathBuf>, folder: &Option<PathBuf>, name: &str) -> PathBuf {
    let beside = || folder.as_ref().map(|folder| folder.join(name)).unwrap_or_default();
    named.clone().unwrap_or_else(beside)
}

/// Indices of the cases to run.
fn cases(args: &Args, dataset: &Dataset) -> anyhow::Result<Vec<usize>> {
    let split = dataset.split(args.split)?;
    let limit = args.limit.map_or(usize::MAX, NonZeroUsize::get);
    let (i, n) = args.shard.unwrap_or((1, 1));
    let is_ours = |case: &usize| dataset.cases[*case].conversation % n == i - 1;
    Ok(split.take(limit).filter(is_ours).collect())
}

/// Paths of the models, the reference included.
fn paths(args: &Args) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in &args.models {
        if paths.iter().any(|other| same(other, path)) {
            return Err(Failure::usage(format!("{} is named twice; name each model once", path.display())));
        }
        paths.push(path.clone());
    }
    let unnamed = args.reference.as_ref().filter(|path| !paths.iter().any(|other| same(other, path)));
    paths.extend(unnamed.cloned());
    Ok(paths)
}

/// True if two paths lead to the same file.
fn same(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn out(args: &Args) -> PathBuf {
    args.out.clone().unwrap_or_else(|| match args.shard {
        Some((i, n)) => format!("bench-tft-{i}of{n}.jsonl").into(),
        None => "bench-tft.jsonl".into(),
    })
}

fn make_rows(
    args: &Args,
    plan: &RunPlan<'_>,
    endpoint: Option<&Endpoint<'_>>,
    skipped: &ByName<String>,
    out: &Path,
) -> anyhow::Result<()> {
    let is_new = !out.exists();
    let (mut writer, done) = RowWriter::resume(out)?;
    let checked = || {
        let run = plan.begin(out, &done)?;
        endpoint.map_or(Ok(()), |endpoint| endpoint.check(out, &done)).map(|()| run)
    };
    let run = checked().inspect_err(|_| {
        if is_new {
            // Otherwise the next run would fail because the file exists.
            let _ = std::fs::remove_file(out);
        }
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
fn bar(length: usize, what: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg:24} {wide_bar} {pos} of {len} {prefix} {eta:>4}");
    let bar = ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::stderr());
    bar.set_prefix(what.to_owned());
    bar.with_style(style.expect("the template is a constant"))
}

fn write_reports(args: &Args, report: &Report) -> anyhow::Result<()> {
    let files = [("json", &args.json), ("markdown", &args.markdown), ("html", &args.html)];
    for (form, path) in files.into_iter().filter_map(|(form, path)| Some((form, path.as_ref()?))) {
        let cannot = || format!("cannot write {}", path.display());
        write_beside(path, &exported(form, report)).with_context(cannot)?;
    }
    Ok(output::text(&exported("text", report))?)
}

/// Returns an error if a gate is not met.
fn check_gates(args: &Args, report: &Report) -> anyhow::Result<()> {
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
    if failed.is_empty() { Ok(()) } else { Err(Failure::of(Kind::Negative, failed.join("; "))) }
}
