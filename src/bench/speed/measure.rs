//! Speed of a model on this machine: prefill, decode, decodes of several tokens, token masks, and whole calls.

use super::{
    Ceiling, Example, Start, median,
    work::{ordinary_tokens, weights_of_a_token},
};
use crate::{
    bench::{Result, score::stats::quantile},
    cache::Cache,
    call::{self, PromptTemplate, Request, Think},
    dialect::{Wanted, turn::Turn},
    machine::{Heat, Thermometer, cpu_time, peak_resident_bytes},
    runtime::{
        Constraint, DecodeMode, Model, N_BATCH, Options, Prefix, Sampler, Sampling, Session,
        draft::BatchCost, generate, kernels,
    },
    schema::KeyOrder,
};
use serde::Serialize;
use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    time::{Duration, Instant},
};

/// Prompt lengths in tokens for prefill and decode.
const LENGTHS: [usize; 3] = [128, 512, 1024];
/// Number of tokens decoded in a row.
const DECODED: usize = 24;
/// Maximum number of tokens in one decode.
const MOST_ROWS: usize = 8;
/// Number of rounds per measurement.
const ROUNDS: usize = 4;
/// Time limit for all rounds of a measurement; no round starts after it.
const LONG: Duration = Duration::from_secs(12);

/// Extent of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// Prefill and decode alone.
    Rates,
}

/// Prefill or decode rate.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rate {
    /// Tokens evaluated (prefill), or already in the context (decode).
    pub tokens: usize,
    /// Tokens per second; median of the rounds.
    pub tokens_per_s: f64,
    /// Tokens per second of llama.cpp alone: `llama_decode` in a loop, with llama.cpp's own threads.
    pub bare_tokens_per_s: f64,
}

/// Results of the measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Number of threads.
    pub threads: usize,
    /// Seconds to load the model, mapped.
    pub load_s: f64,
    /// Prefill rates.
    pub prefill: Vec<Rate>,
    /// Decode rates, one token at a time.
    pub decode: Vec<Rate>,
    /// Cost of a decode of 1, 2, 3 ... tokens, relative to a decode of one.
    /// Empty with [`Scope::Rates`].
    pub rows: Vec<f64>,
    /// Timings of the example call.
    /// `None` with [`Scope::Rates`].
    pub call: Option<CallTimes>,
    /// Upper bounds of memory and arithmetic.
    pub ceiling: Ceiling,
    /// Bytes of weights that a decode reads.
    pub bytes_per_token: u64,
    /// Multiply-adds per token.
    pub multiply_adds_per_token: u64,
    /// Peak resident memory of the process, in bytes, mapped weights included.
    pub peak_resident_bytes: Option<u64>,
    /// Temperature and frequency of the CPU after the measurement, and throttling during it.
    pub heat: Heat,
    /// Start-up with and without repacked weights, each in its own process.
    pub starts: Vec<Start>,
    /// CPU kernels that computed.
    pub kernels: &'static str,
    /// CPU features that these kernels do not use.
    pub unused_features: Vec<&'static str>,
}

/// Timings of the example call.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CallTimes {
    /// True if its tools are those of the model's profile, false if they are built in.
    pub has_tools_of_profile: bool,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Time to first token in seconds, up to the first token that the grammar did not force; the whole prompt is
    /// evaluated.
    pub first_token_cold_s: f64,
    /// Time to first token with all but the last message already in the context.
    pub first_token_warm_s: f64,
    /// Time to first token with the prompt's state read from disk.
    pub first_token_saved_s: Option<f64>,
    /// Seconds for the whole call, without any cache.
    pub call_s: f64,
    /// Tokens of the call.
    pub generated_tokens: usize,
    /// Decodes per token, with drafts.
    pub decodes_per_token: f64,
    /// Fraction of tokens forced by the grammar.
    pub forced: f64,
    /// Fraction of draft tokens that were accepted.
    pub accepted: f64,
    /// Median milliseconds to compute a token mask.
    pub mask_ms_p50: f64,
    /// 99th percentile of the milliseconds to compute a token mask.
    pub mask_ms_p99: f64,
    /// Speed of constrained decoding relative to unconstrained decoding of the same tokens, one token per decode; 1 is
    /// equal.
    pub constrained: f64,
}

/// Measures `model`, whose call is `example`; `progress` is called with the name of each step.
///
/// # Errors
/// A model that cannot be run, or that has no chat template.
pub fn measure(
    model: &Model,
    options: &Options,
    scope: Scope,
    example: &Example,
    mut progress: impl FnMut(&str),
) -> Result<Measured> {
    let thermometer = Thermometer::start();
    let n_ctx_train = model.n_ctx_train();
    let lengths: Vec<usize> = LENGTHS.into_iter().filter(|length| length + 256 <= n_ctx_train).collect();
    let longest = lengths.last().copied().unwrap_or(n_ctx_train.saturating_sub(256).max(1));
    let tokens = ordinary_tokens(model, longest + DECODED * (ROUNDS + 1) + MOST_ROWS * 64);
    let n_ctx = NonZeroUsize::new((longest + 256).min(n_ctx_train));
    let options = Options { n_ctx, ..*options };
    let mut ours = Session::new(model, 1, 1, &options)?;
    let mut bare = Session::bare(model, 1, 1, &options)?;
    let threads = ours.threads();
    // The first session to run would pay for the page faults of the file.
    progress("the weights");
    for session in [&mut ours, &mut bare] {
        session.append(&tokens[..64.min(longest)])?;
        session.append(&tokens[..1])?;
    }

    let mut prefill = Vec::new();
    let mut decode = Vec::new();
    for &length in &lengths {
        progress(&format!("prefill of {length} tokens"));
        prefill.push(side_by_side(length, &mut ours, &mut bare, |session| {
            session.cut(0)?;
            let started = Instant::now();
            for piece in tokens[..length].chunks(N_BATCH) {
                session.append(piece)?;
            }
            Ok(length as f64 / started.elapsed().as_secs_f64())
        })?);
        progress(&format!("decode behind {length} tokens"));
        decode.push(side_by_side(length, &mut ours, &mut bare, |session| {
            session.cut(length)?;
            let started = Instant::now();
            for token in &tokens[length..length + DECODED] {
                session.append(&[*token])?;
                std::hint::black_box(session.logits().first());
            }
            Ok(DECODED as f64 / started.elapsed().as_secs_f64())
        })?);
    }
    drop(bare);

    let (rows, call) = match scope {
        Scope::Rates => (Vec::new(), None),
        Scope::All => {
            progress("decodes of several tokens");
            let (rows, costs) = rows(&mut ours, &tokens)?;
            drop(ours);
            progress("a call");
            (rows, Some(call_times(model, example, &Options { n_ctx: None, ..options }, &costs)?))
        }
    };
    progress("memory and arithmetic");
    let ceiling = Ceiling::measure(threads);
    let (bytes_per_token, multiply_adds_per_token) = weights_of_a_token(model);
    Ok(Measured {
        threads,
        load_s: model.load_time().as_secs_f64(),
        prefill,
        decode,
        rows,
        call,
        ceiling,
        bytes_per_token,
        multiply_adds_per_token,
        peak_resident_bytes: peak_resident_bytes(),
        heat: thermometer.read(),
        starts: Vec::new(),
        kernels: kernels::name(),
        unused_features: kernels::active()?.unused(),
    })
}

/// Runs both sessions in turn, alternating which one is first, and takes the medians.
fn side_by_side<'m>(
    tokens: usize,
    ours: &mut Session<'m>,
    bare: &mut Session<'m>,
    mut run: impl FnMut(&mut Session<'m>) -> Result<f64, crate::runtime::Error>,
) -> Result<Rate> {
    let (mut our_rates, mut bare_rates) = (Vec::new(), Vec::new());
    let started = Instant::now();
    for round in 0..ROUNDS {
        let (our_rate, bare_rate);
        if round % 2 == 0 {
            (our_rate, bare_rate) = (run(ours)?, run(bare)?);
        } else {
            bare_rate = run(bare)?;
            our_rate = run(ours)?;
        }
        our_rates.push(our_rate);
        bare_rates.push(bare_rate);
        // Both sides have been first equally often.
        if round % 2 == 1 && started.elapsed() > LONG {
            break;
        }
    }
    let middle = |rates: &[f64]| median(rates).unwrap_or(0.0);
    Ok(Rate { tokens, tokens_per_s: middle(&our_rates), bare_tokens_per_s: middle(&bare_rates) })
}

/// Measures the cost of decodes of 1 to 8 tokens after up to 256 others.
fn rows(session: &mut Session<'_>, tokens: &[i32]) -> Result<(Vec<f64>, BatchCost)> {
    let behind = session.n_past().min(256);
    session.cut(behind)?;
    let mut costs = BatchCost::for_this_cpu();
    let mut times = vec![Vec::new(); MOST_ROWS];
    let started = Instant::now();
    for _ in 0..8 {
        if started.elapsed() > LONG {
            break;
        }
        for rows in 1..=MOST_ROWS {
            session.cut(behind)?;
            let started = cpu_time::thread();
            session.append(&tokens[behind..behind + rows])?;
            let time = cpu_time::thread().saturating_sub(started);
            costs.learn(rows, time);
            times[rows - 1].push(time.as_secs_f64());
        }
    }
    let medians: Vec<f64> = times.iter().map(|times| median(times).unwrap_or(0.0)).collect();
    Ok((medians.iter().map(|time| time / medians[0]).collect(), costs))
}

/// Reader that never stops the generation.
fn go_on(_: &[u8]) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn call_times(model: &Model, example: &Example, options: &Options, costs: &BatchCost) -> Result<CallTimes> {
    let Example { conversation, tools, is_of_profile } = example;
    let request = Request::new(conversation, Some(tools));
    let format = PromptTemplate::default();
    let vocabulary = model.vocabulary();
    let tool_format =
        format.tool_format(vocabulary, &request, &Wanted::Auto)?.ok_or(call::Error::NoTemplate)?;
    let prompt = format.render(vocabulary, &request, Some(&tool_format), Think::Off)?.tokenize(vocabulary)?;
    let turn = Turn::new(tools, &tool_format.dialect, KeyOrder::Any)?;
    let compiler = model.compiler()?;
    // Twice the length of a good model's call; a model that does not stop is cut off here.
    let budget = 128;
    let mut session = Session::new(model, prompt.len(), budget, options)?;
    let run = |session: &mut Session<'_>, decode_mode: DecodeMode<'_>, kept: usize| -> Result<_> {
        session.cut(kept)?;
        let started = Instant::now();
        for piece in prompt[kept..].chunks(N_BATCH) {
            session.append(piece)?;
        }
        let mut constraint = call::constraint(compiler, &turn)?;
        let mut sampler = Sampler::new(Sampling::default());
        let done = generate::constrained(session, &mut constraint, &mut sampler, budget, decode_mode, go_on)?;
        let first = done.first_choice.map_or(Duration::ZERO, |at| at - started);
        Ok((done, first.as_secs_f64(), started.elapsed().as_secs_f64()))
    };
    let mut drafter = call::Draft::Auto.drafter(&prompt, Vec::new(), Some(costs.clone()));
    let decode_mode = drafter.as_mut().map_or(DecodeMode::Forced, DecodeMode::Drafted);
    let (done, first_token_cold_s, call_s) = run(&mut session, decode_mode, 0)?;
    let last_turn = prompt.iter().rposition(|&token| vocabulary.is_eog(token)).map_or(0, |at| at + 1);
    let before = prompt[..last_turn.saturating_sub(1)].iter().rposition(|&token| vocabulary.is_eog(token));
    let (_, first_token_warm_s, _) = run(&mut session, DecodeMode::Forced, before.map_or(0, |at| at + 1))?;

    let first_token_saved_s = saved_time(model, &prompt, budget, options, &turn)?;

    // The same tokens with and without the grammar, in turn.
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let started = Instant::now();
    for _ in 0..ROUNDS {
        if started.elapsed() > LONG {
            break;
        }
        let (exact, _, _) = run(&mut session, DecodeMode::Exact, prompt.len() - 1)?;
        with.push(exact.time.as_secs_f64() / exact.steps.decodes.max(1) as f64);
        session.cut(prompt.len())?;
        let started = Instant::now();
        for token in &exact.tokens[..exact.steps.decodes.min(exact.tokens.len())] {
            session.append(&[*token])?;
            std::hint::black_box(session.logits().first());
        }
        without.push(started.elapsed().as_secs_f64() / exact.steps.decodes.max(1) as f64);
    }
    let masks = mask_times(&mut call::constraint(compiler, &turn)?, &done.tokens)?;
    let generated = done.tokens.len().max(1) as f64;
    Ok(CallTimes {
        has_tools_of_profile: *is_of_profile,
        prompt_tokens: prompt.len(),
        first_token_cold_s,
        first_token_warm_s,
        first_token_saved_s,
        call_s,
        generated_tokens: done.tokens.len(),
        decodes_per_token: done.steps.decodes as f64 / generated,
        forced: done.steps.forced as f64 / generated,
        accepted: done.steps.accepted as f64 / done.steps.drafted.max(1) as f64,
        mask_ms_p50: quantile(&masks, 0.5).unwrap_or(0.0) * 1e3,
        mask_ms_p99: quantile(&masks, 0.99).unwrap_or(0.0) * 1e3,
        constrained: median(&without).unwrap_or(0.0) / median(&with).unwrap_or(1.0),
    })
}

/// Time to first token in seconds, with the prompt's state read from disk (in the page cache); `None` if the state of
/// this model cannot be saved.
fn saved_time(
    model: &Model,
    prompt: &[i32],
    budget: usize,
    options: &Options,
    turn: &Turn,
) -> Result<Option<f64>> {
    let Ok(folder) = tempfile::tempdir() else { return Ok(None) };
    // An infinitely fast disk, so that the state is always saved.
    let cache = Cache::new(folder.path()).with_read_rate(f64::INFINITY);
    let vocabulary = model.vocabulary();
    let mut seconds = None;
    for _ in 0..2 {
        let started = Instant::now();
        let mut prefix = Prefix::new(Session::new(model, prompt.len(), budget, options)?);
        let Some(mut prefix_cache) = cache.prefix_cache(model, prefix.session()) else { return Ok(None) };
        let evaluated = prefix.evaluate_with(prompt, |token| vocabulary.is_eog(token), &mut prefix_cache)?;
        let mut constraint = call::constraint(model.compiler()?, turn)?;
        let mut sampler = Sampler::new(Sampling::default());
        let session = prefix.session();
        let done =
            generate::constrained(session, &mut constraint, &mut sampler, 64, DecodeMode::Forced, go_on)?;
        if let Some(at) = done.first_choice.filter(|_| evaluated.restored > 0) {
            seconds = Some((at - started).as_secs_f64());
        }
        drop(prefix_cache);
        cache.finish();
    }
    Ok(seconds)
}

/// Seconds to compute the mask before each of `tokens`, sorted.
fn mask_times(constraint: &mut Constraint<'_>, tokens: &[i32]) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for &token in tokens {
        let started = Instant::now();
        std::hint::black_box(constraint.mask()?.allows(0));
        times.push(started.elapsed().as_secs_f64());
        if !constraint.accept(token)? {
            break;
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}
