//! `edgecall batch`.

mod input;
mod line;
mod order;
mod output;
mod several;
mod source;
mod tally;

use super::{
    call::input::{read, text},
    exit::{self, CliError},
    model_args::ModelArgs,
    output as stdout,
};
use edgecall::{
    Kind,
    api::{ChatBody, ChatRequest, Defaults},
    cache::Cache,
    call::{self, Answer, Call, Observer, Slot},
    json,
    profile::{Profile, SystemText},
};
use input::{Lines, Shard, shard};
use line::{Failure, Line};
use order::Order;
use output::Output;
use source::Source;
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};
use tally::Tally;

/// Examples at the end of the help.
const EXAMPLES: &str = "\
Examples:
  edgecall batch -m model.gguf requests.jsonl -o answers.jsonl
  edgecall batch -m model.gguf requests.jsonl -o answers.jsonl --resume
  printf '{\"id\": 1, \"prompt\": \"Thai food in San Jose\"}\\n' | edgecall batch -m model.gguf --tools tools.json";

/// The arguments of `edgecall batch`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,

    /// Requests, one a line: messages or a prompt, and optionally an id, tools and settings, or as in OpenAI's batches
    /// (custom_id and body); `-` reads stdin
    #[arg(value_name = "IN.jsonl", default_value = "-")]
    input: PathBuf,

    /// File for the answers, one a line, in the order of the requests [default: stdout]
    #[arg(short, long, value_name = "OUT.jsonl")]
    output: Option<PathBuf>,

    /// Go on behind the answers that the output has already; with --unordered, skip the requests whose ids it has
    #[arg(long, requires = "output")]
    resume: bool,

    /// Write answers as they are there, in any order; each request needs an id of its own then
    #[arg(long)]
    unordered: bool,

    /// Answer only every Nth request, beginning with the Ith
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<Shard>,

    /// End with the first request that gets no answer
    #[arg(long)]
    fail_fast: bool,

    /// Tools for requests that bring none, as OpenAI or MCP list them
    #[arg(long, value_name = "TOOLS.json")]
    tools: Option<PathBuf>,

    /// System message for conversations without one
    #[arg(long, value_name = "TEXT", conflicts_with = "task", allow_hyphen_values = true)]
    system: Option<String>,

    /// Task description for the system message of distil labs' TFT models (others: --system)
    #[arg(long, value_name = "TASK.txt")]
    task: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let path = args.model.path()?;
    let slots = args.model.parallel()?;
    if args.output.is_none() {
        stdout::check()?;
    }
    // Each line is written whole.
    exit::leave_on_interrupt("interrupted; --resume goes on behind the answers that are written", || ())?;
    let defaults = args.model.defaults(&profile(&args, &path)?)?;
    let lines = Lines::open(&args.input, args.shard)?;
    let mut output = Output::open(args.output.as_deref(), args.resume)?;
    let source = match args.unordered {
        true => Source::by_id(lines, output.answered()),
        false => Source::in_order(lines, &mut output)?,
    };
    let cache = args.model.cache();
    let model = args.model.load(&path, &defaults, cache.as_ref())?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let order = if args.unordered { Order::as_they_come() } else { Order::of_the_requests() };
    let mut tally = Tally::new(output, name, order, args.fail_fast);
    let answerer = Answerer { defaults: &defaults, cache: cache.as_ref() };
    let skipped = match Slot::several(&model, slots) {
        several if several.len() > 1 => several::answer(source, several, &answerer, &mut tally)?,
        single => one_by_one(source, single, &answerer, &mut tally)?,
    };
    tally.finish(skipped)
}

/// Answers the lines of `source` one after the other, and gives the number of those that were answered before.
fn one_by_one(
    mut source: Source,
    slots: Vec<Slot<'_>>,
    answerer: &Answerer<'_>,
    tally: &mut Tally,
) -> anyhow::Result<usize> {
    for mut slot in slots {
        let mut index = 0;
        while let Some(line) = source.next()? {
            let answer = answerer.answer(&mut slot, &line, &AtomicBool::new(false));
            tally.take(index, line, answer)?;
            index += 1;
        }
    }
    Ok(source.skipped())
}

/// The profile of the model, with the options in place of what it says.
fn profile(args: &Args, path: &Path) -> anyhow::Result<Profile> {
    let mut profile = args.model.profile(path)?;
    if let Some(path) = &args.tools {
        let name = path.display();
        let tools = json::input::parse_exact(&text(&read(path)?, &format!("{name}: the list of tools"))?);
        let wrong =
            |error| CliError::with_kind(Kind::Data, format!("{name}: the tools are not valid JSON: {error}"));
        profile.tools = Some(tools.map_err(wrong)?);
        (profile.tool_choice, profile.parallel) = (None, None);
    }
    if let Some(path) = &args.task {
        let task = text(&read(path)?, &format!("{}: the task description", path.display()))?;
        profile.system = Some(SystemText::Task(task));
    } else if let Some(text) = &args.system {
        profile.system = Some(SystemText::Text(text.clone()));
    }
    Ok(profile)
}

/// Model and settings that each line is answered with.
struct Answerer<'a> {
    defaults: &'a Defaults,
    cache: Option<&'a Cache>,
}

impl Answerer<'_> {
    /// The answer to a line, unless the run `is_over`.
    fn answer(&self, slot: &mut Slot<'_>, line: &Line, is_over: &AtomicBool) -> Result<Answer, Failure> {
        let body = ChatBody::read(line.body()?.as_bytes())?;
        let request = ChatRequest::new(body, self.defaults)?;
        let call = Call {
            model: slot.model(),
            template: &request.template,
            request: &request.request(),
            settings: &request.settings,
            cache: self.cache,
        };
        Ok(call::ask_in(slot, &call, &mut Until(is_over))?)
    }
}

/// Nobody reads an answer before it is complete, and nobody wants it once the run is over.
struct Until<'a>(&'a AtomicBool);

impl Observer for Until<'_> {
    fn text(&mut self, _: &str) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn is_cancelled(&mut self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
