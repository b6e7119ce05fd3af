//! `edgecall bench speed`.

use super::{profile, warn_of_tools};
use crate::cli::{
    address_space::{self, READING_BYTES},
    call::draft,
    context::{ContextArgs, on_or_off},
    exit::{self, CliError},
    model_path,
    numbers::positive,
    output::{Format, emit},
    progress::Line,
    trial,
};
use clap::ArgAction;
use edgecall::{
    bench::{
        Dataset,
        speed::{self, CallSettings, Example, Scope, Start},
    },
    call::Draft,
    memory,
    runtime::{LoadOptions, Model, Trust, Vocabulary, kernels},
};
use std::{
    env,
    num::NonZeroUsize,
    path::PathBuf,
    process::{Command, Stdio},
};

/// Contexts that a measurement has at once, and about the tokens of each.
const CONTEXTS: (u64, u64) = (2, 1280);

/// The arguments of `edgecall bench speed`.
#[derive(clap::Args)]
pub struct Args {
    /// Model to measure
    #[arg(short, long, value_name = "MODEL.gguf")]
    model: PathBuf,

    /// Measure the calls of a data set, one after another
    #[arg(long, requires = "data", conflicts_with = "replay")]
    calls: bool,

    /// Count the decodes that a data set's right answers would take; needs no weights
    #[arg(long, requires = "data")]
    replay: bool,

    /// Measure only the speed of prefill and decode, which takes a minute or two
    #[arg(long, conflicts_with_all = ["calls", "replay"])]
    quick: bool,

    /// With --calls or --replay: folder with test.jsonl and job_description.json, in whose place the model's profile may be
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Do not take task and tools from the model's profile
    #[arg(long)]
    no_profile: bool,

    /// With --calls: make only the first N calls
    #[arg(long, value_name = "N", requires = "calls", value_parser = positive)]
    limit: Option<NonZeroUsize>,

    /// With --calls: guess up to N tokens ahead and check them in one decode; auto: as many as pay off
    #[arg(long, value_name = "N|auto|off", default_value = "auto", requires = "calls", value_parser = draft)]
    draft: Draft,

    /// With --calls: decode one token at a time
    #[arg(long, conflicts_with = "draft", requires = "calls")]
    exact: bool,

    /// With --calls: decode without a grammar
    #[arg(long, conflicts_with_all = ["exact", "draft"], requires = "calls")]
    free: bool,

    /// With --calls: maximum number of tokens in a call
    #[arg(long, value_name = "N", default_value = "512", requires = "calls", value_parser = positive)]
    max_tokens: NonZeroUsize,

    #[command(flatten)]
    context: ContextArgs,

    /// Copy the weights into a layout that is faster on this CPU (on), or use them as stored (off)
    #[arg(long, value_name = "WHEN", default_value = "on")]
    #[arg(value_parser = on_or_off(), action = ArgAction::Set)]
    repack: bool,

    /// Measure only the start-up; the command runs itself with this option, with and without repacked weights
    #[arg(long, hide = true, conflicts_with_all = ["calls", "replay"])]
    start: bool,

    /// Load a model even if its architecture or tokenizer cannot be fully validated; only for files that you trust
    #[arg(long)]
    trust_model: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(mut args: Args) -> anyhow::Result<()> {
    args.model = model_path::gguf(&args.model)?;
    if args.data.is_some() && !args.calls && !args.replay {
        return Err(CliError::usage("--data is for --calls and --replay; give one of them"));
    }
    kernels::active()?;
    memory::check_address_space(READING_BYTES)?;
    exit::leave_on_interrupt("interrupted", || ())?;
    let format = Format::from_flag(args.json);
    let trust = if args.trust_model { Trust::Unchecked } else { Trust::Checked };
    let dataset = match &args.data {
        Some(folder) => {
            let (job, test) = (folder.join("job_description.json"), folder.join("test.jsonl"));
            let of_profile = || if args.no_profile { Ok(None) } else { profile::job_of(&args.model) };
            let dataset = Dataset::open_files_or(&job, &test, of_profile)?;
            warn_of_tools(&job, &test, &dataset);
            Some(dataset)
        }
        None => None,
    };
    if let Some(dataset) = dataset.as_ref().filter(|_| args.replay) {
        trial::check_vocabulary(&args.model, trust)?;
        let vocabulary = Vocabulary::load_with(&args.model, trust)?;
        return Ok(emit(&speed::replay(dataset, &vocabulary)?, format)?);
    }
    let profile = if args.no_profile { None } else { profile::read(&args.model)? };
    let example = Example::with_profile(&profile.unwrap_or_default(), &args.model)?;
    let mut line = Line::new();
    line.show("loading");
    let options = LoadOptions { trust, repack: args.repack };
    let session = if args.start { args.context.options_of_child() } else { args.context.options() };
    let model = Model::load_as(&args.model, options, |header| {
        address_space::check(header, options, &session, CONTEXTS)?;
        if !args.start {
            trial::check(&args.model, header, options, &session, None)?;
        }
        Ok::<_, anyhow::Error>(options)
    })?;
    match &dataset {
        Some(dataset) => {
            let settings = CallSettings {
                free: args.free,
                exact: args.exact,
                draft: args.draft,
                max_tokens: args.max_tokens.get(),
                limit: args.limit.map_or(usize::MAX, NonZeroUsize::get),
                session,
            };
            let progress = |made, of| line.show(&format!("call {} of {of}", made + 1));
            let calls = speed::calls(dataset, &model, &settings, progress);
            drop(line);
            Ok(emit(&calls?, format)?)
        }
        None if args.start => {
            drop(line);
            Ok(emit(&speed::start(&model, &session)?, format)?)
        }
        None => {
            let scope = if args.quick { Scope::Rates } else { Scope::All };
            let measured = speed::measure(&model, &session, scope, &example, |step| line.show(step));
            drop(model);
            let measured = measured.map(|mut measured| {
                if scope == Scope::All {
                    measured.starts =
                        [true, false].into_iter().filter_map(|on| args.start(on, &mut line)).collect();
                }
                measured
            });
            drop(line);
            Ok(emit(&measured?, format)?)
        }
    }
}

impl Args {
    /// Measures the start-up in a separate process; `None`, with a log line, if that fails.
    fn start(&self, repack: bool, line: &mut Line) -> Option<Start> {
        line.show(if repack { "a start with weights repacked" } else { "a start with weights as stored" });
        let context = self.context.options_of_child();
        let mut command = Command::new(env::current_exe().ok()?);
        command.args(["bench", "speed", "--start", "--json", "-m"]).arg(&self.model);
        command.args(["--repack", if repack { "on" } else { "off" }, "--kv-type", context.kv_type.name]);
        command.args(["--flash-attn", context.flash_attention.name()]);
        command.args(["--kernels", kernels::name()]);
        command.args(context.threads.map(|threads| format!("--threads={threads}")));
        command.args(self.trust_model.then_some("--trust-model"));
        let done = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let start = done.ok().and_then(|done| serde_json::from_slice(&done.stdout).ok());
        if start.is_none() {
            tracing::warn!(repack, "what it takes to start could not be measured");
        }
        start
    }
}
