//! `edgecall call`.

mod answer;
mod ask;
mod input;
mod timings;

use self::{
    answer::{OutputArg, Stream},
    ask::Ask,
    input::{conversation, read, text},
    timings::Start,
};
use super::{
    cache::CACHE_DIR,
    context::ContextArgs,
    exit::{self, Failure},
    output,
};
use clap::{ValueEnum, builder::PossibleValuesParser};
use edgecall::{
    Error, Kind,
    call::{self, Draft, Format, Request, Settings, Think},
    machine::Thermometer,
    runtime::{self, LoadOptions, Model, Options, Sampling, Trust, Vocabulary, draft::MAX_DRAFT},
    saved::Store,
    tools::{
        dialect::{self, DIALECTS},
        explain,
        json_schema::{KeyOrder, Status},
    },
};
use std::{
    io::{self, Write},
    num::NonZeroUsize,
    ops::ControlFlow,
    path::PathBuf,
    time::Instant,
};

/// The arguments of `edgecall call`.
#[derive(clap::Args)]
pub struct Args {
    /// Run this model
    #[arg(
        short,
        long,
        value_name = "MODEL.gguf",
        env = "EDGECALL_MODEL",
        hide_env_values = true,
        required_unless_present = "explain_tools"
    )]
    model: Option<PathBuf>,

    /// Load a model of an architecture that is not checked first
    #[arg(long)]
    trust_model: bool,

    /// Let the model call one of these tools (OpenAI's form)
    #[arg(long, value_name = "TOOLS.json")]
    tools: Option<PathBuf>,

    /// Have a tool called: required, auto (or text), none, or its name [default: required, none
    /// without tools]
    #[arg(long, value_name = "CHOICE")]
    tool_choice: Option<String>,

    /// Let the model make up to N calls in one turn
    #[arg(long, value_name = "N", default_value = "1")]
    parallel: NonZeroUsize,

    /// Get JSON of this schema instead of a call
    #[arg(long, value_name = "SCHEMA.json", conflicts_with_all = ["tools", "tool_choice"])]
    json_schema: Option<PathBuf>,

    /// Have an object's keys written in any order or the schema's
    #[arg(long, value_name = "ORDER", default_value = "any")]
    key_order: KeyOrderArg,

    /// Print what becomes of each keyword of the tools' schemas, or of --json-schema's, and stop;
    /// loads no model
    #[arg(long)]
    explain_tools: bool,

    /// With --explain-tools: print JSON
    #[arg(long, requires = "explain_tools")]
    json: bool,

    /// Answer this; text on stdin is put after it
    #[arg(value_name = "PROMPT", conflicts_with = "messages")]
    prompt: Option<String>,

    /// Answer this conversation (OpenAI's form; `-` reads it from stdin)
    #[arg(long, value_name = "MESSAGES.json")]
    messages: Option<PathBuf>,

    /// Put this in front as the system message
    #[arg(long, value_name = "TEXT", conflicts_with = "task")]
    system: Option<String>,

    /// Put the system message of TFT models around this task description
    #[arg(long, value_name = "TASK.txt")]
    task: Option<PathBuf>,

    /// Have the call written in this format [default: what the chat template teaches]
    #[arg(long, value_name = "NAME", value_parser = dialects())]
    dialect: Option<String>,

    /// Write the prompt with this Jinja template instead of the model's
    #[arg(long, value_name = "FILE")]
    chat_template: Option<PathBuf>,

    /// Hand the template this argument (repeatable)
    #[arg(long, value_name = "KEY=JSON", value_parser = template_arg)]
    template_arg: Vec<(String, serde_json::Value)>,

    /// Print the prompt and stop; loads no weights
    #[arg(long)]
    print_prompt: bool,

    /// Tell the model to think first, not to, or nothing
    #[arg(long, value_name = "WHEN", default_value = "off")]
    think: ThinkArg,

    /// End without a call after this many tokens
    #[arg(long, value_name = "N", default_value = "512")]
    max_tokens: NonZeroUsize,

    /// Close a call that these tokens cut off, if it has all keys that it needs
    #[arg(long)]
    close_at_budget: bool,

    /// Guess N tokens ahead from the conversation, as many as it is worth (auto), or none (off)
    #[arg(long, value_name = "N", default_value = "auto", value_parser = draft)]
    draft: Draft,

    /// Decode each token of the answer by itself: slower, and the yardstick for the rest
    #[arg(long, conflicts_with = "draft")]
    exact: bool,

    /// Make room for this many tokens [default: prompt and budget]
    #[arg(long, value_name = "N")]
    ctx: Option<NonZeroUsize>,

    /// Run the model even where the memory seems too small
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    context: ContextArgs,

    /// Rearrange weights for this CPU's kernels: faster, and a copy in memory; auto does where there
    /// is room for the copy
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    repack: RepackArg,

    /// Draw tokens at this temperature; 0 takes the likeliest
    #[arg(long, value_name = "T", default_value = "0", value_parser = temperature)]
    temperature: f32,

    /// Draw among this many of the likeliest tokens
    #[arg(long, value_name = "K", requires = "temperature")]
    top_k: Option<NonZeroUsize>,

    /// Draw among the likeliest tokens that together reach P
    #[arg(long, value_name = "P", requires = "temperature", value_parser = probability)]
    top_p: Option<f32>,

    /// Draw among tokens at least P times as likely as the likeliest
    #[arg(long, value_name = "P", requires = "temperature", value_parser = probability)]
    min_p: Option<f32>,

    /// Start the draws here
    #[arg(long, value_name = "SEED", default_value = "0")]
    seed: u64,

    /// Print the call, a chat.completion object, or a part of the call
    #[arg(long, value_name = "WHAT", default_value = "call")]
    output: OutputArg,

    /// Print text while it is written
    #[arg(long, conflicts_with = "output")]
    stream: bool,

    /// Keep prompts' beginnings and answers for later calls in this folder [default: edgecall in the
    /// user's cache folder]
    #[arg(long, value_name = "DIR", env = CACHE_DIR, hide_env_values = true)]
    cache_dir: Option<PathBuf>,

    /// Keep nothing for later calls, and use nothing that earlier ones kept
    #[arg(long)]
    no_cache: bool,

    /// Keep no log of answers for later calls, and use none
    #[arg(long)]
    no_history: bool,

    /// Print times, token counts and the context to stderr
    #[arg(long)]
    timings: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum ThinkArg {
    On,
    Off,
    Auto,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RepackArg {
    Auto,
    On,
    Off,
}

#[derive(Clone, Copy, ValueEnum)]
enum KeyOrderArg {
    Any,
    Schema,
}

impl Args {
    fn key_order(&self) -> KeyOrder {
        match self.key_order {
            KeyOrderArg::Any => KeyOrder::Any,
            KeyOrderArg::Schema => KeyOrder::Schema,
        }
    }
}

/// Runs the command of a program that was started at `started`.
pub fn run(args: Args, started: Instant) -> anyhow::Result<()> {
    if args.explain_tools {
        return explain_tools(&args);
    }
    let Some(path) = &args.model else {
        return Err(Failure::usage("there is no model; give -m MODEL.gguf"));
    };
    runtime::kernels::active().map_err(Error::from)?;
    // Nothing is half written.
    exit::leave_on_interrupt("interrupted", || ())?;
    let mut conversation = conversation(&args)?;
    let ask = Ask::read(&args, conversation.tools.take())?;
    let trust = if args.trust_model { Trust::Unchecked } else { Trust::Checked };
    let format = format(&args)?;
    let settings = settings(&args);
    let request = Request {
        choice: ask.choice.clone(),
        parallel: args.parallel,
        schema: ask.schema.as_ref(),
        key_order: args.key_order(),
        close_at_budget: args.close_at_budget,
        ..Request::new(&conversation, ask.tools.as_ref())
    };
    if args.print_prompt {
        let vocabulary = Vocabulary::load_with(path, trust).map_err(Error::from)?;
        let manner = format.manner(&vocabulary, &request, settings.dialect)?;
        return Ok(output::text(&format.render(&vocabulary, &request, manner.as_ref(), settings.think)?)?);
    }
    let thermometer = args.timings.then(Thermometer::start);
    let load = LoadOptions { trust, repack: args.repack != RepackArg::Off };
    let model = Model::load_as(path, load, |header| {
        let (load, shortage) =
            call::foresee(header, load, args.repack == RepackArg::Auto, &request, &settings)?;
        if let Some(shortage) = shortage {
            // Whoever closed stderr is not told.
            let _ = writeln!(io::stderr(), "warning: {shortage}");
        }
        Ok::<_, Error>(load)
    })?;
    let start = Start { at: started, took: started.elapsed().saturating_sub(model.load_time()), thermometer };
    let mut stream = Stream::default();
    let mut reader = |text: &str| match args.stream {
        true => stream.push(text),
        false => ControlFlow::Continue(()),
    };
    let store = store(&args);
    let answer = call::ask_with(&model, &format, &request, &settings, store.as_ref(), &mut reader);
    let answer = answer.inspect_err(|error| show_partial(error, args.timings.then_some(&start)))?;
    let printed = match args.stream {
        true => stream.finish().map_err(Into::into),
        false => answer::print(&answer, &ask.choice, args.output, path),
    };
    answer::comment(&answer, args.output);
    if args.timings {
        timings::show(&start, &answer.timings);
    }
    // Whoever waits for the answer has it; what is kept may still be on its way to the disk.
    drop(store);
    printed
}

fn store(args: &Args) -> Option<Store> {
    if args.no_cache {
        return None;
    }
    let store = Store::new(&args.cache_dir.clone().or_else(Store::default_folder)?);
    Some(if args.no_history { store.without_history() } else { store })
}

/// Prints what becomes of each keyword; tools that cannot be used are in the table too.
fn explain_tools(args: &Args) -> anyhow::Result<()> {
    let with_messages = match &args.messages {
        Some(_) => conversation(args)?.tools,
        None => None,
    };
    let explanation = match (ask::tools(args, with_messages)?, ask::schema_text(args)?) {
        (Some(tools), _) => explain::explain(&tools, args.key_order()),
        (None, Some(schema)) => explain::explain_answer(&schema, args.key_order()),
        (None, None) => {
            return Err(Failure::usage("there is nothing to explain; give --tools or --json-schema"));
        }
    };
    output::emit(&explanation, output::Format::from_flag(args.json))?;
    match explanation.status() {
        Status::Refused => Err(Failure::of(
            Kind::Data,
            "not every schema can be used; the notes on `refused` say what to change",
        )),
        _ => Ok(()),
    }
}

fn format(args: &Args) -> anyhow::Result<Format> {
    let template = match &args.chat_template {
        None => None,
        Some(path) => {
            let text = text(&read(path)?, &format!("{}: the chat template", path.display()))?;
            if text.trim().is_empty() {
                return Err(Failure::of(
                    Kind::Data,
                    format!("{}: the chat template is empty", path.display()),
                ));
            }
            Some(text)
        }
    };
    Ok(Format { template, arguments: args.template_arg.iter().cloned().collect() })
}

fn template_arg(text: &str) -> Result<(String, serde_json::Value), String> {
    const FORM: &str = "expected KEY=JSON, such as date=\"today\" (with the quotes) or depth=3";
    let (key, json) = text.split_once('=').ok_or(FORM)?;
    if key.is_empty() {
        return Err(FORM.into());
    }
    let value = serde_json::from_str(json).map_err(|e| format!("{e}; {FORM}"))?;
    Ok((key.to_owned(), value))
}

fn settings(args: &Args) -> Settings {
    Settings {
        think: match args.think {
            ThinkArg::On => Think::On,
            ThinkArg::Off => Think::Off,
            ThinkArg::Auto => Think::Auto,
        },
        sampling: Sampling {
            temperature: args.temperature,
            top_k: args.top_k.map_or(0, NonZeroUsize::get),
            top_p: args.top_p.unwrap_or(1.0),
            min_p: args.min_p.unwrap_or(0.0),
            seed: args.seed,
        },
        max_tokens: args.max_tokens.get(),
        dialect: args.dialect.as_deref().and_then(dialect::named),
        session: Options { n_ctx: args.ctx, ..args.context.options() },
        force: args.force,
        exact: args.exact,
        draft: args.draft,
    }
}

/// What the model wrote before it failed, for the reader of the message that follows.
fn show_partial(error: &Error, timed_from: Option<&Start>) {
    let Error::Call(error) = error else { return };
    if let Some(partial) = error.partial() {
        let _ = writeln!(io::stderr(), "{partial}");
    }
    if let (Some(cut), Some(start)) = (error.cut(), timed_from) {
        timings::show(start, &cut.timings);
    }
}

fn dialects() -> PossibleValuesParser {
    PossibleValuesParser::new(DIALECTS.iter().map(|dialect| dialect.name()))
}

pub fn draft(text: &str) -> Result<Draft, String> {
    match text {
        "auto" => Ok(Draft::Auto),
        "off" | "0" => Ok(Draft::Off),
        _ => match text.parse() {
            Ok(most) if (1..=MAX_DRAFT).contains(&most) => {
                Ok(NonZeroUsize::new(most).map_or(Draft::Off, Draft::Tokens))
            }
            _ => Err(format!("a number from 1 to {MAX_DRAFT}, auto or off is expected")),
        },
    }
}

fn temperature(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(value) if (0.0..=100.0).contains(&value) => Ok(value),
        _ => Err("a number from 0 to 100 is expected".into()),
    }
}

fn probability(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("a number from 0 to 1 is expected".into()),
    }
}
