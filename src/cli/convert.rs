//! `edgecall convert`.

pub mod bundle;
#[cfg(feature = "engine")]
#[path = "convert/checks.rs"]
mod checks;
#[cfg(not(feature = "engine"))]
#[path = "convert/no_checks.rs"]
mod checks;
#[path = "convert/source.rs"]
pub mod source;

use super::{
    exit::{CliError, leave, watch_interrupt},
    model_path,
    numbers::positive,
    output::{self, Format},
    profile_args::ProfileArgs,
};
use bundle::Input;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use edgecall::{
    Kind,
    adapter::Mode,
    convert::{
        self, FileType, Override, Plan, Progress, Recipe, Report, Targets,
        report::{AnswersMade, TokenCheck, WitnessCheck},
    },
    display::bytes,
    machine, memory,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    num::NonZero,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Examples at the end of the help.
const EXAMPLES: &str = "\
Examples:
  edgecall convert my-model                                (my-model-Q4_K_M.gguf)
  edgecall convert my-model -t f16,q8_0,q4_k_m -o folder   (three files in folder)
  edgecall convert my-lora --base my-model                 (an adapter, merged into its base)
  edgecall convert weather.tar                             (a bundle: model, prompt and tools)
  edgecall convert my-model --task task.txt --tools tools.json   (with a profile)";

/// The arguments of `edgecall convert`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder with config.json, tokenizer.json and model*.safetensors, as transformers saves a model; a LoRA adapter of
    /// peft, which is merged into its base; a bundle, a folder or tar with one of these in it and the files that tell how
    /// the model is called (docs/bundles.md); or ORG/NAME of what `edgecall pull` or Python fetched from the hub
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: PathBuf,

    /// Types of the files to write, separated by commas
    #[arg(short, long = "type", value_name = "TYPE", value_delimiter = ',', default_value = "q4_k_m")]
    #[arg(value_parser = file_types(), ignore_case = true)]
    types: Vec<FileType>,

    /// Output file, or folder if there are several types [default: CHECKPOINT-TYPE.gguf in this folder]
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,

    /// Base model of the adapter CHECKPOINT [default: as its config names it, a folder or one in the hub's cache]
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,

    /// Merge these LoRA adapters, one after the other
    #[arg(long = "adapter", value_name = "DIR", value_delimiter = ',')]
    adapters: Vec<PathBuf>,

    /// Arithmetic of the merge: peft's with its defaults (peft), with safe_merge (safe), without autocast_adapter_dtype
    /// (nocast), or without any rounding (f32) [default: peft]
    #[arg(long, value_name = "MODE", value_parser = source::modes())]
    merge: Option<Mode>,

    /// Use TYPE for the matrices whose names match REGEX (repeatable)
    #[arg(long = "tensor-type", value_name = "REGEX=TYPE")]
    overrides: Vec<Override>,

    /// Round weights to F16 before quantizing them, for the same bits as by way of an F16 file
    #[arg(long)]
    via_f16: bool,

    /// Do not write an output head (lm_head) that equals the token embedding
    #[arg(long)]
    drop_tied_head: bool,

    /// Pre-tokenizer to use instead of the detected one, by llama.cpp's name
    #[arg(long, value_name = "NAME")]
    pre: Option<String>,

    #[command(flatten)]
    profile: ProfileArgs,

    /// Folder in which a tar is unpacked, for as long as the conversion takes [default: that of the output]
    #[arg(long, value_name = "DIR")]
    unpack_dir: Option<PathBuf>,

    /// Do not compare llama.cpp's tokens with the checkpoint's tokenizer; the manifest then has no answers either
    #[arg(long)]
    no_check: bool,

    /// Store no answers to fixed prompts in the manifest (OUT.json), which `edgecall doctor` compares with
    #[arg(long)]
    no_answers: bool,

    #[cfg(feature = "engine")]
    /// Compare the files with what scripts/witness.py wrote beside the trainer; write none that differs
    #[arg(long, value_name = "WITNESS.json")]
    witness: Option<PathBuf>,

    /// Number of threads [default: all CPUs]
    #[arg(long, value_name = "N", value_parser = positive)]
    threads: Option<NonZero<usize>>,

    /// Replace existing files
    #[arg(short, long)]
    force: bool,

    /// Print the plan and the sizes, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Parser for file types; clap lists their names.
pub fn file_types() -> impl TypedValueParser<Value = FileType> {
    let names = FileType::ALL.iter().map(|file_type| file_type.name());
    PossibleValuesParser::new(names).try_map(|name| name.parse::<FileType>())
}

/// Checks with llama.cpp that were asked for.
#[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "there are no checks"))]
struct Asked {
    token_check: bool,
    /// Answers to the fixed prompts, which take a model whose tokens were checked.
    answers: bool,
    threads: Option<NonZero<usize>>,
    #[cfg(feature = "engine")]
    witness: Option<edgecall::witness::Witness>,
}

/// Results of the checks with llama.cpp.
struct Checked {
    token_check: Option<TokenCheck>,
    answers: Option<AnswersMade>,
    witness: Option<WitnessCheck>,
    warnings: Vec<String>,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let format = Format::from_flag(args.json);
    let interrupt = interrupt()?;
    memory::check_address_space(0)?;
    #[cfg(feature = "engine")]
    if !args.dry_run && (!args.no_check || args.witness.is_some()) {
        // The checks behind the conversion would fail after all its work.
        edgecall::runtime::kernels::active()?;
    }
    let mut bar = Bar::new(format);
    let output = args.output.as_deref();
    let checkpoint = model_path::checkpoint(&args.checkpoint)?;
    let base = args.base.as_deref().map(model_path::checkpoint).transpose()?;
    let adapters =
        args.adapters.iter().map(|dir| model_path::checkpoint(dir)).collect::<Result<Vec<_>, _>>()?;
    let asked =
        source::Asked { dir: &checkpoint, base: base.as_deref(), adapters: &adapters, mode: args.merge };
    let input = Input::open(&asked, &args.profile, args.unpack_dir.as_deref(), output, &mut bar, &interrupt)?;
    convert_input(args, &input, bar, &interrupt).map_err(|error| input.in_archive(error))
}

fn convert_input(args: Args, input: &Input, mut bar: Bar, interrupt: &AtomicBool) -> anyhow::Result<()> {
    let format = Format::from_flag(args.json);
    let output = args.output.as_deref();
    let checkpoint = &input.checkpoint;
    #[cfg(feature = "engine")]
    let witness = args.witness.as_deref().map(edgecall::witness::Witness::read).transpose()?;
    let recipe = Recipe {
        file_types: args.types,
        overrides: args.overrides,
        via_f16: args.via_f16,
        drop_tied_head: args.drop_tied_head,
        pre: args.pre,
        profile: input.profile.clone(),
    };
    let mut plan = Plan::new(checkpoint, recipe)?;
    if let Some(name) = input.name() {
        plan.name = name;
    }
    let replace = args.force || args.dry_run;
    let targets = Targets::new(checkpoint, &plan, output, replace)?;
    input.check(&targets)?;
    if args.dry_run {
        let mut report = Report::planned(checkpoint, &plan, &targets);
        if let Some(merge) = &input.merge {
            report.merged = Some(source::measured(merge, checkpoint, args.threads, interrupt)?);
        }
        output::emit(&input.in_report(report), format)?;
        return Ok(());
    }
    check_file_sizes(&plan, &targets)?;
    let mut converted = convert::convert(checkpoint, &plan, &targets, args.threads, &mut bar, interrupt)?;
    let asked = Asked {
        token_check: !args.no_check,
        answers: !args.no_answers,
        threads: args.threads,
        #[cfg(feature = "engine")]
        witness,
    };
    let Checked { token_check, answers, witness, warnings } =
        checks::run(&asked, checkpoint, &mut converted, &mut bar, interrupt)?;
    bar.finish();
    if interrupt.load(Ordering::Relaxed) {
        return Err(convert::Error::Interrupted.into());
    }
    let mut report = converted.publish()?;
    report.merged = input.merge.as_ref().map(|merge| merge.summary());
    report.token_check = token_check;
    report.answers = answers;
    report.witness = witness;
    report.warnings.extend(warnings);
    output::emit(&input.in_report(report), format)?;
    Ok(())
}

/// Refuses files whose writing would end this process with a signal, before anything is written.
fn check_file_sizes(plan: &Plan, targets: &Targets) -> anyhow::Result<()> {
    let Some(most) = machine::limits::deadly_file_bytes(Path::new("/")) else { return Ok(()) };
    match plan.files.iter().zip(targets.paths()).find(|(file, _)| file.file_bytes() > most) {
        Some((file, path)) => Err(CliError::with_kind(
            Kind::CannotCreate,
            format!(
                "{} would have {}, and a file of this process at most {}; raise the limit (ulimit -f)",
                path.display(),
                bytes(file.file_bytes()),
                bytes(most)
            ),
        )),
        None => Ok(()),
    }
}

/// Flag that the first Ctrl-C sets. The second Ctrl-C removes the unfinished files and ends the program.
pub(super) fn interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    let handler = move || {
        if set.swap(true, Ordering::Relaxed) {
            convert::abandon();
            edgecall::bundle::abandon();
            leave(130);
        }
    };
    watch_interrupt(handler)?;
    Ok(flag)
}

/// Progress bar on stderr if it is a terminal.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(format: Format) -> Bar {
        if format == Format::Json || !output::is_stderr_a_screen() {
            return Bar(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template(
            "{msg:10} {wide_bar} {bytes:>10} of {total_bytes} {bytes_per_sec:>12} {eta:>4}",
        );
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Bar(bar.with_style(style.expect("the template is a constant")))
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }

    #[cfg(feature = "engine")]
    /// Shows progress over `count` prompts.
    fn begin_prompts(&mut self, count: usize) {
        let style = ProgressStyle::with_template("{msg:10} {wide_bar} {pos:>3} of {len} prompts {eta:>4}");
        self.0.set_style(style.expect("the template is a constant"));
        self.begin("answers", count as u64);
    }
}

impl Progress for Bar {
    fn begin(&mut self, step: &str, total_bytes: u64) {
        self.0.reset();
        self.0.set_message(step.to_owned());
        self.0.set_length(total_bytes);
    }

    fn advance_to(&mut self, done_bytes: u64) {
        self.0.set_position(done_bytes);
    }
}
