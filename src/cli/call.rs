//! `edgecall call`.

pub mod answer;
pub mod ask;
pub mod cached;
pub mod dialect_arg;
mod explain;
pub mod input;
pub mod profile;
mod remote;
pub mod settings;
pub mod template;
mod timings;

pub use self::{
    dialect_arg::dialect,
    settings::{RepackArg, ThinkArg, draft, temperature},
    template::{prompt_template, template_arg},
};

use self::{
    answer::{OutputArg, Stream},
    ask::Ask,
    cached::CacheArgs,
    dialect_arg::DialectArg,
    input::conversation,
    settings::{KeyOrderArg, probability, settings},
    template::{SayLost, note_lost},
    timings::Start,
};
use super::{
    address_space::READING_BYTES,
    context::ContextArgs,
    exit::{self, CliError},
    load::load,
    model_path,
    numbers::{positive, seed},
    output, progress, trial,
};
use edgecall::{
    call::{self, Call, Draft, PromptTemplate, Request, Settings},
    machine::Thermometer,
    memory,
    runtime::{self, Trust, Vocabulary},
};
use std::{
    io::{self, Write},
    num::NonZeroUsize,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};

/// Examples at the end of the help.
const EXAMPLES: &str = "\
Examples:
  edgecall call -m model.gguf --tools tools.json \"Thai food in San Jose, please\"
  edgecall call -m model.gguf --tools tools.json --messages conversation.json
  edgecall call -m model-with-profile.gguf \"A table for two at eight\"";

/// The arguments of `edgecall call`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Model file to run
    #[arg(short, long, value_name = "MODEL.gguf", env = "EDGECALL_MODEL", hide_env_values = true)]
    #[arg(help_heading = "Input")]
    pub(super) model: Option<PathBuf>,

    /// Let this server answer: http://HOST:PORT, https://HOST or unix:PATH (or set EDGECALL_SERVER)
    #[arg(long, value_name = "URL", help_heading = "Input")]
    pub(super) server: Option<String>,

    /// With a server: file whose first line is its API key (or set EDGECALL_API_KEY)
    #[arg(id = "server_key_file", long = "api-key-file", value_name = "FILE", help_heading = "Input")]
    pub(super) api_key_file: Option<PathBuf>,

    /// Ignore the profile in the model's file: the settings that a call takes from it, unless told otherwise
    #[arg(long, help_heading = "Input")]
    no_profile: bool,

    /// Load a model even if its architecture or tokenizer cannot be fully validated; only for files that you trust
    #[arg(long, help_heading = "Input")]
    pub(super) trust_model: bool,

    /// Read special tokens such as <|im_end|> in messages and tools as the model's own, not as text
    #[arg(long, help_heading = "Input")]
    trust_content: bool,

    /// Tools that the model may call, as OpenAI or MCP list them; `-` reads stdin
    #[arg(long, value_name = "TOOLS.json", help_heading = "Tools and schema")]
    pub(super) tools: Option<PathBuf>,

    /// Call a tool (required), call one or answer in text (auto), answer in text (none), or call the tool of this name
    /// [default: required, none without tools]
    #[arg(long, value_name = "CHOICE", help_heading = "Tools and schema")]
    pub(super) tool_choice: Option<String>,

    /// Maximum number of calls in one answer [default: 1]
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Tools and schema")]
    pub(super) parallel: Option<NonZeroUsize>,

    /// Answer with JSON that matches this schema, instead of a tool call; the prompt does not mention the schema
    #[arg(long, value_name = "SCHEMA.json", conflicts_with_all = ["tools", "tool_choice"])]
    #[arg(help_heading = "Tools and schema")]
    pub(super) json_schema: Option<PathBuf>,

    /// Order of the keys in arguments: as the model chooses (any), or as in the schema [default: any]
    #[arg(long, value_name = "ORDER", help_heading = "Tools and schema")]
    key_order: Option<KeyOrderArg>,

    /// Show how each keyword of the tools' schemas, or of --json-schema, is handled, and exit; loads no model
    #[arg(long, help_heading = "Tools and schema")]
    pub(super) explain_tools: bool,

    /// With --explain-tools: print JSON
    #[arg(long, requires = "explain_tools", help_heading = "Tools and schema")]
    json: bool,

    /// User message, followed by text on stdin (`-`: stdin alone); after `--` it may begin with a dash
    #[arg(value_name = "PROMPT", conflicts_with = "messages")]
    pub(super) prompt: Option<String>,

    /// Conversation to answer, in OpenAI's format; `-` reads stdin
    #[arg(long, value_name = "MESSAGES.json", help_heading = "Input")]
    pub(super) messages: Option<PathBuf>,

    /// System message to put before the conversation
    #[arg(long, value_name = "TEXT", conflicts_with = "task", allow_hyphen_values = true)]
    #[arg(help_heading = "Input")]
    pub(super) system: Option<String>,

    /// Task description to put into the system message of distil labs' TFT models (others: --system)
    #[arg(long, value_name = "TASK.txt", help_heading = "Input")]
    task: Option<PathBuf>,

    /// Format in which the model writes calls: a name, a file of `inspect --dialect --json`, or strict to refuse a model
    /// whose format is not known [default: auto, from the chat template]
    #[arg(long, value_name = "NAME|FILE.json", value_parser = dialect, help_heading = "Input")]
    dialect: Option<DialectArg>,

    /// Add to a tool's description what the chat template does not show of its parameters
    #[arg(long, value_name = "WHEN", value_enum, default_value = "off", help_heading = "Tools and schema")]
    tools_in_description: SayLost,

    /// Jinja chat template to use instead of the model's own
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    chat_template: Option<PathBuf>,

    /// Variable for the chat template, such as depth=3 (repeatable)
    #[arg(long, value_name = "KEY=JSON", value_parser = template_arg, help_heading = "Input")]
    template_arg: Vec<(String, serde_json::Value)>,

    /// Let the model reason before it answers: enable_thinking of the chat template is true (on), false (off) or left
    /// out (auto) [default: off]
    #[arg(long, value_name = "WHEN", help_heading = "Answer")]
    think: Option<ThinkArg>,

    /// Maximum number of tokens to generate; a call that needs more fails with exit code 1 [default: 512]
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Answer")]
    pub(super) max_tokens: Option<NonZeroUsize>,

    /// End an answer in text before this string (repeatable, up to 4)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, help_heading = "Answer")]
    stop: Vec<String>,

    /// Let a model that repeats itself go on; by default the answer ends with exit code 1
    #[arg(long, help_heading = "Answer")]
    allow_repetition: bool,

    /// Close a call that reaches --max-tokens, if all required arguments are complete
    #[arg(long, help_heading = "Answer")]
    pub(super) close_at_budget: bool,

    /// Sampling temperature; 0 always takes the likeliest token (greedy decoding) [default: 0]
    #[arg(long, value_name = "T", value_parser = temperature, help_heading = "Sampling")]
    temperature: Option<f32>,

    /// Sample from the K most likely tokens
    #[arg(long, value_name = "K", value_parser = positive)]
    #[arg(help_heading = "Sampling")]
    top_k: Option<NonZeroUsize>,

    /// Sample from the most likely tokens with a total probability of P
    #[arg(long, value_name = "P", value_parser = probability)]
    #[arg(help_heading = "Sampling")]
    top_p: Option<f32>,

    /// Sample from tokens at least P times as likely as the most likely one
    #[arg(long, value_name = "P", value_parser = probability)]
    #[arg(help_heading = "Sampling")]
    min_p: Option<f32>,

    /// Random seed; has an effect only with a --temperature above 0 [default: 0]
    #[arg(long, value_name = "SEED", value_parser = seed, help_heading = "Sampling")]
    seed: Option<u64>,

    /// Guess up to N tokens ahead and check them in one decode (speculative decoding, from earlier text); auto: as many as
    /// pay off
    #[arg(long, value_name = "N|auto|off", default_value = "auto", value_parser = draft)]
    #[arg(help_heading = "Speed and memory")]
    draft: Draft,

    /// Decode one token at a time, without drafts or batches of forced tokens (slower)
    #[arg(long, conflicts_with = "draft", help_heading = "Speed and memory")]
    exact: bool,

    /// Context size in tokens [default: what prompt and --max-tokens need]
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Speed and memory")]
    ctx: Option<NonZeroUsize>,

    /// Run the model even if memory seems too small
    #[arg(long, help_heading = "Speed and memory")]
    pub(super) force: bool,

    #[command(flatten, next_help_heading = "Speed and memory")]
    context: ContextArgs,

    /// Copy the weights into a layout that is faster on this CPU; takes memory for the copy; auto: if there is enough
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Speed and memory")]
    pub(super) repack: RepackArg,

    /// Print the call, OpenAI's chat.completion object, or only the call's arguments or name
    #[arg(long, value_name = "WHAT", default_value = "call", help_heading = "Answer")]
    pub(super) output: OutputArg,

    /// Print text while it is generated (without tools, or with --tool-choice none)
    #[arg(long, conflicts_with = "output", help_heading = "Answer")]
    pub(super) stream: bool,

    #[command(flatten, next_help_heading = "Cache")]
    pub(super) cache: CacheArgs,

    /// Print the prompt as the model gets it, and exit; loads no weights
    #[arg(long, help_heading = "Diagnostics")]
    pub(super) print_prompt: bool,

    /// Print times, token counts and the context size to stderr
    #[arg(long, help_heading = "Diagnostics")]
    pub(super) timings: bool,

    /// Ids of the arguments on the command line itself, without those of the environment and defaults.
    #[arg(skip)]
    pub(super) typed: Vec<String>,
}

/// Runs the command; `started` is the time at which the program started.
pub fn run(mut args: Args, started: Instant) -> anyhow::Result<()> {
    if args.explain_tools {
        return explain::explain_tools(&mut args);
    }
    if let Some(server) = remote::server(&args) {
        output::check()?;
        exit::leave_on_interrupt("interrupted", || ())?;
        return remote::run(args, &server);
    }
    if args.api_key_file.is_some() {
        return Err(CliError::usage("--api-key-file is for a server; name it with --server"));
    }
    let path = &model_file(&args)?;
    // No output can be left incomplete.
    exit::leave_on_interrupt("interrupted", || ())?;
    let filter = args.sampling_filter();
    let mut profile = profile::read(&args)?;
    let (mut conversation, fields) = conversation(&args, &profile)?;
    let tools = conversation.tools.take();
    profile::give_way(&mut profile, &args, tools.is_some(), &fields);
    args.adopt_key_order(&profile);
    let ask = Ask::read(&args, tools, &fields, &profile)?;
    args.adopt(&fields);
    args.adopt_profile(&profile, &fields);
    if let Some(filter) = filter.filter(|_| args.temperature.is_none()) {
        return Err(CliError::usage(format!(
            "{filter} is for random answers, and neither an option nor the request nor the model's profile has a \
             temperature; give --temperature"
        )));
    }
    let trust = if args.trust_model { Trust::Unchecked } else { Trust::Checked };
    let template = template::template(&args)?;
    let settings =
        Settings { on_prefill: progress::prefill(), on_note: Some(progress::note), ..settings(&args)? };
    let request = Request {
        choice: ask.choice.clone(),
        parallel: args.parallel.unwrap_or(NonZeroUsize::MIN),
        schema: ask.schema.as_ref(),
        key_order: args.key_order(),
        allowed: ask.allowed.clone(),
        close_at_budget: args.close_at_budget,
        stop: ask.stop.clone(),
        ..Request::new(&conversation, ask.tools.as_ref())
    };
    if args.print_prompt {
        return print_prompt(path, trust, &template, &request, &settings);
    }
    let thermometer = args.timings.then(Thermometer::start);
    let (cache, cache_problem) = args.cache.open();
    let model = load(path, (trust, args.repack.into()), &request, &settings, cache.as_ref())?;
    let start = Start { at: started, took: started.elapsed().saturating_sub(model.load_time()), thermometer };
    note_lost(&template, model.vocabulary(), &request, (&settings.dialect, cache.as_ref()))?;
    let mut stream = Stream::default();
    let mut reader = |text: &str| match args.stream {
        true => stream.push(text),
        false => ControlFlow::Continue(()),
    };
    let call = Call {
        model: &model,
        template: &template,
        request: &request,
        settings: &settings,
        cache: cache.as_ref(),
    };
    let answer = call::ask_with(&call, &mut reader);
    let answer = answer.inspect_err(|error| show_partial(error, args.timings.then_some(&start)))?;
    tracing::info!(
        prompt_tokens = answer.timings.prompt_tokens,
        restored_tokens = answer.timings.restored_tokens,
        generated_tokens = answer.timings.generated_tokens,
        "answered"
    );
    let printed = match args.stream {
        true => stream.finish().map_err(Into::into),
        false => answer::print(&answer, &ask.choice, args.output, path),
    };
    answer::comment(&answer, args.output);
    if args.timings {
        timings::show(&start, &answer.timings);
        if let Some(problem) = cache_problem {
            let _ = writeln!(io::stderr(), "no cache: {problem}");
        }
    }
    // The answer is already printed; states may still be written to the cache.
    drop(cache);
    printed
}

/// Prints the prompt as the model gets it.
pub(super) fn print_prompt(
    path: &Path,
    trust: Trust,
    template: &PromptTemplate,
    request: &Request<'_>,
    settings: &Settings,
) -> anyhow::Result<()> {
    trial::check_vocabulary(path, trust)?;
    let vocabulary = Vocabulary::load_with(path, trust)?;
    note_lost(template, &vocabulary, request, (&settings.dialect, None))?;
    let tool_format = template.tool_format(&vocabulary, request, &settings.dialect)?;
    let prompt = template.render(&vocabulary, request, tool_format.as_ref(), settings.think)?;
    Ok(output::text(&prompt)?)
}

/// Path of the model's file, after checks that need no more than the arguments.
pub(super) fn model_file(args: &Args) -> anyhow::Result<PathBuf> {
    let Some(path) = args.model.as_deref().map(model_path::gguf).transpose()? else {
        return Err(CliError::usage("there is no model; give -m MODEL.gguf, or set EDGECALL_MODEL"));
    };
    output::check()?;
    runtime::kernels::active()?;
    if !args.force {
        memory::check_address_space(READING_BYTES)?;
    }
    Ok(path)
}

/// Prints the model's partial output on stderr, before the error message.
pub(super) fn show_partial(error: &call::Error, timed_from: Option<&Start>) {
    if let Some(partial) = error.partial() {
        let _ = writeln!(io::stderr(), "{partial}");
    }
    if let (Some(cut), Some(start)) = (error.cut(), timed_from) {
        timings::show(start, &cut.timings);
    }
}
