//! Step 4, generate: prefill of the prompt, reasoning, and the answer under its grammar.

use super::{
    Call, Cut, Error, Observer, Result, Settings, Slot, Think, Timings,
    draft_history::DraftHistory,
    prompt::Prompt,
    reasoning::{self, Reasoning},
    response_format::ResponseFormat,
    tokens::{TokenFeed, end_in},
};
use crate::{
    cache::Cache,
    runtime::{
        self, Completion, DecodeMode, Drafter, Finish, Limits, PrefixCache, Sampler, TokenDetail, Traced,
        TracedToken, generate,
    },
};
use std::{
    cell::RefCell,
    ops::ControlFlow,
    time::{Duration, Instant},
};

/// Callback that receives text while it is generated, piece by piece; [`ControlFlow::Break`] ends the
/// generation.
pub type Reader<'r> = dyn FnMut(&str) -> ControlFlow<()> + 'r;

/// The generated tokens of an answer, not yet read.
pub(super) struct Generated<'c> {
    /// The form of the answer.
    pub format: ResponseFormat<'c>,
    /// Reasoning before the answer; `None` if it was off.
    pub reasoning: Option<Reasoning>,
    /// The answer.
    pub completion: Completion,
    /// Its tokens, as far as the settings ask for them.
    pub trace: RefCell<Vec<TracedToken>>,
    /// True if the grammar accepts the answer as complete.
    pub may_end: bool,
    /// Durations and token counts.
    pub timings: Timings,
    /// Entries of the cache that a complete answer is added to.
    pub history: DraftHistory<'c>,
    /// The drafter with its measurements.
    pub drafter: Option<Drafter>,
}

/// Generates the answer to `prompt`.
pub(super) fn generate<'c>(
    call: &Call<'c>,
    prompt: &Prompt,
    mut format: ResponseFormat<'c>,
    slot: &mut Slot<'_>,
    observer: &mut dyn Observer,
) -> Result<Generated<'c>> {
    let Call { model, settings, request, .. } = *call;
    let mut timings = prefill(slot, &prompt.tokens, settings, call.cache, observer)?;
    timings.prompt = prompt.time;
    let (prefix, _) = slot.prefix(&prompt.tokens, settings, &mut || true)?;
    let session = prefix.session();
    let mut sampler = Sampler::new(settings.sampling);

    let started = Instant::now();
    let compiler = model.compiler()?;
    timings.grammar = started.elapsed();

    let mut text_so_far = prompt.tokens.clone();
    let reasoning = match settings.think {
        Think::On => {
            let (dialect, is_call) = (prompt.dialect.as_deref(), format.is_call());
            let task = reasoning::Task { model, prompt: &prompt.text, dialect, is_call };
            let lengths = limits(settings, &timings);
            let is_cancelled = &mut || observer.is_cancelled();
            Some(reasoning::reason(&task, session, &mut sampler, lengths, is_cancelled)?)
        }
        Think::Off | Think::Auto => None,
    };
    if let Some(reasoning) = &reasoning {
        timings.add(&reasoning.completion);
        text_so_far.extend_from_slice(&reasoning.completion.tokens);
        observer.reasoning(&reasoning.text);
        if reasoning.completion.finish != Finish::Stop {
            return Err(Error::cut_off(call, &reasoning.completion, format.name(), &timings));
        }
        if let Some(prefix) = reasoning.answer_prefix.clone() {
            format = format.after(prefix);
        }
    }

    let started = Instant::now();
    let mut constraint = format.constraint(compiler)?;
    timings.grammar += started.elapsed();
    let history = DraftHistory::open(call, session);
    let words = || format.words(model.vocabulary(), &prompt.text);
    let mut drafter = history.drafter(call, &text_so_far, words)?;
    let trace = RefCell::default();
    let mut feed = TokenFeed::new(&trace, model.vocabulary(), format.prefix_length());
    let wants_logprobs = matches!(settings.detail, TokenDetail::Logprobs(_));
    let observer = RefCell::new(observer);
    let mut shown = 0;
    let mut show = |observer: &mut dyn Observer, written: &[u8], text: &str| {
        let fresh = text.get(shown..).unwrap_or("");
        shown += fresh.len();
        if fresh.is_empty() {
            return ControlFlow::Continue(());
        }
        if wants_logprobs {
            observer.tokens(feed.up_to(end_in(text, written)));
        }
        observer.text(fresh)
    };
    let shows_calls = observer.borrow().wants_calls() && format.is_settled(request.key_order);
    let (mut searched, mut stopped, mut pace) = (0, None, Pace::default());
    let follow = |written: &[u8]| {
        let mut observer = observer.borrow_mut();
        let observer = &mut **observer;
        if observer.is_cancelled() {
            return ControlFlow::Break(());
        }
        if shows_calls && pace.is_due(written.len()) {
            observer.calls(&format.partial_calls(written));
        }
        if request.stop.is_empty() {
            return show(observer, written, format.readable(written));
        }
        stopped = request.stop.find(format.free_text(written), &mut searched);
        match stopped {
            Some(_) => ControlFlow::Break(()),
            None => show(observer, written, request.stop.settled(format.readable(written))),
        }
    };
    let mode = match &mut drafter {
        _ if settings.exact || wants_logprobs => DecodeMode::Exact,
        None => DecodeMode::Forced,
        Some(drafter) => DecodeMode::Drafted(drafter),
    };
    let limits = limits(settings, &timings);
    let mut goes_on = || !observer.borrow_mut().is_cancelled();
    let mut traced = Traced::new(session, settings.detail, &trace, &mut goes_on);
    let completion = generate::constrained(&mut traced, &mut constraint, &mut sampler, limits, mode, follow);
    let mut completion = completion.map_err(|error| failed(error, &format, timings))?;
    if completion.finish == Finish::Dismissed && observer.borrow_mut().is_cancelled() {
        return Err(runtime::Error::Cancelled.into());
    }
    if completion.finish != Finish::Dismissed {
        traced.finish(&completion.tokens)?;
    }
    let observer = observer.into_inner();
    if let Some(length) = stopped {
        completion.text = format.stopped(&completion.text, length);
        completion.finish = Finish::Stop;
    }
    // What might have become a stop string.
    let text = &completion.text;
    if completion.finish != Finish::Dismissed && show(observer, text, format.readable(text)).is_break() {
        completion.finish = Finish::Dismissed;
    }
    timings.add(&completion);
    let may_end = is_cut_off(completion.finish) && constraint.may_end()?;
    drop(constraint);
    Ok(Generated { format, reasoning, completion, trace, may_end, timings, history, drafter })
}

/// Lengths at which a text that grows is read again from its beginning: all of them while it is short, and later those
/// that are a sixteenth longer than the last, so that all readings together take time in proportion to the text.
#[derive(Default)]
struct Pace {
    last: usize,
}

impl Pace {
    /// Bytes of a short text.
    const SHORT: usize = 2048;

    /// True if a text of this length is to be read.
    fn is_due(&mut self, length: usize) -> bool {
        let is_due = length >= self.last + self.last.saturating_sub(Pace::SHORT) / 16;
        if is_due || length < self.last {
            self.last = length;
        }
        is_due
    }
}

/// Evaluates the prompt in the slot's context, in its fixed pieces: the logits are the same bits with and without cached
/// states, and whatever the slot held before.
pub(super) fn prefill(
    slot: &mut Slot<'_>,
    prompt: &[i32],
    settings: &Settings,
    cache: Option<&Cache>,
    observer: &mut dyn Observer,
) -> Result<Timings> {
    let (model, n_prompt) = (slot.model(), prompt.len());
    let mut goes_on = || !observer.is_cancelled();
    let (prefix, context) = slot.prefix(prompt, settings, &mut goes_on)?;
    let session = prefix.session();
    let mut timings = Timings {
        check: model.check_time(),
        load: model.load_time() - model.check_time(),
        context,
        prompt_tokens: n_prompt,
        undraftable: !session.can_draft(),
        n_ctx: session.n_ctx(),
        threads: session.threads(),
        ..Timings::default()
    };
    let started = Instant::now();
    let ends_turn = |token| model.vocabulary().is_eog(token);
    let mut states = cache.and_then(|cache| cache.prefix_cache(model, prefix.session()));
    let opened = if states.is_some() { started.elapsed() } else { Duration::ZERO };
    let states = states.as_mut().map(|states| states as &mut dyn PrefixCache);
    let evaluated = prefix.evaluate_while(prompt, ends_turn, states, &mut goes_on)?;
    timings.restore = opened + evaluated.restore_time;
    timings.restored_tokens = evaluated.restored;
    timings.kept_tokens = n_prompt - evaluated.computed - evaluated.restored;
    timings.prefill = started.elapsed().saturating_sub(timings.restore);
    Ok(timings)
}

/// The error of a generation that gave up, with the text that it had written.
fn failed(error: runtime::Error, format: &ResponseFormat<'_>, timings: Timings) -> Error {
    match error {
        runtime::Error::Unsatisfied { attempts, violation, written } => {
            let partial = String::from_utf8_lossy(&written).into_owned();
            let what = format.subject(&written);
            Error::Unsatisfied { what, attempts, violation, cut: Box::new(Cut { partial, timings }) }
        }
        other => other.into(),
    }
}

/// Limits of what is generated next.
fn limits(settings: &Settings, timings: &Timings) -> Limits {
    Limits { tokens: settings.max_tokens - timings.generated_tokens, repetition: !settings.allow_repetition }
}

/// True if something else than the model ended the text.
pub(super) fn is_cut_off(finish: Finish) -> bool {
    matches!(finish, Finish::Budget | Finish::Context | Finish::Repetition(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_call_is_not_read_again_for_each_of_its_tokens() {
        let (mut pace, mut read, mut readings) = (Pace::default(), 0, 0);
        let mut last = 0;
        for length in (0..1_000_000).step_by(4) {
            if pace.is_due(length) {
                read += length;
                readings += 1;
                assert!(length - last <= 4 + last / 16, "{length} {last}");
                last = length;
            } else {
                assert!(length > Pace::SHORT);
            }
        }
        // Each token would be 125 GB.
        assert!(read < 20 * 1_000_000 && readings < 1_000, "{read} {readings}");
        // One that was cut by taking back is read with its next token.
        assert!(!pace.is_due(100) && pace.is_due(104));
    }
}
