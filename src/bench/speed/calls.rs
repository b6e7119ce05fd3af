//! Speed of calls: those of a data set, made one after another as `edgecall call` makes them.

use super::{Prompt, prompts};
use crate::{
    bench::{
        Result,
        data::{Case, Dataset, Style, prediction},
        run::Stopwatch,
        score::{
            metric::{Metric, Pair, StagedToolCall, Toolboxes},
            stats::quantile,
        },
    },
    call::{self, Draft},
    dialect::{Dialect, turn::Turn},
    machine::{Heat, Thermometer},
    runtime::{
        self, Compiler, Completion, DecodeMode, Finish, Limits, Model, Options, Prefix, Sampler, Sampling,
        Session, Steps, Vocabulary, draft::Drafter, generate,
    },
    schema::KeyOrder,
    tools::{ToolSet, check},
};
use serde::Serialize;
use std::{fmt, ops::ControlFlow, sync::Arc};

/// Settings of the calls.
#[derive(Clone, Copy, Debug)]
pub struct CallSettings {
    /// No grammar, one token per decode; the lower bound on a call's time.
    pub free: bool,
    /// One token per decode, without drafts.
    pub exact: bool,
    /// Policy for drafts.
    pub draft: Draft,
    /// Maximum number of tokens in a call.
    pub max_tokens: usize,
    /// Maximum number of calls; the first ones are made.
    pub limit: usize,
    /// Threads and KV cache.
    pub session: Options,
}

/// Totals of the calls; loading is not included.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Calls {
    /// Number of calls.
    pub calls: usize,
    /// Number of calls that are valid by their tool's schema.
    pub valid: usize,
    /// Mean of `staged_tool_call`; `None` in unlabelled data.
    pub staged_tool_call: Option<f64>,
    /// Tokens of the prompts.
    pub prompt_tokens: usize,
    /// Prompt tokens that were computed; the common start with the previous prompt is reused.
    pub computed_tokens: usize,
    /// Tokens of the calls.
    pub generated_tokens: usize,
    /// Decodes after the prompts.
    pub decodes: usize,
    /// Tokens forced by the grammar.
    pub forced: usize,
    /// Draft tokens.
    pub drafted: usize,
    /// Accepted draft tokens.
    pub accepted: usize,
    /// Choices between nearly tied tokens, made again after decoding one token at a time.
    pub near_ties: usize,
    /// Tokens that were decoded again for them.
    pub decoded_again: usize,
    /// Seconds in total.
    pub wall_s: f64,
    /// CPU seconds, summed over all threads.
    pub cpu_s: f64,
    /// Seconds of prefill.
    pub prefill_s: f64,
    /// Seconds of everything else: grammar, decodes, validation.
    pub outside_prefill_s: f64,
    /// Milliseconds outside prefill per generated token.
    pub outside_prefill_ms_per_token: f64,
    /// Decodes per generated token.
    pub decodes_per_token: f64,
    /// Median of the seconds per call.
    pub call_s_p50: f64,
    /// 95th percentile of the seconds per call.
    pub call_s_p95: f64,
    /// Temperature and frequency of the CPU after the calls, and throttling during them.
    pub heat: Heat,
    /// Output of each call.
    pub each: Vec<CallOutput>,
}

/// Output for one case.
#[derive(Clone, Debug, Serialize)]
pub struct CallOutput {
    /// SHA-256 of the prompt, in hex.
    pub prompt_sha256: String,
    /// The answer, with special tokens as text; empty if it was cut off.
    pub text: String,
}

/// Makes the calls of `dataset` with `model`; unless `settings.free`, each is constrained to a call with keys in any
/// order. `progress` is called before each call with the number of finished calls and of all.
///
/// A conversation's answers become a source of drafts when it has ended, like the log of `edgecall call`.
///
/// # Errors
/// A model that cannot be run or has no chat template.
pub fn calls(
    dataset: &Dataset,
    model: &Model,
    settings: &CallSettings,
    mut progress: impl FnMut(usize, usize),
) -> Result<Calls> {
    let (dialect, prompts) = prompts(dataset, model.vocabulary())?;
    let longest = prompts.iter().map(|prompt| prompt.tokens.len()).max().unwrap_or(0);
    let mut caller = Caller {
        settings,
        vocabulary: model.vocabulary(),
        compiler: model.compiler()?,
        dialect,
        toolboxes: Toolboxes::new(dataset),
        prefix: Prefix::new(Session::new(model, longest, settings.max_tokens, &settings.session)?),
        drafter: if settings.exact { None } else { settings.draft.drafter(&[], Vec::new(), None) },
        earlier: Arc::default(),
        done: Calls::default(),
        steps: Steps::default(),
        seconds: Vec::new(),
    };
    let (mut this, mut conversation) = (Vec::new(), 0);
    let thermometer = Thermometer::start();
    for (case, prompt) in dataset.cases.iter().zip(&prompts).take(settings.limit) {
        progress(caller.done.calls, prompts.len().min(settings.limit));
        if case.conversation != conversation {
            Arc::make_mut(&mut caller.earlier).append(&mut this);
            conversation = case.conversation;
        }
        this.extend(caller.call(case, prompt)?);
    }
    let heat = thermometer.read();
    Ok(Calls { heat, ..caller.totals() })
}

/// A model that makes calls, with their totals so far.
struct Caller<'c> {
    settings: &'c CallSettings,
    vocabulary: &'c Vocabulary,
    compiler: &'c Compiler,
    dialect: Arc<Dialect>,
    toolboxes: Toolboxes<'c>,
    prefix: Prefix<'c>,
    drafter: Option<Drafter>,
    /// Answers of earlier conversations.
    earlier: Arc<Vec<Vec<i32>>>,
    done: Calls,
    steps: Steps,
    /// Seconds of each call.
    seconds: Vec<f64>,
}

impl Caller<'_> {
    /// Makes the call of one case, and returns its tokens; `None` if it was cut off.
    fn call(&mut self, case: &Case, prompt: &Prompt) -> Result<Option<Vec<i32>>> {
        let (tools, vocabulary) = (case.tools(), self.vocabulary);
        let stopwatch = Stopwatch::start();
        self.done.computed_tokens +=
            self.prefix.evaluate(&prompt.tokens, |token| vocabulary.is_eog(token))?;
        let prefill_s = stopwatch.wall_s();
        let written = self.generate(prompt, tools)?;
        let text = written.as_ref().map(|written| String::from_utf8_lossy(&written.text).into_owned());
        let text = text.unwrap_or_default();
        let called = self
            .dialect
            .read_call_with(&text, Some(tools))
            .ok()
            .filter(|call| check::check(tools, call).is_ok());
        self.seconds.push(stopwatch.wall_s());
        let done = &mut self.done;
        done.calls += 1;
        done.valid += usize::from(called.is_some());
        done.wall_s += stopwatch.wall_s();
        done.cpu_s += stopwatch.cpu_s();
        done.prefill_s += prefill_s;
        if let Some(gold) = case.answer(Style::Student) {
            let predicted = prediction(&text, Style::Student);
            let score = StagedToolCall.score(&Pair::new(
                &gold,
                &predicted,
                Some(&text),
                Some(self.toolboxes.of_case(case)),
            ));
            *done.staged_tool_call.get_or_insert(0.0) += score.unwrap_or(0.0);
        }
        done.prompt_tokens += prompt.tokens.len();
        done.each.push(CallOutput { prompt_sha256: prompt.sha256.clone(), text });
        Ok(written.map(|written| written.tokens))
    }

    /// Generates after the prompt; `None` if the answer was cut off.
    fn generate(&mut self, prompt: &Prompt, tools: &ToolSet) -> Result<Option<Completion>> {
        let settings = self.settings;
        let decode_mode = match &mut self.drafter {
            None if settings.exact => DecodeMode::Exact,
            None => DecodeMode::Forced,
            Some(drafter) => {
                drafter.begin(&prompt.tokens, self.earlier.clone());
                DecodeMode::Drafted(drafter)
            }
        };
        let mut sampler = Sampler::new(Sampling::default());
        let limits = Limits { tokens: settings.max_tokens, repetition: true };
        let session = self.prefix.session();
        let written = if settings.free {
            generate::free(session, self.vocabulary, &mut sampler, limits, None, |_| false)
        } else {
            let turn = Turn::new(tools, &self.dialect, KeyOrder::Any)?;
            let mut constraint = call::constraint(self.compiler, &turn)?;
            let reader = |_: &[u8]| ControlFlow::Continue(());
            generate::constrained(session, &mut constraint, &mut sampler, limits, decode_mode, reader)
        };
        match written {
            Ok(written) => {
                self.done.generated_tokens += written.decoded;
                self.steps += written.steps;
                Ok(Some(written).filter(|written| written.finish == Finish::Stop))
            }
            Err(runtime::Error::Unsatisfied { .. }) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    /// Totals of all calls; the heat is not known here.
    fn totals(mut self) -> Calls {
        let (done, steps) = (self.done, self.steps);
        self.seconds.sort_by(f64::total_cmp);
        let tokens = done.generated_tokens.max(1) as f64;
        let outside_prefill_s = done.wall_s - done.prefill_s;
        Calls {
            staged_tool_call: done.staged_tool_call.map(|sum| sum / done.calls.max(1) as f64),
            decodes: steps.decodes,
            forced: steps.forced,
            drafted: steps.drafted,
            accepted: steps.accepted,
            near_ties: steps.ties,
            decoded_again: steps.again,
            outside_prefill_s,
            outside_prefill_ms_per_token: outside_prefill_s * 1e3 / tokens,
            decodes_per_token: steps.decodes as f64 / tokens,
            call_s_p50: quantile(&self.seconds, 0.5).unwrap_or(0.0),
            call_s_p95: quantile(&self.seconds, 0.95).unwrap_or(0.0),
            ..done
        }
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row =
            |f: &mut fmt::Formatter<'_>, name: &str, value: String| writeln!(f, "{name:<34}{value:>14}");
        row(f, "calls", self.calls.to_string())?;
        row(f, "valid", self.valid.to_string())?;
        row(f, "staged_tool_call", self.staged_tool_call.map_or("—".into(), |mean| format!("{mean:.4}")))?;
        row(f, "prompt tokens", self.prompt_tokens.to_string())?;
        row(f, "  computed", self.computed_tokens.to_string())?;
        row(f, "tokens of the calls", self.generated_tokens.to_string())?;
        row(f, "  forced by the grammar", self.forced.to_string())?;
        row(f, "  guessed and right", format!("{} of {}", self.accepted, self.drafted))?;
        row(f, "decodes", self.decodes.to_string())?;
        row(f, "  for each token", format!("{:.3}", self.decodes_per_token))?;
        row(f, "seconds", format!("{:.2}", self.wall_s))?;
        row(f, "  of CPU", format!("{:.2}", self.cpu_s))?;
        row(f, "  of prefill", format!("{:.2}", self.prefill_s))?;
        row(f, "ms outside prefill for each token", format!("{:.3}", self.outside_prefill_ms_per_token))?;
        row(f, "seconds for a call, p50", format!("{:.3}", self.call_s_p50))?;
        write!(f, "{:<34}{:>14.3}", "seconds for a call, p95", self.call_s_p95)?;
        match self.heat.words() {
            Some(heat) => write!(f, "\n{heat}"),
            None => Ok(()),
        }
    }
}
