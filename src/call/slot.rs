//! The context of calls: kept from one call to the next, so that what their prompts have in common stays evaluated.

use super::{ModelTexts, Result, load};
use crate::runtime::{self, Model, Options, Prefix, Session};
use std::{num::NonZeroUsize, time::Duration, time::Instant};

/// A kept context grows by whole multiples of this many tokens.
const GROWTH: usize = 1024;

/// The context that calls of one model are made in, one after the other.
pub struct Slot<'m> {
    model: &'m Model,
    kept: Option<Kept<'m>>,
    is_kept: bool,
    /// Calls that the model wrote in this slot.
    pub(super) texts: ModelTexts,
}

struct Kept<'m> {
    prefix: Prefix<'m>,
    options: Options,
}

impl<'m> Slot<'m> {
    /// A slot for calls of `model`. The first call creates a context, and a call that needs a longer one replaces it.
    pub fn new(model: &'m Model) -> Slot<'m> {
        Slot { model, kept: None, is_kept: true, texts: ModelTexts::default() }
    }

    /// A slot for one call, with a context of exactly its size.
    pub(super) fn for_one_call(model: &'m Model) -> Slot<'m> {
        Slot { is_kept: false, ..Slot::new(model) }
    }

    /// The model that answers in this slot.
    pub fn model(&self) -> &'m Model {
        self.model
    }

    /// Length of the context in tokens; 0 before the first call.
    pub fn n_ctx(&mut self) -> usize {
        self.kept.as_mut().map_or(0, |kept| kept.prefix.session().n_ctx())
    }

    /// Drops the context.
    pub(super) fn clear(&mut self) {
        self.kept = None;
    }

    /// Drops a context that is too short for `n_prompt` tokens and an answer of `budget`, and checks that the memory holds
    /// a longer one.
    pub(super) fn check(&mut self, n_prompt: usize, settings: &super::Settings) -> Result<()> {
        let needed = Session::context_length(self.model, n_prompt, settings.max_tokens, &settings.session)?;
        if self.kept.as_ref().is_some_and(|kept| kept.options != settings.session) || self.n_ctx() < needed {
            self.kept = None;
            load::check_memory(self.model, n_prompt, settings)?;
        }
        Ok(())
    }

    /// The context for a prompt of `n_prompt` tokens after [`Slot::check`], and the time that its creation took.
    pub(super) fn prefix(
        &mut self,
        n_prompt: usize,
        settings: &super::Settings,
    ) -> Result<(&mut Prefix<'m>, Duration), runtime::Error> {
        let started = Instant::now();
        let kept = match self.kept.take() {
            Some(kept) => kept,
            None => {
                let options = settings.session;
                let (n_ctx, budget) = (self.grown(n_prompt, settings)?, settings.max_tokens);
                let session = Session::new(self.model, n_prompt, budget, &Options { n_ctx, ..options })?;
                Kept { prefix: Prefix::new(session), options }
            }
        };
        let kept = self.kept.insert(kept);
        kept.prefix.set_progress(settings.on_prefill);
        Ok((&mut kept.prefix, started.elapsed()))
    }

    /// Size to ask for: that of the settings, or what is needed with room to grow.
    fn grown(
        &self,
        n_prompt: usize,
        settings: &super::Settings,
    ) -> Result<Option<NonZeroUsize>, runtime::Error> {
        let asked = settings.session.n_ctx;
        if asked.is_some() || !self.is_kept {
            return Ok(asked);
        }
        let needed = Session::context_length(self.model, n_prompt, settings.max_tokens, &settings.session)?;
        Ok(NonZeroUsize::new(needed.next_multiple_of(GROWTH).min(self.model.n_ctx_train())))
    }
}
