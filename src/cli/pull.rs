//! `edgecall pull`.

use super::{
    exit,
    numbers::between,
    output::{self, Format},
};
use edgecall::{
    http::RetryPolicy,
    hub::{self, Hub, Plan, Progress, Settings, Source},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::{fmt, path::PathBuf, time::Duration};

/// Examples at the end of the help.
const EXAMPLES: &str = "\
Examples:
  edgecall pull Qwen/Qwen3-1.7B                        (then: edgecall convert Qwen/Qwen3-1.7B)
  edgecall convert \"$(edgecall pull Qwen/Qwen3-1.7B)\"  (both in one line)
  edgecall pull Qwen/Qwen3-1.7B-GGUF:Qwen3-1.7B-Q8_0.gguf
  edgecall pull ORG/NAME --dry-run                     (which files, and how large they are)

HF_TOKEN, HF_ENDPOINT, HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE mean what they mean to Python's huggingface_hub.";

/// The arguments of `edgecall pull`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Model on the Hugging Face hub: a checkpoint, or one GGUF file of a repository; or edgecall:NAME
    #[arg(value_name = "ORG/NAME[@REVISION][:FILE.gguf]", value_parser = source)]
    name: Source,

    /// Use no network: print where it is, if it is there
    #[arg(long)]
    offline: bool,

    /// List the files and their sizes, and fetch nothing
    #[arg(long, conflicts_with = "offline")]
    dry_run: bool,

    /// Show no progress
    #[arg(short, long)]
    quiet: bool,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,

    /// Longest time without a byte from the server, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = between(1, u32::MAX))]
    timeout: u32,

    /// Number of retries after an error that may pass; tries that brought something do not count
    #[arg(long, value_name = "N", default_value = "5", value_parser = between(0, 100))]
    retries: u32,
}

/// Parser for a name on the hub.
fn source(text: &str) -> Result<Source, hub::Error> {
    text.parse()
}

/// The report of a pull.
#[derive(Serialize)]
struct Pulled {
    path: PathBuf,
    #[serde(flatten)]
    plan: Option<Plan>,
}

impl fmt::Display for Pulled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let format = Format::from_flag(args.json);
    let settings = Settings::from_env()?;
    if args.offline || settings.offline {
        let path = hub::offline(&settings.cache, &args.name)?;
        return Ok(output::emit(&Pulled { path, plan: None }, format)?);
    }
    exit::leave_on_interrupt("interrupted; the same command goes on from here", || ())?;
    let retry = RetryPolicy {
        timeout: Duration::from_secs(args.timeout.into()),
        retries: args.retries,
        // A seed of its own for each process, so that several do not retry at the same moment.
        seed: std::process::id().into(),
        ..RetryPolicy::default()
    };
    let hub = Hub::new(&settings, retry)?;
    let mut bar = Bar::new(args.quiet || args.json);
    let plan = hub.plan(&args.name, &mut bar)?;
    if args.dry_run {
        return Ok(output::emit(&plan, format)?);
    }
    let path = hub.pull(&plan, &mut bar)?;
    bar.0.finish_and_clear();
    output::emit(&Pulled { path, plan: Some(plan) }, format)?;
    Ok(())
}

/// Progress bar on stderr if it is a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new(is_quiet: bool) -> Bar {
        if is_quiet || !output::is_stderr_a_screen() {
            return Bar(ProgressBar::hidden());
        }
        Bar(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()))
    }

    /// Shows the last characters of `text`, which tell a file from its neighbours.
    fn show(&self, text: &str) {
        const WIDTH: usize = 32;
        let skipped = text.chars().count().saturating_sub(WIDTH);
        self.0.set_message(text.chars().skip(skipped).collect::<String>());
    }
}

impl Progress for Bar {
    fn begin(&mut self, total_bytes: u64) {
        let style = ProgressStyle::with_template(
            "{msg:32} {wide_bar} {bytes:>10} of {total_bytes} {bytes_per_sec:>12} {eta:>4}",
        );
        self.0.set_style(style.expect("the template is a constant"));
        self.0.set_length(total_bytes);
    }

    fn advance(&mut self, file: &str, done_bytes: u64) {
        self.show(file);
        self.0.set_position(done_bytes);
    }

    fn resume(&mut self, done_bytes: u64) {
        self.0.set_position(done_bytes);
        // What was there does not count for the speed.
        self.0.reset_eta();
    }

    fn wait(&mut self, reason: &str) {
        self.show(reason);
    }
}
