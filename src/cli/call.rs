//! `edgecall call`.

mod answer;
mod ask;
mod input;
mod settings;
mod timings;

pub use self::settings::draft;

use self::{
    answer::{OutputArg, Stream},
    ask::Ask,
    input::{conversation, read, text},
    settings::{KeyOrderArg, RepackArg, ThinkArg, dialects, probability, settings, temperature},
    timings::Start,
};
use super::{
    cache::CACHE_DIR,
    context::ContextArgs,
    error::advice,
    exit::{self, CliError},
    output,
};
use edgecall::{
    Kind,
    cache::Cache,
    call::{self, Call, Draft, PromptTemplate, Request},
    machine::{Thermometer, folders::cache_folder},
    memory::Repack,
    runtime::{self, LoadOptions, Model, Trust, Vocabulary},
    schema::Status,
    tools::explain,
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
    /// Model file to run
    #[arg(
        short,
        long,
        value_name = "MODEL.gguf",
        env = "EDGECALL_MODEL",
        hide_env_values = true,
        required_unless_present = "explain_tools"
    )]
    model: Option<PathBuf>,

    /// Load a model even if its architecture or tokenizer cannot be fully validated
    #[arg(long)]
    trust_model: bool,

    /// Read special tokens such as <|im_end|> in messages and tools as the model's own, not as text
    #[arg(long)]
    trust_content: bool,

    /// Tools that the model may call, in OpenAI's format
    #[arg(long, value_name = "TOOLS.json")]
    tools: Option<PathBuf>,

    /// Which tool the model must call: required, auto, none, or a tool's name [default: required, none without tools]
    #[arg(long, value_name = "CHOICE")]
    tool_choice: Option<String>,

    /// Maximum number of calls in one turn
    #[arg(long, value_name = "N", default_value = "1")]
    parallel: NonZeroUsize,

    /// Answer with JSON that matches this schema, instead of a tool call
    #[arg(long, value_name = "SCHEMA.json", conflicts_with_all = ["tools", "tool_choice"])]
    json_schema: Option<PathBuf>,

    /// Order of an object's keys: any, or as in the schema
    #[arg(long, value_name = "ORDER", default_value = "any")]
    key_order: KeyOrderArg,

    /// Show how each keyword of the tools' schemas, or of --json-schema, is handled, and exit; loads no model
    #[arg(long)]
    explain_tools: bool,

    /// With --explain-tools: print JSON
    #[arg(long, requires = "explain_tools")]
    json: bool,

    /// User message to answer; text from stdin is appended
    #[arg(value_name = "PROMPT", conflicts_with = "messages")]
    prompt: Option<String>,

    /// Conversation to answer, in OpenAI's format; `-` reads stdin
    #[arg(long, value_name = "MESSAGES.json")]
    messages: Option<PathBuf>,

    /// System message to put before the conversation
    #[arg(long, value_name = "TEXT", conflicts_with = "task")]
    system: Option<String>,

    /// Task description for the system message of TFT models
    #[arg(long, value_name = "TASK.txt")]
    task: Option<PathBuf>,

    /// Format in which the model writes calls [default: detected from the chat template]
    #[arg(long, value_name = "NAME", value_parser = dialects())]
    dialect: Option<String>,

    /// Jinja chat template to use instead of the model's own
    #[arg(long, value_name = "FILE")]
    chat_template: Option<PathBuf>,

    /// Argument for the chat template (repeatable)
    #[arg(long, value_name = "KEY=JSON", value_parser = template_arg)]
    template_arg: Vec<(String, serde_json::Value)>,

    /// Print the prompt and exit; loads no weights
    #[arg(long)]
    print_prompt: bool,

    /// Reasoning before the answer; auto leaves it to the chat template
    #[arg(long, value_name = "WHEN", default_value = "off")]
    think: ThinkArg,

    /// Maximum number of tokens to generate; a call that needs more fails
    #[arg(long, value_name = "N", default_value = "512")]
    max_tokens: NonZeroUsize,

    /// Close a call that reaches --max-tokens, if it has all required keys
    #[arg(long)]
    close_at_budget: bool,

    /// Draft tokens per decode: up to N, as many as pay off (auto), or none (off)
    #[arg(long, value_name = "N", default_value = "auto", value_parser = draft)]
    draft: Draft,

    /// Decode one token at a time, without drafts or batches of forced tokens (slower)
    #[arg(long, conflicts_with = "draft")]
    exact: bool,

    /// Context size in tokens [default: prompt and --max-tokens]
    #[arg(long, value_name = "N")]
    ctx: Option<NonZeroUsize>,

    /// Run the model even if memory seems too small
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    context: ContextArgs,

    /// Repack weights for this CPU's kernels: faster, but takes memory for a copy; auto does it if there is enough
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    repack: RepackArg,

    /// Sampling temperature; 0 is greedy decoding
    #[arg(long, value_name = "T", default_value = "0", value_parser = temperature)]
    temperature: f32,

    /// Sample from the K most likely tokens
    #[arg(long, value_name = "K", requires = "temperature")]
    top_k: Option<NonZeroUsize>,

    /// Sample from the most likely tokens with a total probability of P
    #[arg(long, value_name = "P", requires = "temperature", value_parser = probability)]
    top_p: Option<f32>,

    /// Sample from tokens at least P times as likely as the most likely one
    #[arg(long, value_name = "P", requires = "temperature", value_parser = probability)]
    min_p: Option<f32>,

    /// Random seed
    #[arg(long, value_name = "SEED", default_value = "0")]
    seed: u64,

    /// Print the call, a chat.completion object, or only the call's arguments or name
    #[arg(long, value_name = "WHAT", default_value = "call")]
    output: OutputArg,

    /// Print text while it is generated
    #[arg(long, conflicts_with = "output")]
    stream: bool,

    /// Folder for cached prompt states and answers [default: edgecall in the user's cache folder]
    #[arg(long, value_name = "DIR", env = CACHE_DIR, hide_env_values = true)]
    cache_dir: Option<PathBuf>,

    /// Neither read nor write the cache
    #[arg(long)]
    no_cache: bool,

    /// Neither read nor write the log of answers in the cache
    #[arg(long)]
    no_history: bool,

    /// Print times, token counts and the context size to stderr
    #[arg(long)]
    timings: bool,
}

/// Runs the command; `started` is the time at which the program started.
pub fn run(args: Args, started: Instant) -> anyhow::Result<()> {
    if args.explain_tools {
        return explain_tools(&args);
    }
    let Some(path) = &args.model else {
        return Err(CliError::usage("there is no model; give -m MODEL.gguf"));
    };
    runtime::kernels::active()?;
    // No output can be left incomplete.
    exit::leave_on_interrupt("interrupted", || ())?;
    let mut conversation = conversation(&args)?;
    let ask = Ask::read(&args, conversation.tools.take())?;
    let trust = if args.trust_model { Trust::Unchecked } else { Trust::Checked };
    let template = template(&args)?;
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
        let vocabulary = Vocabulary::load_with(path, trust)?;
        let tool_format = template.tool_format(&vocabulary, &request, settings.dialect)?;
        return Ok(output::text(&template.render(
            &vocabulary,
            &request,
            tool_format.as_ref(),
            settings.think,
        )?)?);
    }
    let thermometer = args.timings.then(Thermometer::start);
    let repack = args.repack.into();
    let load = LoadOptions { trust, repack: repack != Repack::Never };
    let model = Model::load_as(path, load, |header| {
        let (load, shortage) = call::load_options(header, trust, repack, &request, &settings)?;
        if let Some(shortage) = shortage {
            // Nobody reads a closed stderr.
            let _ = writeln!(io::stderr(), "warning: {shortage}{}", advice(&shortage.remedies));
        }
        Ok::<_, call::Error>(load)
    })?;
    let start = Start { at: started, took: started.elapsed().saturating_sub(model.load_time()), thermometer };
    let mut stream = Stream::default();
    let mut reader = |text: &str| match args.stream {
        true => stream.push(text),
        false => ControlFlow::Continue(()),
    };
    let cache = cache(&args);
    let call = Call {
        model: &model,
        template: &template,
        request: &request,
        settings: &settings,
        cache: cache.as_ref(),
    };
    let answer = call::ask_with(&call, &mut reader);
    let answer = answer.inspect_err(|error| show_partial(error, args.timings.then_some(&start)))?;
    let printed = match args.stream {
        true => stream.finish().map_err(Into::into),
        false => answer::print(&answer, &ask.choice, args.output, path),
    };
    answer::comment(&answer, args.output);
    if args.timings {
        timings::show(&start, &answer.timings);
    }
    // The answer is already printed; states may still be written to the cache.
    drop(cache);
    printed
}

fn cache(args: &Args) -> Option<Cache> {
    if args.no_cache {
        return None;
    }
    let cache = Cache::new(&args.cache_dir.clone().or_else(cache_folder)?);
    Some(if args.no_history { cache.without_history() } else { cache })
}

/// Prints how each keyword is handled. Tools with an unusable schema are listed too.
fn explain_tools(args: &Args) -> anyhow::Result<()> {
    let with_messages = match &args.messages {
        Some(_) => conversation(args)?.tools,
        None => None,
    };
    let explanation = match (ask::tools(args, with_messages)?, ask::schema_text(args)?) {
        (Some(tools), _) => explain::explain(&tools, args.key_order()),
        (None, Some(schema)) => explain::explain_answer(&schema, args.key_order()),
        (None, None) => {
            return Err(CliError::usage("there is nothing to explain; give --tools or --json-schema"));
        }
    };
    output::emit(&explanation, output::Format::from_flag(args.json))?;
    match explanation.status() {
        Status::Refused => Err(CliError::with_kind(
            Kind::Data,
            "not every schema can be used; the notes on `refused` say what to change",
        )),
        _ => Ok(()),
    }
}

fn template(args: &Args) -> anyhow::Result<PromptTemplate> {
    let template = match &args.chat_template {
        None => None,
        Some(path) => {
            let text = text(&read(path)?, &format!("{}: the chat template", path.display()))?;
            if text.trim().is_empty() {
                return Err(CliError::with_kind(
                    Kind::Data,
                    format!("{}: the chat template is empty", path.display()),
                ));
            }
            Some(text)
        }
    };
    let arguments = args.template_arg.iter().cloned().collect();
    Ok(PromptTemplate { template, arguments, trust_content: args.trust_content })
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

/// Prints the model's partial output on stderr, before the error message.
fn show_partial(error: &call::Error, timed_from: Option<&Start>) {
    if let Some(partial) = error.partial() {
        let _ = writeln!(io::stderr(), "{partial}");
    }
    if let (Some(cut), Some(start)) = (error.cut(), timed_from) {
        timings::show(start, &cut.timings);
    }
}
