//! `edgecall run`.

mod person;
mod responder;
mod tools;
mod transcript;

use self::{
    person::Person,
    responder::{Form, Local},
};
use super::{
    call::{self, answer::OutputArg, ask, input, profile, settings, template},
    error::ReadError,
    exit::{self, CliError},
    load::load,
    numbers::between,
    output, progress,
};
use edgecall::{
    Kind,
    agent::{self, Consent, Ending, Log, Replay, RunSettings, Running, Toolbox},
    call::{Choice, ModelTexts, RequestFields, Settings, check_tools},
    chat::Conversation,
    files,
    profile::{Profile, ToolChoice},
    runtime::Trust,
};
use std::{
    io::{self, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Instant,
};

/// Heading of the options that a call does not have.
const HEADING: &str = "Tools that run";

/// Longest log that is replayed.
const MAX_LOG_BYTES: u64 = 256 << 20;

/// Examples at the end of the help.
const EXAMPLES: &str = "\
Examples:
  edgecall run -m model.gguf --tools tools.toml \"What is the weather in Oslo?\"
  edgecall run -m model.gguf --mcp 'npx -y @modelcontextprotocol/server-filesystem .' \"Which files are here?\"
  edgecall run -m model.gguf --tools tools.toml --dry-run \"Restart the web server\"";

/// The arguments of `edgecall run`: those of a call, and what lets its tools run.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(mut_arg("tools", |arg| arg.value_name("TOOLS.toml").help(
    "Tools with the programs that run them, in TOML or JSON (docs/run.md); `-` reads TOML from stdin")))]
#[command(mut_arg("tool_choice", |arg| arg.help(
    "Answer in text or call a tool (auto), or always call, where a tool ends the run (required) [default: auto]")))]
#[command(mut_arg("max_tokens", |arg| arg.help(
    "Maximum number of tokens to generate in each step [default: 512]")))]
#[command(mut_arg("timings", |arg| arg.help("Print time and token counts of each step to stderr")))]
#[command(mut_args(without_options_of_calls))]
pub struct Args {
    #[command(flatten)]
    call: call::Args,

    /// MCP server with tools: a command that speaks on stdio, or the URL of a streamable HTTP server (repeatable)
    #[arg(long, value_name = "COMMAND|URL", help_heading = HEADING)]
    mcp: Vec<String>,

    /// Give MCP servers this variable of the environment, too (repeatable)
    #[arg(long, value_name = "NAME", requires = "mcp", help_heading = HEADING)]
    mcp_env: Vec<String>,

    /// Seconds that an MCP server has for a call
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = between(1, 86_400), help_heading = HEADING)]
    mcp_timeout: u32,

    /// Treat this tool of an MCP server as one that only reads, which needs no yes (repeatable)
    #[arg(long, value_name = "NAME", requires = "mcp", help_heading = HEADING)]
    reads: Vec<String>,

    /// Most answers of the model, calls included; a run without an answer fails with exit code 1
    #[arg(long, value_name = "N", default_value = "10", value_parser = between(1, 999), help_heading = HEADING)]
    max_steps: u32,

    /// Run tools without asking; after output that is not trusted, tools that act ask all the same
    #[arg(long, help_heading = HEADING)]
    yes: bool,

    /// Run this tool without asking (repeatable)
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    yes_for: Vec<String>,

    /// With --yes and --yes-for: also after output that is not trusted, which can talk the model into calls
    #[arg(long, help_heading = HEADING)]
    trust_output: bool,

    /// Print the first call and what it would run, and run nothing
    #[arg(long, help_heading = HEADING)]
    dry_run: bool,

    /// Write messages, calls, commands and results to this new file, one JSON object a line
    #[arg(long, value_name = "FILE.jsonl", help_heading = HEADING)]
    log: Option<PathBuf>,

    /// Repeat the run of this log with its results, without running anything, and say where the model deviates
    #[arg(long, value_name = "FILE.jsonl", help_heading = HEADING)]
    #[arg(conflicts_with_all = ["prompt", "messages", "system", "task", "tools", "mcp", "dry_run", "log"])]
    replay: Option<PathBuf>,

    /// Print the whole conversation as JSON that --messages takes, in place of the answer
    #[arg(long, conflicts_with = "dry_run", help_heading = HEADING)]
    transcript: bool,
}

/// Hides the options that only a single call has.
fn without_options_of_calls(arg: clap::Arg) -> clap::Arg {
    let is_of_calls =
        ["json_schema", "explain_tools", "json", "output", "stream", "server", "server_key_file"]
            .contains(&arg.get_id().as_str());
    if is_of_calls { arg.hide(true) } else { arg }
}

/// Conversation and tools of a run.
struct Start {
    conversation: Conversation,
    toolbox: Toolbox,
    /// The recorded answer of a replay.
    recorded: Option<String>,
}

/// Runs the command; `started` is the time at which the program started.
pub fn run(mut args: Args, started: Instant) -> anyhow::Result<()> {
    args.refuse_options_of_calls()?;
    let path = call::model_file(&args.call)?;
    let running = Running::default();
    let ends = running.clone();
    exit::leave_on_interrupt("interrupted", move || ends.kill())?;
    let mut profile = profile::read(&args.call)?;
    // Tools without programs cannot run.
    profile.tools = None;
    let (mut start, fields) = args.start(&profile, &running)?;
    args.call.adopt_key_order(&profile);
    args.call.adopt(&fields);
    args.call.adopt_profile(&profile, &fields);
    start.toolbox.refresh(1)?;
    check_tools(start.toolbox.tools(), args.call.key_order())?;
    let consent = args.consent(&start.toolbox)?;
    let form = args.form(&start.toolbox, &profile, &fields)?;
    let trust = if args.call.trust_model { Trust::Unchecked } else { Trust::Checked };
    let template = template::template(&args.call)?;
    let settings =
        Settings { on_prefill: progress::prefill(), on_note: Some(say), ..settings::settings(&args.call)? };
    let request = form.request(&start.conversation, start.toolbox.tools());
    if args.call.print_prompt {
        return call::print_prompt(&path, trust, &template, &request, &settings);
    }
    // A log that cannot be made is told before the work on it.
    let log = args.log.as_deref().map(Log::create).transpose()?;
    let (cache, cache_problem) = args.call.cache.open();
    let repack = args.call.repack.into();
    let model = load(&path, (trust, repack), &request, &settings, cache.as_ref())?;
    let mut local = Local {
        model: &model,
        template: &template,
        settings: &settings,
        cache: cache.as_ref(),
        form,
        shows_timings: args.call.timings,
        step: 0,
        texts: ModelTexts::default(),
    };
    let Start { mut conversation, mut toolbox, recorded } = start;
    let run_settings = RunSettings { max_steps: args.max_steps as usize, consent, is_dry: args.dry_run };
    let ending =
        agent::run(&mut conversation, &mut local, &mut toolbox, &mut Person::new(log), &run_settings)?;
    if args.call.timings {
        say(&format!("{:.1} s in all", started.elapsed().as_secs_f64()));
        cache_problem.iter().for_each(|problem| say(&format!("no cache: {problem}")));
    }
    args.print(&ending, &conversation, recorded.as_deref())
}

impl Args {
    /// Refuses what only a single call can do.
    fn refuse_options_of_calls(&self) -> anyhow::Result<()> {
        let given = [
            ("--json-schema", self.call.json_schema.is_some()),
            ("--explain-tools", self.call.explain_tools),
            ("--output", self.call.output != OutputArg::Call),
            ("--stream", self.call.stream),
            ("--server", self.call.server.is_some()),
            ("--api-key-file", self.call.api_key_file.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((option, _)) => Err(CliError::usage(format!(
                "{option} belongs to `edgecall call`; a run prints its answer, or with --transcript the whole conversation"
            ))),
            None => Ok(()),
        }
    }

    /// The conversation and the tools, from the arguments or from a log, and the other fields of a request body.
    fn start(&self, profile: &Profile, running: &Running) -> anyhow::Result<(Start, RequestFields)> {
        if let Some(path) = &self.replay {
            let replay = replay(path)?;
            let conversation = replay.conversation().clone();
            let recorded = replay.answer().map(str::to_owned);
            let toolbox = Toolbox::new(vec![Box::new(replay)]);
            return Ok((Start { conversation, toolbox, recorded }, RequestFields::default()));
        }
        if self.call.tools.is_none() && self.mcp.is_empty() {
            return Err(CliError::usage("there are no tools; give --tools TOOLS.toml or --mcp COMMAND"));
        }
        let (mut conversation, fields) = input::conversation(&self.call, profile)?;
        if conversation.tools.take().is_some() || fields.functions.is_some() {
            input::warn(&[
                "the request's `tools` are not used: a run has those of --tools and --mcp".to_owned()
            ]);
        }
        let toolbox = tools::toolbox(self, running)?;
        Ok((Start { conversation, toolbox, recorded: None }, fields))
    }

    /// The tool choice of each step.
    fn choice(&self, toolbox: &Toolbox, profile: &Profile) -> anyhow::Result<Choice> {
        match self.call.tool_choice.as_deref().map(Choice::from_word) {
            Some(Choice::Auto) => Ok(Choice::Auto),
            Some(Choice::Required) if toolbox.has_answer_tool() => Ok(Choice::Required),
            Some(Choice::Required) => Err(CliError::usage(
                "with --tool-choice required the run ends by a tool, and none has `answer` in the file of tools; add one, \
                 or leave --tool-choice out",
            )),
            Some(_) => Err(CliError::usage("a run takes --tool-choice auto or required")),
            None if profile.tool_choice == Some(ToolChoice::Required) && toolbox.has_answer_tool() => {
                Ok(Choice::Required)
            }
            None => Ok(Choice::Auto),
        }
    }

    /// The form of each step's answer.
    fn form(&self, toolbox: &Toolbox, profile: &Profile, fields: &RequestFields) -> anyhow::Result<Form> {
        let choice = self.choice(toolbox, profile)?;
        Ok(Form {
            parallel: self.call.parallel.unwrap_or(NonZeroUsize::MIN),
            key_order: self.call.key_order(),
            close_at_budget: self.call.close_at_budget,
            stop: ask::stop(&self.call, fields, &choice, false)?,
            choice,
        })
    }

    fn consent(&self, toolbox: &Toolbox) -> anyhow::Result<Consent> {
        for name in self.yes_for.iter().chain(&self.reads) {
            let of_server = |tool: &edgecall::tools::Tool| tool.name().ends_with(&format!("_{name}"));
            if !toolbox.tools().iter().any(|tool| tool.name() == name || of_server(tool)) {
                toolbox.tools().only(name)?;
            }
        }
        Ok(Consent {
            to_all: self.yes,
            to: self.yes_for.iter().cloned().collect(),
            trusts_output: self.trust_output,
        })
    }

    /// Prints the end of the run.
    fn print(
        &self,
        ending: &Ending,
        conversation: &Conversation,
        recorded: Option<&str>,
    ) -> anyhow::Result<()> {
        match ending {
            _ if self.transcript => Ok(output::line(&transcript::json(conversation))?),
            Ending::Dry(calls) => {
                let lines: Vec<String> = calls.iter().map(ToString::to_string).collect();
                Ok(output::line(&lines.join("\n"))?)
            }
            Ending::Answer(answer) => {
                if self.replay.is_some() && recorded != Some(answer) {
                    say("note: the calls are those of the log, and the answer is another");
                }
                Ok(output::line(&answer.strip_suffix('\n').unwrap_or(answer))?)
            }
        }
    }
}

/// Reads a log to replay.
fn replay(path: &Path) -> anyhow::Result<Replay> {
    let unreadable = |source| ReadError::new(path, source);
    let file = files::open_input(path).map_err(unreadable)?;
    let bytes = files::read_within(MAX_LOG_BYTES, file).map_err(unreadable)?;
    let name = path.display();
    let bytes = bytes.ok_or_else(|| {
        CliError::with_kind(
            Kind::Data,
            format!("{name} has more than {MAX_LOG_BYTES} bytes, and no log is as long"),
        )
    })?;
    let text = input::text(&bytes, &format!("{name}: the log"))?;
    anyhow::Context::with_context(Replay::parse(&text), || name.to_string())
}

/// Writes a line to stderr, which may be closed.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
