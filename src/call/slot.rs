//! The context of calls: kept from one call to the next, so that what their prompts have in common stays evaluated.

use super::{
    Error, ModelTexts, Result, load,
    pool::{GROWTH, Pool, Seat},
};
use crate::{
    kind::Kind,
    runtime::{self, Model, Options, Prefix, Session},
};
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The context that calls of one model are made in, one after the other, or a part of one that slots share.
pub struct Slot<'m> {
    model: &'m Model,
    place: Place<'m>,
    /// Calls that the model wrote in this slot, and in those that share a context with it.
    texts: Arc<Mutex<ModelTexts>>,
}

enum Place<'m> {
    /// A context of its own.
    Own { kept: Option<Kept<'m>>, is_kept: bool },
    /// Seats that other slots take, too; one is taken during a call.
    Shared { pool: Arc<Pool<'m>>, seat: Option<Seat<'m>> },
}

struct Kept<'m> {
    prefix: Prefix<'m>,
    options: Options,
}

impl<'m> Slot<'m> {
    /// A slot for calls of `model`. The first call creates a context, and a call that needs a longer one replaces it.
    pub fn new(model: &'m Model) -> Slot<'m> {
        Slot { model, place: Place::Own { kept: None, is_kept: true }, texts: Arc::default() }
    }

    /// Slots for calls of `model` by a thread each, at the same time: `n` slots, whose tokens are decoded together in one
    /// context. A single slot is that of [`Slot::new`].
    ///
    /// Which bits logits have depends then on what the other slots do, so that tokens whose logits nearly tie may be
    /// chosen otherwise than in a single slot.
    pub fn several(model: &'m Model, n: NonZeroUsize) -> Vec<Slot<'m>> {
        if n == NonZeroUsize::MIN {
            return vec![Slot::new(model)];
        }
        let (pool, texts) = (Arc::new(Pool::new(model, n)), Arc::<Mutex<ModelTexts>>::default());
        let place = || Place::Shared { pool: pool.clone(), seat: None };
        (0..n.get()).map(|_| Slot { model, place: place(), texts: texts.clone() }).collect()
    }

    /// A slot for one call, with a context of exactly its size.
    pub(super) fn for_one_call(model: &'m Model) -> Slot<'m> {
        Slot { model, place: Place::Own { kept: None, is_kept: false }, texts: Arc::default() }
    }

    /// Calls that the model wrote.
    pub(super) fn texts(&self) -> MutexGuard<'_, ModelTexts> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model that answers in this slot.
    pub fn model(&self) -> &'m Model {
        self.model
    }

    /// Length of the context in tokens; 0 before the first call.
    pub fn n_ctx(&mut self) -> usize {
        match &mut self.place {
            Place::Own { kept, .. } => kept.as_mut().map_or(0, |kept| kept.prefix.session().n_ctx()),
            Place::Shared { pool, .. } => pool.n_ctx(),
        }
    }

    /// Ends a call. If it failed in a way that leaves in doubt what the context holds, that is dropped.
    pub(super) fn end<T>(&mut self, answer: &Result<T>) {
        let is_doubtful = matches!(answer, Err(Error::Runtime(error)) if error.kind() == Kind::Bug);
        match &mut self.place {
            Place::Own { kept, .. } if is_doubtful => *kept = None,
            Place::Own { .. } => {}
            Place::Shared { seat, .. } => {
                if let Some(prefix) = seat.as_mut().and_then(Seat::prefix).filter(|_| is_doubtful) {
                    // Removing everything does not fail.
                    let _ = prefix.clear();
                }
                *seat = None;
            }
        }
    }

    /// Drops a context that is too short for `n_prompt` tokens and an answer of `budget`, and checks that the memory holds
    /// a longer one.
    pub(super) fn check(&mut self, n_prompt: usize, settings: &super::Settings) -> Result<()> {
        let needed = Session::context_length(self.model, n_prompt, settings.max_tokens, &settings.session)?;
        let n_ctx = self.n_ctx();
        if let Place::Own { kept, .. } = &mut self.place
            && (kept.as_ref().is_some_and(|kept| kept.options != settings.session) || n_ctx < needed)
        {
            *kept = None;
            load::check_memory(self.model, n_prompt, settings)?;
        }
        Ok(())
    }

    /// The context for `prompt` after [`Slot::check`], and the time that its creation took. Where slots share one, the
    /// first request of a call waits for a part of it, as long as `goes_on` is true.
    pub(super) fn prefix(
        &mut self,
        prompt: &[i32],
        settings: &super::Settings,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<(&mut Prefix<'m>, Duration)> {
        let (started, model) = (Instant::now(), self.model);
        let prefix = match &mut self.place {
            Place::Own { kept, is_kept } => {
                let created = match kept.take() {
                    Some(kept) => kept,
                    None => Kept::new(model, prompt.len(), settings, *is_kept)?,
                };
                &mut kept.insert(created).prefix
            }
            Place::Shared { pool, seat } => {
                let taken = match seat.take() {
                    Some(seat) => seat,
                    None => pool.take(prompt, settings, goes_on)?,
                };
                seat.insert(taken).prefix().ok_or(runtime::Error::Cancelled)?
            }
        };
        prefix.set_progress(settings.on_prefill);
        Ok((prefix, started.elapsed()))
    }
}

impl<'m> Kept<'m> {
    fn new(
        model: &'m Model,
        n_prompt: usize,
        settings: &super::Settings,
        is_kept: bool,
    ) -> Result<Kept<'m>, runtime::Error> {
        let (options, budget) = (settings.session, settings.max_tokens);
        let n_ctx = match options.n_ctx {
            None if is_kept => grown(model, n_prompt, settings)?,
            asked => asked,
        };
        let session = Session::new(model, n_prompt, budget, &Options { n_ctx, ..options })?;
        Ok(Kept { prefix: Prefix::new(session), options })
    }
}

/// Size to ask for: what is needed with room to grow.
fn grown(
    model: &Model,
    n_prompt: usize,
    settings: &super::Settings,
) -> Result<Option<NonZeroUsize>, runtime::Error> {
    let needed = Session::context_length(model, n_prompt, settings.max_tokens, &settings.session)?;
    Ok(NonZeroUsize::new(needed.next_multiple_of(GROWTH).min(model.n_ctx_train())))
}
