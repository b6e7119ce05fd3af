//! `edgecall bench tft`.

mod checks;
mod rows;
mod values;

use super::{
    calls, checkpoint,
    conditions::Conditions,
    endpoint, judge,
    measure::{DataFiles, SpeedPass},
    network,
    outputs::{self, Output, exported},
    profile,
};
use crate::cli::{
    address_space::READING_BYTES,
    convert::{bundle::Input, file_types},
    exit::{self, CliError},
    model_path,
    numbers::{positive, whole},
    output,
};
use anyhow::Context;

use checks::{check_gates, check_metrics, check_outputs, warn_of_answers};
use edgecall::{
    Kind,
    bench::{
        Dataset, Mode, Split, report, row,
        run::{RunPlan, Settings},
        score::{metric::DEFAULT_PRIMARY, verdict::Rules},
    },
    bundle,
    convert::{self, FileType},
    files, memory, runtime,
};
use rows::{make_rows, measure};
use std::{
    io::{self, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};
use values::{gate, metrics, modes, points, shard, splits};

/// Examples at the end of the help.
const EXAMPLES: &str = "\
Examples:
  edgecall bench tft --data my-data -m a-F16.gguf -m a-Q4_K_M.gguf --html a.html
  edgecall bench tft --data my-data --checkpoint my-model --types q8_0,q4_k_m";

/// The arguments of `edgecall bench tft`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder with the data set: job_description.json (task and tools) and test.jsonl (conversations and right calls)
    #[arg(long, value_name = "DIR", required_unless_present = "test")]
    data: Option<PathBuf>,

    /// Test set, instead of the one in --data
    #[arg(long, value_name = "TEST.jsonl")]
    test: Option<PathBuf>,

    /// Job description, instead of the one in --data or beside --test
    #[arg(long, value_name = "JOB.json")]
    job: Option<PathBuf>,

    /// Do not take task and tools from a model's profile, where the data have none
    #[arg(long)]
    no_profile: bool,

    /// Model to run (repeatable)
    #[arg(short, long = "model", value_name = "MODEL.gguf")]
    #[arg(required_unless_present_any = ["checkpoint", "endpoint", "endpoint_chat"])]
    models: Vec<PathBuf>,

    /// Hugging Face checkpoint to convert first; the converted files are run. A LoRA adapter is merged into its base, and
    /// a bundle is read as `edgecall convert` does
    #[arg(long, value_name = "CHECKPOINT_DIR")]
    checkpoint: Option<PathBuf>,

    /// With --checkpoint: folder of the adapter's base model, instead of the one that its config names
    #[arg(long, value_name = "DIR", requires = "checkpoint")]
    base: Option<PathBuf>,

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

    /// Decode without a grammar (free), or with one that only takes valid calls, with keys in any order (any) or in the
    /// schema's (schema) [default: any; with a server free]
    #[arg(long = "mode", value_name = "MODE", value_delimiter = ',')]
    #[arg(value_parser = modes())]
    modes: Vec<Mode>,

    /// Run all calls of the data set, or the 78 of the TFT test set with published predictions
    #[arg(long, value_name = "SPLIT", default_value = "all359", value_parser = splits())]
    split: Split,

    /// Run only the first N calls of the data set
    #[arg(long, value_name = "N", value_parser = positive)]
    limit: Option<NonZeroUsize>,

    /// Run every Nth conversation, starting with the Ith, to share the work between machines; 1/2 and 2/2 cover all
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<(usize, usize)>,

    /// Maximum number of tokens in an answer
    #[arg(long, value_name = "N", default_value = "512", value_parser = positive)]
    max_tokens: NonZeroUsize,

    #[command(flatten)]
    conditions: Conditions,

    /// Measure the speed of calls on the first N conversations, with models taking turns; 0 measures none
    #[arg(long, value_name = "N", default_value = "3", value_parser = whole)]
    speed: usize,

    /// Do not measure how far probabilities move: the negative log-likelihood and the KL divergence
    #[arg(long)]
    no_drift: bool,

    /// Metric that the verdict is based on [default: staged_tool_call]
    #[arg(long, value_name = "METRIC", value_parser = metrics())]
    primary: Option<String>,

    /// Largest acceptable loss of the primary metric, in percentage points
    #[arg(long, value_name = "POINTS", default_value = "3", value_parser = points)]
    margin: f64,

    /// File to append the rows to [default: bench-tft.jsonl, of a shard bench-tft-IofN.jsonl]
    #[arg(short, long, value_name = "RUN.jsonl")]
    out: Option<PathBuf>,

    /// Go on with an interrupted run: keep the rows in --out, and add those that are missing
    #[arg(long)]
    resume: bool,

    /// Write the report as JSON, with every score, to this file
    #[arg(long, value_name = "FILE.json")]
    json: Option<PathBuf>,

    /// Write the report as Markdown to this file
    #[arg(long, value_name = "FILE.md")]
    markdown: Option<PathBuf>,

    /// Write the report as an HTML page with charts to this file
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,

    /// Exit with 1 if a model is worse than the reference, or if that is not decided
    #[arg(long)]
    fail_if_worse: bool,

    /// With --fail-if-worse: what becomes of models on which nothing is decided
    #[arg(long, value_name = "RESULT", default_value = "fail", requires = "fail_if_worse")]
    undecided: Undecided,

    /// Exit with 1 if the mean of this metric is below X for any model (repeatable)
    #[arg(long, value_name = "METRIC=X", value_parser = gate)]
    fail_under: Vec<(String, f64)>,

    /// Print the number of prompt tokens that were computed to stderr
    #[arg(long)]
    timings: bool,

    #[command(flatten)]
    calls: calls::Args,

    #[command(flatten)]
    endpoint: endpoint::Args,

    #[command(flatten)]
    judge: judge::Args,

    #[command(flatten)]
    network: network::Args,
}

/// Result of a gate on which nothing is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Undecided {
    Fail,
    Pass,
}

/// Runs the command.
pub fn run(mut args: Args) -> anyhow::Result<()> {
    runtime::kernels::active()?;
    for path in args.models.iter_mut().chain(&mut args.reference) {
        *path = model_path::gguf(path)?;
    }
    args.checkpoint = args.checkpoint.as_deref().map(model_path::checkpoint).transpose()?;
    if !args.conditions.force {
        memory::check_address_space(READING_BYTES)?;
    }
    args.base = args.base.as_deref().map(model_path::checkpoint).transpose()?;
    let has_models = !args.models.is_empty() || args.checkpoint.is_some();
    args.modes = args.endpoint.modes(&args.modes, has_models)?;
    // Finished rows are on disk: Ctrl-C loses only the current one, and the files of an unfinished conversion.
    exit::leave_on_interrupt("interrupted; go on with --resume", || {
        convert::abandon();
        bundle::abandon();
    })?;
    let input = args
        .checkpoint
        .as_deref()
        .map(|dir| checkpoint::open(dir, args.base.as_deref(), &args.models_dir))
        .transpose()?;
    let (dataset, mut files) = dataset(&args, input.as_ref())?;
    check_metrics(&args, &dataset)?;
    let cases = cases(&args, &dataset)?;
    check_outputs(&args)?;
    warn_of_answers(&args, &dataset);
    let judge =
        args.judge.prepare(&args.network, dataset.job.judge_instructions.as_deref(), &data_files(&args).0)?;
    let settings = settings(&args)?;
    let mut server = args.endpoint.connect(&args.network, has_models, args.calls.template_file())?;
    if let Some(input) = &input {
        let converted = checkpoint::convert(input, &args.types, &args.models_dir, args.resume)
            .map_err(|error| input.in_archive(error))?;
        if files.profile_of.is_some() && files.profile_of == args.checkpoint {
            // The measuring processes read it from there.
            checkpoint::check_profile(input, &converted[0])?;
            files.profile_of = Some(converted[0].clone());
        }
        args.models.extend(converted);
    }
    drop(input);
    let paths = paths(&args)?;
    let is_reference = |path: &Path| args.reference.as_ref().is_some_and(|named| same(path, named));
    let models =
        args.conditions.load(&paths, is_reference, args.endpoint.is_reference(), (&dataset, &settings))?;
    args.endpoint.complete(&mut server, models.reference())?;
    let endpoint = server.as_ref().map(|server| server.endpoint(&dataset, cases.clone(), &settings));
    if let Some(endpoint) = &endpoint {
        endpoint::warn_of_special_tokens(endpoint, &data_files(&args).1)?;
    }
    let plan = RunPlan { dataset: &dataset, cases, configs: models.configs(), settings };
    let out = out(&args);
    let mut writer = make_rows(&args, &plan, endpoint.as_ref(), &models.skipped, &out)?;
    let pass = SpeedPass::new(&plan, args.speed, &args.calls)?;
    // Frees the memory for the measuring processes.
    drop(plan);
    drop(models);
    measure(&pass, &dataset, &files, &mut writer)?;
    if let Some(judge) = judge {
        judge.judge_file(&mut writer, &dataset).context("the judge ended the run; go on with --resume")?;
    }
    let rows = writer.contents()?;
    drop(writer);
    let rows = row::merge(&[(out.clone(), rows)])?;
    let report = report::collect(&rows, &Rules::default()).ok_or_else(|| {
        CliError::with_kind(Kind::Data, "this shard has no conversations; there are fewer than shards")
    })?;
    // The text comes last and in any case: a file that cannot be written takes nothing else along.
    let written = outputs::write(&outputs(&args), &report, &out);
    output::text(&exported("text", &report))?;
    written?;
    check_gates(&args, &report)
}

fn settings(args: &Args) -> anyhow::Result<Settings> {
    Ok(Settings {
        modes: args.modes.clone(),
        max_tokens: args.max_tokens.get(),
        primary: primary(args).to_owned(),
        margin: args.margin / 100.0,
        // After reasoning, the right answer's probabilities would be those of another prompt.
        divergence: !args.no_drift && !args.calls.reasons(),
        calls: args.calls.settings(args.endpoint.is_asked())?,
    })
}

/// Name of the primary metric.
fn primary(args: &Args) -> &str {
    args.primary.as_deref().unwrap_or(DEFAULT_PRIMARY.name())
}

fn dataset(args: &Args, input: Option<&Input>) -> anyhow::Result<(Dataset, DataFiles)> {
    let (job, test) = data_files(args);
    let mut profile_of = None;
    let dataset = Dataset::open_files_or(&job, &test, || {
        let found = match (input, &args.checkpoint) {
            _ if args.no_profile => None,
            (Some(input), Some(dir)) if args.models.is_empty() => {
                checkpoint::job(input, dir)?.map(|job| (dir.clone(), job))
            }
            _ => profile::job_of_models(&args.models)?,
        };
        let (path, job) = found.unzip();
        profile_of = path;
        Ok(job)
    })?;
    if let Some(model) = &profile_of {
        // Nobody reads a closed stderr.
        let _ = writeln!(
            io::stderr(),
            "note: {} is missing; task and tools are those of the profile in {}",
            job.display(),
            model.display()
        );
    }
    super::warn_of_tools(&job, &test, &dataset);
    Ok((dataset, DataFiles { job, test, profile_of }))
}

/// Paths of the data: the job description and the test set.
fn data_files(args: &Args) -> (PathBuf, PathBuf) {
    let test = place(&args.test, &args.data, "test.jsonl");
    let beside_test = Some(files::folder_of(&test).to_path_buf());
    let job =
        place(&args.job, args.data.as_ref().map_or(&beside_test, |_| &args.data), "job_description.json");
    (job, test)
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
            return Err(CliError::usage(format!("{} is named twice; name each model once", path.display())));
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

/// Files for the report.
fn outputs(args: &Args) -> Vec<Output<'_>> {
    let files = [("json", &args.json), ("markdown", &args.markdown), ("html", &args.html)];
    files.into_iter().filter_map(|(form, path)| Some(Output { form, path: path.as_ref()? })).collect()
}
