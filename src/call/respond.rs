//! Generation: a tokenized prompt to an answer. Reasoning first, then the answer under the request's grammar.

use super::Result;
use super::{
    Answer, Cut, End, Error, Request, Settings, Timings,
    form::{Form, opening},
    thought::{self, Limits},
};
use crate::{
    cache::{Key, Store},
    hash,
    runtime::{
        self, Completion, Drafter, Evaluated, Finish, Model, Pace, Prefix, Sampler, Session, generate,
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
    store: Option<&Store>,
    reader: &mut Reader<'_>,
) -> Result<Answer> {
    let mut form = Form::of(request, prompt.dialect)?;
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
    let what = if form.is_call() { "call" } else { "answer" };

    let started = Instant::now();
    let mut prefix = Prefix::new(session);
    let evaluated = evaluate(model, &mut prefix, prompt.tokens, store)?;
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
    let limits = Limits { end, call, whatever: form.is_call() && call.is_some() && thought_end.is_some() };
    let mut id = Sha256::new();
    let mut thought = None;
    let mut text_so_far = prompt.tokens.to_vec();
    if let Some(thinking) = thought::think(model, session, &mut sampler, prompt.text, &limits, settings)? {
        timings.add(&thinking);
        id.update(&thinking.text);
        text_so_far.extend_from_slice(&thinking.tokens);
        if thinking.finish != Finish::Stop {
            return Err(Error::cut_off(&thinking, what, settings, &timings));
        }
        let text = String::from_utf8_lossy(&thinking.text);
        if text.ends_with(end) {
            form = form.after(lead);
        }
        thought = Some(thought::bare(&text, end));
    }

    let started = Instant::now();
    let mut constraint = form.constraint(compiler)?;
    timings.grammar += started.elapsed();
    let mut shown = 0;
    let show = |written: &[u8]| {
        let text = form.readable(written);
        let fresh = &text[shown..];
        shown = text.len();
        if fresh.is_empty() { ControlFlow::Continue(()) } else { reader(fresh) }
    };
    let budget = settings.max_tokens - timings.generated_tokens;
    let answers = answers(model, request, store);
    let costs_key = store.and_then(|store| store.costs_key(model, session));
    let mut drafter = match settings.exact {
        true => None,
        false => {
            let earlier = answers.as_ref().map(Answers::read).unwrap_or_default();
            let costs = store.zip(costs_key).and_then(|(store, key)| store.costs(&key));
            let drafter = settings.draft.drafter(&text_so_far, earlier, costs);
            match drafter {
                Some(drafter) => Some(drafter.with_words(form.words(model.vocabulary(), prompt.text)?)),
                None => None,
            }
        }
    };
    let pace = match &mut drafter {
        _ if settings.exact => Pace::Exact,
        None => Pace::Forced,
        Some(drafter) => Pace::Drafted(drafter),
    };
    let completion = match generate::constrained(session, &mut constraint, &mut sampler, budget, pace, show) {
        Ok(completion) => completion,
        Err(runtime::Error::Unsatisfied { attempts, refusal, written }) => {
            let partial = String::from_utf8_lossy(&written).into_owned();
            let what = form.subject(&written);
            let cut = Box::new(Cut { partial, timings });
            return Err(Error::Unsatisfied { what, attempts, refusal, cut });
        }
        Err(other) => return Err(other.into()),
    };
    timings.add(&completion);

    let (end, text) = match completion.finish {
        Finish::Stop | Finish::Dismissed => (End::Complete, Some(completion_text(&completion))),
        Finish::Budget | Finish::Context => {
            let may_end = constraint.may_end()?;
            (End::CutOff, form.cut_off(&completion.text, may_end, request.close_at_budget)?)
        }
    };
    let Some(text) = text else {
        return Err(Error::cut_off(&completion, what, settings, &timings));
    };
    let (content, calls) =
        form.read(&text).map_err(|source| Error::Invalid { source, partial: text.clone() })?;
    if completion.finish == Finish::Stop {
        // Later answers often repeat it.
        answers.inspect(|answers| answers.add(&completion.tokens));
        if let (Some(store), Some(key), Some(costs)) =
            (store, costs_key, drafter.as_ref().and_then(Drafter::costs))
        {
            store.keep_costs(&key, costs);
        }
    }
    id.update(settings.sampling.seed.to_le_bytes());
    prompt.tokens.iter().for_each(|token| id.update(token.to_le_bytes()));
    id.update(&text);
    let id = hash::hex(&id.finalize()[..16]);
    Ok(Answer { id, content, calls, thought, end, timings })
}

/// Evaluates a prompt in its fixed pieces, so that the logits are the same bits with and without saved states.
fn evaluate(
    model: &Model,
    prefix: &mut Prefix<'_>,
    prompt: &[i32],
    store: Option<&Store>,
) -> Result<Evaluated> {
    let ends_turn = |token| model.vocabulary().is_eog(token);
    let started = Instant::now();
    let Some(mut shelf) = store.and_then(|store| store.shelf(model, prefix.session())) else {
        return Ok(Evaluated { computed: prefix.evaluate(prompt, ends_turn)?, ..Evaluated::default() });
    };
    let opened = started.elapsed();
    let evaluated = prefix.evaluate_with(prompt, ends_turn, &mut shelf)?;
    Ok(Evaluated { restore_time: opened + evaluated.restore_time, ..evaluated })
}

/// The log of earlier answers with the same tools.
struct Answers<'s> {
    store: &'s Store,
    key: Key,
}

impl Answers<'_> {
    fn read(&self) -> Vec<Vec<i32>> {
        self.store.answers(&self.key)
    }

    fn add(&self, tokens: &[i32]) {
        self.store.add_answer(&self.key, tokens);
    }
}

/// Opens the log of earlier answers with the tools of `request`.
fn answers<'s>(model: &Model, request: &Request<'_>, store: Option<&'s Store>) -> Option<Answers<'s>> {
    let (store, tools) = (store?, request.tools?);
    let key = store.answers_key(model, &answers_about(tools))?;
    Some(Answers { store, key })
}

/// The part of the log's key that depends on the tools: their JSON.
fn answers_about(tools: &ToolSet) -> String {
    Value::Array(tools.sources()).to_string()
}

fn completion_text(completion: &Completion) -> String {
    String::from_utf8_lossy(&completion.text).into_owned()
}
