//! Speed of calls: those of a data set, made one after another as `edgecall call` makes them.

use super::prompts;
use crate::{
    bench::{
        Dataset, Result,
        answer::{Style, prediction},
        metric::{self, Pair, Toolbox},
        run::Watch,
        stats::quantile,
    },
    call::{self, Draft},
    machine::{Heat, Thermometer},
    runtime::{
        self, DecodeMode, Finish, Model, Options, Prefix, Sampler, Sampling, Session, Steps, generate,
    },
    schema::KeyOrder,
    tools::{check, turn::Turn},
};
use serde::Serialize;
use std::{fmt, ops::ControlFlow, sync::Arc};

/// Settings of the calls.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
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
    pub each: Vec<Each>,
}

/// Output for one case.
#[derive(Clone, Debug, Serialize)]
pub struct Each {
    /// SHA-256 of the prompt, in hex.
    pub prompt_sha256: String,
    /// The answer, with special tokens as text; empty if it was cut off.
    pub text: String,
}

/// Makes the calls of `dataset` with `model`; unless `manners.free`, each is constrained to a call with keys in any
/// order. `progress` is called before each call with the number of finished calls and of all.
///
/// A conversation's answers become a source of drafts when it has ended, like the log of `edgecall call`.
///
/// # Errors
/// A model that cannot be run or has no chat template.
pub fn calls(
    dataset: &Dataset,
    model: &Model,
    manners: &Manners,
    mut progress: impl FnMut(usize, usize),
) -> Result<Calls> {
    let vocabulary = model.vocabulary();
    let (dialect, prompts) = prompts(dataset, vocabulary)?;
    let compiler = model.compiler()?;
    let toolbox = Toolbox::new(&dataset.job.tools);
    let staged = metric::named("staged_tool_call").expect("the published metrics are there");
    let longest = prompts.iter().map(|prompt| prompt.tokens.len()).max().unwrap_or(0);
    let mut prefix = Prefix::new(Session::new(model, longest, manners.max_tokens, &manners.session)?);
    let mut drafter = if manners.exact { None } else { manners.draft.drafter(&[], Vec::new(), None) };
    let (mut earlier, mut this, mut conversation) = (Arc::new(Vec::new()), Vec::new(), 0);
    let (mut done, mut steps, mut seconds) = (Calls::default(), Steps::default(), Vec::new());
    let thermometer = Thermometer::start();
    for (case, prompt) in dataset.cases.iter().zip(&prompts).take(manners.limit) {
        progress(done.calls, prompts.len().min(manners.limit));
        if case.conversation != conversation {
            Arc::make_mut(&mut earlier).append(&mut this);
            conversation = case.conversation;
        }
        let watch = Watch::start();
        done.computed_tokens += prefix.evaluate(&prompt.tokens, |token| vocabulary.is_eog(token))?;
        let prefill_s = watch.wall_s();
        let pace = match &mut drafter {
            None if manners.exact => DecodeMode::Exact,
            None => DecodeMode::Forced,
            Some(drafter) => {
                drafter.begin(&prompt.tokens, earlier.clone());
                DecodeMode::Drafted(drafter)
            }
        };
        let mut sampler = Sampler::new(Sampling::default());
        let (session, budget) = (prefix.session(), manners.max_tokens);
        let written = if manners.free {
            generate::free(session, vocabulary, &mut sampler, budget, None, |_| false)
        } else {
            let turn = Turn::new(&dataset.job.tools, dialect, KeyOrder::Any)?;
            let mut constraint = call::constraint(compiler, &turn)?;
            let reader = |_: &[u8]| ControlFlow::Continue(());
            generate::constrained(session, &mut constraint, &mut sampler, budget, pace, reader)
        };
        let written = match written {
            Ok(written) => {
                done.generated_tokens += written.decoded;
                steps += written.steps;
                Some(written).filter(|written| written.finish == Finish::Stop)
            }
            Err(runtime::Error::Unsatisfied { .. }) => None,
            Err(other) => return Err(other.into()),
        };
        let text = written.as_ref().map(|written| String::from_utf8_lossy(&written.text).into_owned());
        let text = text.unwrap_or_default();
        let called = dialect.parse(&text).ok().filter(|call| check::check(&dataset.job.tools, call).is_ok());
        seconds.push(watch.wall_s());
        done.calls += 1;
        done.valid += usize::from(called.is_some());
        done.wall_s += watch.wall_s();
        done.cpu_s += watch.cpu_s();
        done.prefill_s += prefill_s;
        if let Some(gold) = case.answer(Style::Student) {
            let predicted = prediction(&text, Style::Student);
            let score = staged.score(&Pair::new(&gold, &predicted, Some(&text), Some(&toolbox)));
            *done.staged_tool_call.get_or_insert(0.0) += score.unwrap_or(0.0);
        }
        this.extend(written.map(|written| written.tokens));
        done.prompt_tokens += prompt.tokens.len();
        done.each.push(Each { prompt_sha256: prompt.sha256.clone(), text });
    }
    seconds.sort_by(f64::total_cmp);
    let tokens = done.generated_tokens.max(1) as f64;
    let outside_prefill_s = done.wall_s - done.prefill_s;
    Ok(Calls {
        staged_tool_call: done.staged_tool_call.map(|sum| sum / done.calls.max(1) as f64),
        decodes: steps.decodes,
        forced: steps.forced,
        drafted: steps.drafted,
        accepted: steps.accepted,
        outside_prefill_s,
        outside_prefill_ms_per_token: outside_prefill_s * 1e3 / tokens,
        decodes_per_token: steps.decodes as f64 / tokens,
        call_s_p50: quantile(&seconds, 0.5).unwrap_or(0.0),
        call_s_p95: quantile(&seconds, 0.95).unwrap_or(0.0),
        heat: thermometer.read(),
        ..done
    })
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row =
            |f: &mut fmt::Formatter<'_>, what: &str, value: String| writeln!(f, "{what:<34}{value:>14}");
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
