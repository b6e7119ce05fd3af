//! `edgecall batch`.

mod input;
mod line;
mod output;

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
    runtime::Model,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use input::{Lines, Shard, shard};
use line::{Failure, Line};
use output::Output;
use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

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

    /// File for the answers, one a line in the order of the requests [default: stdout]
    #[arg(short, long, value_name = "OUT.jsonl")]
    output: Option<PathBuf>,

    /// Go on behind the answers that the output has already
    #[arg(long, requires = "output")]
    resume: bool,

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

/// Counts of a run.
#[derive(Default)]
struct Counts {
    answered: usize,
    failed: usize,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let path = args.model.path()?;
    if args.output.is_none() {
        stdout::check()?;
    }
    // Each line is written whole.
    exit::leave_on_interrupt("interrupted; --resume goes on behind the answers that are written", || ())?;
    let defaults = args.model.defaults(&profile(&args, &path)?)?;
    let mut lines = Lines::open(&args.input, args.shard)?;
    let mut output = Output::open(args.output.as_deref(), args.resume)?;
    let skipped = output.skip_answered(&mut lines)?;
    let cache = args.model.cache();
    let model = args.model.load(&path, &defaults, cache.as_ref())?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut runner = Runner { slot: Slot::new(&model), defaults, cache: cache.as_ref(), name };
    let progress = progress();
    let mut counts = Counts::default();
    while let Some(line) = lines.next()? {
        let line = Line::read(&line);
        let answer = runner.answer(&line);
        match &answer {
            Ok(_) => counts.answered += 1,
            Err(_) => counts.failed += 1,
        }
        output.write(&line.answer(&answer, &runner.name))?;
        progress.inc(1);
        if let Err(failure) = answer
            && args.fail_fast
        {
            progress.finish_and_clear();
            let id = line.id_text();
            return Err(CliError::with_kind(failure.kind, format!("request {id}: {}", failure.message)));
        }
    }
    progress.finish_and_clear();
    report(&counts, skipped)
}

/// Prints the counts; an error if a request got no answer.
fn report(counts: &Counts, skipped: usize) -> anyhow::Result<()> {
    let Counts { answered, failed } = counts;
    let before = if skipped > 0 { format!(", {skipped} before") } else { String::new() };
    // Nobody reads a closed stderr.
    let _ = writeln!(io::stderr(), "{answered} answered, {failed} failed{before}");
    match failed {
        0 => Ok(()),
        _ => Err(CliError::with_kind(Kind::Negative, "not every request got an answer; their lines say why")),
    }
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

/// A bar on a terminal, else nothing.
fn progress() -> ProgressBar {
    let target = match stdout::is_stderr_a_screen() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template("{spinner} {pos} answered, {per_sec}, {elapsed}");
    ProgressBar::with_draw_target(None, target).with_style(style.expect("the template is a constant"))
}

/// A model that answers lines, one after the other.
struct Runner<'m> {
    slot: Slot<'m>,
    defaults: Defaults,
    cache: Option<&'m Cache>,
    /// Name of the model in answers.
    name: String,
}

impl Runner<'_> {
    /// The answer to a line.
    fn answer(&mut self, line: &Line) -> Result<Answer, Failure> {
        let body = ChatBody::read(line.body()?.as_bytes())?;
        let request = ChatRequest::new(body, &self.defaults)?;
        let model: &Model = self.slot.model();
        let call = Call {
            model,
            template: &request.template,
            request: &request.request(),
            settings: &request.settings,
            cache: self.cache,
        };
        Ok(call::ask_in(&mut self.slot, &call, &mut Ignored)?)
    }
}

/// Nobody reads an answer before it is complete.
struct Ignored;

impl Observer for Ignored {
    fn text(&mut self, _: &str) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}
