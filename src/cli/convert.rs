//! `edgecall convert`.

#[cfg(feature = "engine")]
#[path = "convert/checks.rs"]
mod checks;
#[cfg(not(feature = "engine"))]
#[path = "convert/no_checks.rs"]
mod checks;

use super::{
    exit::{leave, watch_interrupt},
    numbers::positive,
    output::{self, Format},
};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use edgecall::{
    checkpoint::Checkpoint,
    convert::{
        self, FileType, Override, Plan, Progress, Recipe, Report, Targets,
        report::{AnswersMade, TokenCheck, WitnessCheck},
    },
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    num::NonZero,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Examples at the end of the help.
const EXAMPLES: &str = "\
Examples:
  edgecall convert my-model                                (my-model-Q4_K_M.gguf)
  edgecall convert my-model -t f16,q8_0,q4_k_m -o folder   (three files in folder)";

/// The arguments of `edgecall convert`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder with config.json, tokenizer.json and model*.safetensors, as transformers saves a model
    #[arg(value_name = "CHECKPOINT_DIR")]
    checkpoint: PathBuf,

    /// Types of the files to write, separated by commas
    #[arg(short, long = "type", value_name = "TYPE", value_delimiter = ',', default_value = "q4_k_m")]
    #[arg(value_parser = file_types(), ignore_case = true)]
    types: Vec<FileType>,

    /// Output file, or folder if there are several types [default: CHECKPOINT-TYPE.gguf in this folder]
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,

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
    let checkpoint = Checkpoint::open(&args.checkpoint)?;
    #[cfg(feature = "engine")]
    let witness = args.witness.as_deref().map(edgecall::witness::Witness::read).transpose()?;
    let recipe = Recipe {
        file_types: args.types,
        overrides: args.overrides,
        via_f16: args.via_f16,
        drop_tied_head: args.drop_tied_head,
        pre: args.pre,
    };
    let plan = Plan::new(&checkpoint, recipe)?;
    let replace = args.force || args.dry_run;
    let targets = Targets::new(&checkpoint, &plan, args.output.as_deref(), replace)?;
    if args.dry_run {
        output::emit(&Report::planned(&checkpoint, &plan, &targets), format)?;
        return Ok(());
    }
    let mut bar = Bar::new(format);
    let mut converted = convert::convert(&checkpoint, &plan, &targets, args.threads, &mut bar, &interrupt)?;
    let asked = Asked {
        token_check: !args.no_check,
        answers: !args.no_answers,
        threads: args.threads,
        #[cfg(feature = "engine")]
        witness,
    };
    let Checked { token_check, answers, witness, warnings } =
        checks::run(&asked, &checkpoint, &mut converted, &mut bar, &interrupt)?;
    bar.0.finish_and_clear();
    if interrupt.load(Ordering::Relaxed) {
        return Err(convert::Error::Interrupted.into());
    }
    let mut report = converted.publish()?;
    report.token_check = token_check;
    report.answers = answers;
    report.witness = witness;
    report.warnings.extend(warnings);
    output::emit(&report, format)?;
    Ok(())
}

/// Flag that the first Ctrl-C sets. The second Ctrl-C removes the unfinished files and ends the program.
fn interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    let handler = move || {
        if set.swap(true, Ordering::Relaxed) {
            convert::abandon();
            leave(130);
        }
    };
    watch_interrupt(handler)?;
    Ok(flag)
}

/// Progress bar on stderr if it is a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new(format: Format) -> Bar {
        if format == Format::Json || !output::is_stderr_a_screen() {
            return Bar(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template(
            "{msg:10} {wide_bar} {bytes:>10} of {total_bytes} {bytes_per_sec:>12} {eta:>4}",
        );
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Bar(bar.with_style(style.expect("the template is a constant")))
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
