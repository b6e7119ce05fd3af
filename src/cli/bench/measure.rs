//! The speed pass of `edgecall bench tft`, and the process that it starts for each model.

use super::{calls, profile::job_of};
use crate::cli::{
    context::{flash_attention, kv_types},
    exit::CliError,
    output,
};
use anyhow::Context;
use edgecall::{
    Kind,
    bench::{
        Dataset, Mode,
        row::{Cost, Record, Role, RowFile, RowWriter, SCHEMA_VERSION, Speed, SpeedKey, Variant},
        run::{self, LoadedModel, Meter, RunPlan, Settings, VariantConfig},
    },
    runtime::{self, FlashAttention, KvType, LoadOptions, Options, Trust},
    stack,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io::{self, BufRead, BufReader, Write},
    num::NonZeroUsize,
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// Request to a measuring process: one line, answered by one line with the costs.
#[derive(Serialize, Deserialize)]
struct Turn {
    mode: Mode,
    cases: Vec<usize>,
}

/// The arguments of a measuring process.
#[derive(clap::Args)]
pub struct Args {
    /// Model to measure
    #[arg(short, long)]
    model: PathBuf,
    /// Job description
    #[arg(long)]
    job: PathBuf,
    /// Model whose profile is the job, if there is no job description
    #[arg(long)]
    profile_of: Option<PathBuf>,
    /// Test set
    #[arg(long)]
    test: PathBuf,
    /// Type of the KV cache
    #[arg(long, value_parser = kv_types())]
    kv_type: String,
    /// Use of flash attention
    #[arg(long, value_parser = flash_attention())]
    flash_attn: FlashAttention,
    /// Use the weights as stored
    #[arg(long)]
    no_repack: bool,
    /// Load the model even if its architecture or tokenizer cannot be fully validated
    #[arg(long)]
    trust_model: bool,
    /// Number of threads
    #[arg(long)]
    threads: NonZeroUsize,
    /// Maximum number of tokens in an answer
    #[arg(long)]
    max_tokens: usize,
    /// Index of the case whose prompt is evaluated first
    #[arg(long)]
    first: usize,
    #[command(flatten)]
    calls: calls::Args,
}

/// Runs the process: it reads requests from stdin and writes costs to stdout.
pub fn run(args: Args) -> anyhow::Result<()> {
    runtime::kernels::active()?;
    let dataset = Dataset::open_files_or(&args.job, &args.test, || match &args.profile_of {
        Some(model) => job_of(model),
        None => Ok(None),
    })?;
    let known = |case: &usize| *case < dataset.cases.len();
    let no_case = || CliError::with_kind(Kind::Bug, "there is no such call");
    let trust = if args.trust_model { Trust::Unchecked } else { Trust::Checked };
    let loaded = LoadedModel::unhashed(&args.model, LoadOptions { trust, repack: !args.no_repack })?;
    let session = Options {
        threads: Some(args.threads),
        kv_type: KvType::named(&args.kv_type).expect("clap takes no other name"),
        flash_attention: args.flash_attn,
        ..Options::default()
    };
    let config = VariantConfig { loaded: &loaded, session, role: Role::Candidate };
    let settings = Settings {
        modes: Vec::new(),
        max_tokens: args.max_tokens,
        primary: String::new(),
        margin: 0.0,
        divergence: false,
        calls: args.calls.settings(false)?,
    };
    let first = Some(args.first).filter(known).ok_or_else(no_case)?;
    let mut meter = Meter::new(config, &dataset, &settings, first)?;
    for line in io::stdin().lock().lines() {
        let turn: Turn = serde_json::from_str(&line?).context("a turn is not understood")?;
        if !turn.cases.iter().all(known) {
            return Err(no_case());
        }
        let costs = meter.conversation(&turn.cases, turn.mode)?;
        output::text(&(serde_json::to_string(&costs)? + "\n"))?;
    }
    Ok(())
}

/// The files that a measuring process reads its data from.
#[derive(Clone, Debug)]
pub struct DataFiles {
    /// The job description, which may be missing.
    pub job: PathBuf,
    /// The test set.
    pub test: PathBuf,
    /// A model whose profile is the job.
    pub profile_of: Option<PathBuf>,
}

/// The speed pass: models, modes and conversations.
pub struct SpeedPass {
    runners: Vec<Runner>,
    modes: Vec<Mode>,
    // Indices of the cases of each conversation.
    conversations: Vec<Vec<usize>>,
    max_tokens: usize,
    calls: calls::Args,
}

/// Everything needed to start a measuring process.
struct Runner {
    model: PathBuf,
    name: String,
    load_options: LoadOptions,
    session: Options,
    threads: usize,
    // One for each mode, in the same order.
    variants: Vec<Variant>,
}

impl SpeedPass {
    /// Speed pass on the first `conversations` conversations of a run, for all models except those of the noise floor.
    ///
    /// # Errors
    /// More threads than CPUs.
    pub fn new(plan: &RunPlan<'_>, conversations: usize, calls: &calls::Args) -> anyhow::Result<SpeedPass> {
        let settings = &plan.settings;
        let compared = plan.configs.iter().filter(|config| config.role != Role::NoiseFloor);
        let runner = |config: &VariantConfig<'_>| {
            let threads = config.threads()?;
            Ok(Runner {
                model: config.loaded.path.clone(),
                name: config.loaded.name.clone(),
                load_options: config.loaded.load_options,
                session: config.session,
                threads,
                variants: settings
                    .modes
                    .iter()
                    .map(|&mode| config.variant(mode, settings, threads))
                    .collect(),
            })
        };
        let cases = &plan.dataset.cases;
        let by_conversation = plan
            .cases
            .chunk_by(|&a, &b| cases[a].conversation == cases[b].conversation)
            .map(<[usize]>::to_vec);
        Ok(SpeedPass {
            runners: compared.map(runner).collect::<edgecall::bench::Result<_>>()?,
            modes: settings.modes.clone(),
            conversations: by_conversation.take(conversations).collect(),
            max_tokens: settings.max_tokens,
            calls: calls.clone(),
        })
    }

    /// Appends the missing measurements to the file; `progress` is called with the model's name before each turn.
    ///
    /// # Errors
    /// A process that cannot be started or ends early; a file that cannot be written.
    pub fn run(
        &self,
        dataset: &Dataset,
        files: &DataFiles,
        writer: &mut RowWriter,
        progress: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        let file = writer.contents()?;
        let turns = self.missing(dataset, &file);
        let Some(&first) = self.conversations.first().and_then(|cases| cases.first()) else { return Ok(()) };
        let mut processes = Vec::new();
        for (index, runner) in self.runners.iter().enumerate() {
            let is_needed = turns.iter().any(|&(_, _, of)| of == index);
            let process = is_needed.then(|| runner.start(files, self, first)).transpose()?;
            processes.push(process);
        }
        let (data, kernels) = (dataset.identity(), runtime::kernels::name().to_owned());
        for (cases, mode, index) in turns {
            let (Some(process), runner) = (&mut processes[index], &self.runners[index]) else { continue };
            progress(&runner.name);
            let turn = Turn { mode: self.modes[mode], cases: cases.to_vec() };
            let costs = process.take(&turn).with_context(|| {
                format!("measuring {} came to an end; --resume goes on, --speed 0 leaves it out", runner.name)
            })?;
            for (&case, cost) in cases.iter().zip(costs) {
                let case = &dataset.cases[case];
                let speed = Speed {
                    schema_version: SCHEMA_VERSION,
                    variant: runner.variants[mode].clone(),
                    kernels: kernels.clone(),
                    data: data.clone(),
                    conversation: case.conversation,
                    turn: case.turn,
                    cost,
                };
                writer.append(&Record::Speed(Box::new(speed)))?;
            }
        }
        Ok(())
    }

    /// Number of turns of the complete pass.
    pub fn turns(&self) -> usize {
        self.conversations.len() * self.modes.len() * self.runners.len()
    }

    /// Turns that the file does not have from this host: cases, index of the mode, index of the model. The order of the
    /// models rotates from one conversation to the next.
    fn missing(&self, dataset: &Dataset, file: &RowFile) -> Vec<(&[usize], usize, usize)> {
        let done: BTreeSet<SpeedKey> = file.speeds.iter().map(Speed::key).collect();
        let host = run::host();
        let mut turns = Vec::new();
        for (at, cases) in self.conversations.iter().enumerate() {
            for mode in 0..self.modes.len() {
                for turn in 0..self.runners.len() {
                    let index = (at + turn) % self.runners.len();
                    let is_done = |&case: &usize| {
                        let case = &dataset.cases[case];
                        let variant = self.runners[index].variants[mode].clone();
                        done.contains(&(variant, host.clone(), case.conversation, case.turn))
                    };
                    if !cases.iter().all(is_done) {
                        turns.push((&cases[..], mode, index));
                    }
                }
            }
        }
        turns
    }
}

/// A measuring process.
struct Process {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Runner {
    fn start(&self, files: &DataFiles, pass: &SpeedPass, first: usize) -> anyhow::Result<Process> {
        let program = std::env::current_exe().context("cannot find this program to start it again")?;
        let mut command = Command::new(program);
        command
            .args(["bench", "measure", "--model"])
            .arg(&self.model)
            .arg("--job")
            .arg(&files.job)
            .arg("--test")
            .arg(&files.test);
        command
            .args(files.profile_of.iter().flat_map(|model| [OsStr::new("--profile-of"), model.as_os_str()]));
        command.args(["--kv-type", self.session.kv_type.name, "--threads", &self.threads.to_string()]);
        command.args(["--flash-attn", self.session.flash_attention.name()]);
        command.args(["--kernels", runtime::kernels::name()]);
        command.args(["--max-tokens", &pass.max_tokens.to_string(), "--first", &first.to_string()]);
        command.args(pass.calls.words());
        command.args((!self.load_options.repack).then_some("--no-repack"));
        command.args((self.load_options.trust == Trust::Unchecked).then_some("--trust-model"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| {
            let message = format!("cannot start a process to measure in: {error}; {}", stack::LIMITS);
            CliError::with_kind(Kind::Unavailable, message)
        })?;
        let (requests, answers) = (child.stdin.take(), child.stdout.take());
        Ok(Process {
            child,
            requests: requests.expect("stdin is piped"),
            answers: BufReader::new(answers.expect("stdout is piped")),
        })
    }
}

impl Process {
    /// Runs one turn in the process.
    fn take(&mut self, turn: &Turn) -> anyhow::Result<Vec<Cost>> {
        let mut line = serde_json::to_string(turn)? + "\n";
        self.requests
            .write_all(line.as_bytes())
            .map_err(|e| CliError::with_kind(Kind::Unavailable, e.to_string()))?;
        line.clear();
        self.answers.read_line(&mut line)?;
        if line.is_empty() {
            let status = self.child.wait()?;
            return Err(CliError::with_kind(Kind::Unavailable, format!("its process ended with {status}")));
        }
        let costs: Vec<Cost> = serde_json::from_str(&line).context("its process answered something else")?;
        Ok(costs)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process only waits for further turns.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
