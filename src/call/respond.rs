//! Generation: a tokenized prompt to an answer. Reasoning first, then the answer under the request's grammar.

use super::Result;
use super::{
    Answer, Cut, End, Error, Request, Settings, Timings,
    reasoning::{self, ReasoningLimits},
    response_format::{ResponseFormat, opening},
};
use crate::{
    cache::{Cache, Key},
    runtime::{
        self, Completion, DecodeMode, Drafter, Evaluated, Finish, Model, Prefix, Sampler, Session, generate,
    },
    tools::{ToolSet, dialect::Dialect},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

/// Callback that receives text while it is generated, piece by piece; [`ControlFlow::Break`] ends the
/// generation.
pub type Reader<'r> = dyn FnMut(&str) -> ControlFlow<()> + 'r;

/// A rendered prompt.
pub(super) struct Prompt<'p> {
    /// Text from the chat template.
    pub text: &'p str,
    /// Token ids.
    pub tokens: &'p [i32],
    /// Tool-call format; `None` if there is nothing to call.
    pub dialect: Option<&'static dyn Dialect>,
    /// Time for rendering and tokenizing.
    pub time: Duration,
}

/// Lets the model answer `prompt`.
pub(super) fn respond(
    model: &Model,
    prompt: &Prompt<'_>,
    request: &Request<'_>,
    settings: &Settings,
    cache: Option<&Cache>,
    reader: &mut Reader<'_>,
) -> Result<Answer> {
    let mut response_format = ResponseFormat::new(request, prompt.dialect)?;
    let n_prompt = prompt.tokens.len();
    let started = Instant::now();
    let session = Session::new(model, n_prompt, settings.max_tokens, &settings.session)?;
    let mut timings = Timings {
        check: model.check_time(),
        load: model.load_time() - model.check_time(),
        prompt: prompt.time,
        context: started.elapsed(),
        prompt_tokens: n_prompt,
        n_ctx: session.n_ctx(),
        threads: session.threads(),
        ..Timings::default()
    };
    let mut sampler = Sampler::new(settings.sampling);
    let what = if response_format.is_call() { "call" } else { "answer" };

    let started = Instant::now();
    let mut prefix = Prefix::new(session);
    let evaluated = evaluate(model, &mut prefix, prompt.tokens, cache)?;
    timings.restore = evaluated.restore_time;
    timings.restored_tokens = evaluated.restored;
    timings.prefill = started.elapsed().saturating_sub(evaluated.restore_time);
    let session = prefix.session();

    let started = Instant::now();
    let compiler = model.compiler()?;
    timings.grammar = started.elapsed();

    let thought_end = prompt.dialect.and_then(|dialect| dialect.thought_end());
    let (end, lead) = thought_end.unwrap_or(("</think>", "\n\n"));
    let call = prompt.dialect.and_then(opening).and_then(|mark| compiler.mark(mark));
    let limits = ReasoningLimits {
        end,
        call,
        before_call: response_format.is_call() && call.is_some() && thought_end.is_some(),
    };
    let mut id = Sha256::new();
    let mut reasoning = None;
    let mut text_so_far = prompt.tokens.to_vec();
    if let Some(thinking) = reasoning::think(model, session, &mut sampler, prompt.text, &limits, settings)? {
        timings.add(&thinking);
        id.update(&thinking.text);
        text_so_far.extend_from_slice(&thinking.tokens);
        if thinking.finish != Finish::Stop {
            return Err(Error::cut_off(&thinking, what, settings, &timings));
        }
        let text = String::from_utf8_lossy(&thinking.text);
        if text.ends_with(end) {
            response_format = response_format.after(lead);
        }
        reasoning = Some(reasoning::bare(&text, end));
    }

    let started = Instant::now();
    let mut constraint = response_format.constraint(compiler)?;
    timings.grammar += started.elapsed();
    let mut shown = 0;
    let show = |written: &[u8]| {
        let text = response_format.readable(written);
        let fresh = &text[shown..];
        shown = text.len();
        if fresh.is_empty() { ControlFlow::Continue(()) } else { reader(fresh) }
    };
    let budget = settings.max_tokens - timings.generated_tokens;
    let answers = answers(model, request, cache);
    let costs_key = cache.and_then(|cache| cache.costs_key(model, session));
    let mut drafter = match settings.exact {
        true => None,
        false => {
            let earlier = answers.as_ref().map(Answers::read).unwrap_or_default();
            let costs = cache.zip(costs_key).and_then(|(cache, key)| cache.costs(&key));
            let drafter = settings.draft.drafter(&text_so_far, earlier, costs);
            match drafter {
                Some(drafter) => {
                    Some(drafter.with_words(response_format.words(model.vocabulary(), prompt.text)?))
                }
                None => None,
            }
        }
    };
    let mode = match &mut drafter {
        _ if settings.exact => DecodeMode::Exact,
        None => DecodeMode::Forced,
        Some(drafter) => DecodeMode::Drafted(drafter),
    };
    let completion = match generate::constrained(session, &mut constraint, &mut sampler, budget, mode, show) {
        Ok(completion) => completion,
        Err(runtime::Error::Unsatisfied { attempts, violation, written }) => {
            let partial = String::from_utf8_lossy(&written).into_owned();
            let what = response_format.subject(&written);
            let cut = Box::new(Cut { partial, timings });
            return Err(Error::Unsatisfied { what, attempts, violation, cut });
        }
        Err(other) => return Err(other.into()),
    };
    timings.add(&completion);

    let (end, text) = match completion.finish {
        Finish::Stop | Finish::Dismissed => (End::Complete, Some(completion_text(&completion))),
        Finish::Budget | Finish::Context => {
            let may_end = constraint.may_end()?;
            (End::CutOff, response_format.cut_off(&completion.text, may_end, request.close_at_budget)?)
        }
    };
    let Some(text) = text else {
        return Err(Error::cut_off(&completion, what, settings, &timings));
    };
    let (content, calls) =
        response_format.read(&text).map_err(|source| Error::Invalid { source, partial: text.clone() })?;
    if completion.finish == Finish::Stop {
        // Later answers often repeat it.
        answers.inspect(|answers| answers.add(&completion.tokens));
        if let (Some(cache), Some(key), Some(costs)) =
            (cache, costs_key, drafter.as_ref().and_then(Drafter::costs))
        {
            cache.keep_costs(&key, costs);
        }
    }
    id.update(settings.sampling.seed.to_le_bytes());
    prompt.tokens.iter().for_each(|token| id.update(token.to_le_bytes()));
    id.update(&text);
    let id = id.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Answer { id, content, calls, reasoning, end, timings })
}

/// Evaluates a prompt in its fixed pieces, so that the logits are the same bits with and without saved states.
fn evaluate(
    model: &Model,
    prefix: &mut Prefix<'_>,
    prompt: &[i32],
    cache: Option<&Cache>,
) -> Result<Evaluated> {
    let ends_turn = |token| model.vocabulary().is_eog(token);
    let started = Instant::now();
    let Some(mut prefix_cache) = cache.and_then(|cache| cache.prefix_cache(model, prefix.session())) else {
        return Ok(Evaluated { computed: prefix.evaluate(prompt, ends_turn)?, ..Evaluated::default() });
    };
    let opened = started.elapsed();
    let evaluated = prefix.evaluate_with(prompt, ends_turn, &mut prefix_cache)?;
    Ok(Evaluated { restore_time: opened + evaluated.restore_time, ..evaluated })
}

/// The log of earlier answers with the same tools.
struct Answers<'s> {
    cache: &'s Cache,
    key: Key,
}

impl Answers<'_> {
    fn read(&self) -> Vec<Vec<i32>> {
        self.cache.answers(&self.key)
    }

    fn add(&self, tokens: &[i32]) {
        self.cache.add_answer(&self.key, tokens);
    }
}

/// Opens the log of earlier answers with the tools of `request`.
fn answers<'s>(model: &Model, request: &Request<'_>, cache: Option<&'s Cache>) -> Option<Answers<'s>> {
    let (cache, tools) = (cache?, request.tools?);
    let key = cache.answers_key(model, &answers_about(tools))?;
    Some(Answers { cache, key })
}

/// The part of the log's key that depends on the tools: their JSON.
fn answers_about(tools: &ToolSet) -> String {
    Value::Array(tools.sources()).to_string()
}

fn completion_text(completion: &Completion) -> String {
    String::from_utf8_lossy(&completion.text).into_owned()
}
