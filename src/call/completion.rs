//! A text that goes on from a prompt as it stands: without a template, tools and a grammar.

use super::{
    End, Observer, Result, Settings, Slot, StopStrings, Timings,
    generate::prefill,
    response_format::whole_characters,
    tokens::{AnswerToken, TokenFeed},
};
use crate::{
    cache::Cache,
    runtime::{self, Finish, Limits, Sampler, TokenDetail, Traced, generate},
};
use std::{cell::RefCell, ops::ControlFlow};

/// The continuation of a prompt.
#[derive(Clone, Debug)]
pub struct Continuation {
    /// The text, special tokens included, up to a stop string or the end of the turn.
    pub text: String,
    /// The tokens of the text, if the settings ask for them.
    pub tokens: Vec<AnswerToken>,
    /// Complete, or cut off.
    pub end: End,
    /// Durations and token counts.
    pub timings: Timings,
}

/// Lets the model of `slot` go on from `prompt`, until its turn ends, before one of the strings of `stop`, or at the budget.
///
/// # Errors
/// A prompt that does not fit the context, a context that does not fit the memory, and errors of the runtime;
/// [`runtime::Error::Cancelled`] if the observer ends it.
pub fn continuation(
    slot: &mut Slot<'_>,
    prompt: &[i32],
    settings: &Settings,
    stop: &StopStrings,
    cache: Option<&Cache>,
    observer: &mut dyn Observer,
) -> Result<Continuation> {
    let made = continued(slot, prompt, (settings, stop), cache, observer);
    slot.end(&made);
    made
}

fn continued(
    slot: &mut Slot<'_>,
    prompt: &[i32],
    (settings, stop): (&Settings, &StopStrings),
    cache: Option<&Cache>,
    observer: &mut dyn Observer,
) -> Result<Continuation> {
    slot.check(prompt.len(), settings)?;
    let mut timings = prefill(slot, prompt, settings, cache, observer)?;
    let vocabulary = slot.model().vocabulary();
    let (prefix, _) = slot.prefix(prompt, settings, &mut || true)?;
    let mut sampler = Sampler::new(settings.sampling);
    let trace = RefCell::default();
    let mut feed = TokenFeed::new(&trace, vocabulary, 0);
    let wants_logprobs = matches!(settings.detail, TokenDetail::Logprobs(_));
    let (mut written, mut shown, mut searched, mut stopped) = (Vec::new(), 0, 0, None);
    let stops_before = |token| {
        if observer.is_cancelled() {
            return true;
        }
        written.extend(vocabulary.piece(token));
        let text = whole_characters(&written);
        stopped = stop.find(text, &mut searched);
        if stopped.is_some() {
            return true;
        }
        let fresh = stop.settled(text).get(shown..).unwrap_or_default();
        shown += fresh.len();
        if fresh.is_empty() {
            return false;
        }
        if wants_logprobs {
            observer.tokens(feed.up_to(shown));
        }
        observer.text(fresh) == ControlFlow::Break(())
    };
    let limits = Limits { tokens: settings.max_tokens, repetition: false };
    // Asked before each token anyway.
    let mut goes_on = || true;
    let mut traced = Traced::new(prefix.session(), settings.detail, &trace, &mut goes_on);
    let completion = generate::free(&mut traced, vocabulary, &mut sampler, limits, None, stops_before)?;
    if observer.is_cancelled() {
        return Err(runtime::Error::Cancelled.into());
    }
    timings.add(&completion);
    written.truncate(stopped.unwrap_or(written.len()));
    let end = if completion.finish == Finish::Stop { End::Complete } else { End::CutOff };
    let tokens = TokenFeed::new(&trace, vocabulary, 0).up_to(written.len());
    Ok(Continuation { tokens, text: String::from_utf8_lossy(&written).into_owned(), end, timings })
}
