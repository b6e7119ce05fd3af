//! Seats: the sequences of one context that several slots share, each taken for one call.
//!
//! A call gets the free seat whose last prompt has most in common with its own. All seats have the same length. A call
//! that needs a longer one waits until the running ones have ended, and then all seats are replaced.

use super::{Error, Result, Settings, load};
use crate::runtime::{self, Model, Options, Prefix, Session};
use std::{
    num::NonZeroUsize,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A kept context grows by whole multiples of this many tokens.
pub(super) const GROWTH: usize = 1024;
/// Time after which a call that waits for a seat looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// The seats of the slots of a model.
pub(super) struct Pool<'m> {
    model: &'m Model,
    /// Number of slots: the most seats.
    slots: NonZeroUsize,
    seats: Mutex<Seats<'m>>,
    changed: Condvar,
}

#[derive(Default)]
struct Seats<'m> {
    /// Those that no call has, the one that was used last at the end.
    free: Vec<Prefix<'m>>,
    /// Number of all.
    all: usize,
    /// Length of each in tokens.
    n_ctx: usize,
    options: Options,
    /// Calls that wait for longer seats; no other call takes a seat before them.
    growing: usize,
}

/// A seat, until it is dropped.
pub(super) struct Seat<'m> {
    pool: Arc<Pool<'m>>,
    prefix: Option<Prefix<'m>>,
}

impl<'m> Pool<'m> {
    /// A pool for calls of `model` in `slots`, without seats before the first call.
    pub fn new(model: &'m Model, slots: NonZeroUsize) -> Pool<'m> {
        Pool { model, slots, seats: Mutex::default(), changed: Condvar::new() }
    }

    /// Length of the seats in tokens; 0 before the first call.
    pub fn n_ctx(&self) -> usize {
        self.seats().n_ctx
    }

    /// Waits for a seat for `prompt`, as long as `goes_on` is true.
    ///
    /// # Errors
    /// A context that does not fit the memory or that llama.cpp cannot create;
    /// [`runtime::Error::Cancelled`] if `goes_on` is false.
    pub fn take(
        self: &Arc<Pool<'m>>,
        prompt: &[i32],
        settings: &Settings,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<Seat<'m>> {
        let options = settings.session;
        let needed = Session::context_length(self.model, prompt.len(), settings.max_tokens, &options)?;
        let mut seats = self.seats();
        let mut grows = false;
        let taken = loop {
            let fits = seats.n_ctx >= needed && seats.options == options;
            if fits && (grows || seats.growing == 0) {
                if let Some(prefix) = seats.best(prompt) {
                    break Ok(prefix);
                }
            } else if !fits && seats.free.len() == seats.all {
                if let Err(error) = self.replace(&mut seats, (prompt.len(), needed), settings) {
                    break Err(error);
                }
                continue;
            } else if !fits && !grows {
                grows = true;
                seats.growing += 1;
            }
            if !goes_on() {
                break Err(runtime::Error::Cancelled.into());
            }
            let waited = self.changed.wait_timeout(seats, LOOK);
            seats = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        if grows {
            seats.growing -= 1;
            self.changed.notify_all();
        }
        taken.map(|prefix| Seat { pool: self.clone(), prefix: Some(prefix) })
    }

    /// Replaces all seats, none of which a call has, by ones of at least `needed` tokens: one for each slot, or as many
    /// as there is memory for.
    fn replace(
        &self,
        seats: &mut Seats<'m>,
        (n_prompt, needed): (usize, usize),
        settings: &Settings,
    ) -> Result<()> {
        *seats = Seats { growing: seats.growing, ..Seats::default() };
        let options = settings.session;
        let n_ctx = match options.n_ctx {
            Some(n_ctx) => n_ctx.get(),
            None => needed.next_multiple_of(GROWTH).min(self.model.n_ctx_train()),
        };
        let mut all = self.slots.get();
        while let Err(error) = load::check_context(self.model, n_prompt, n_ctx.saturating_mul(all), settings)
        {
            if all == 1 {
                return Err(error);
            }
            all -= 1;
        }
        if all < self.slots.get() {
            tracing::warn!(n_ctx, seats = all, "there is memory for fewer calls at once");
        }
        let sessions = Session::several(self.model, all, n_ctx, &options).map_err(Error::from)?;
        *seats = Seats {
            free: sessions.into_iter().map(Prefix::new).collect(),
            all,
            n_ctx,
            options,
            growing: seats.growing,
        };
        Ok(())
    }

    fn seats(&self) -> MutexGuard<'_, Seats<'m>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'m> Seats<'m> {
    /// Takes the free seat whose prompt has most in common with `prompt`; of several the one that was used longest ago.
    fn best(&mut self, prompt: &[i32]) -> Option<Prefix<'m>> {
        let common = self.free.iter().map(|prefix| prefix.common(prompt)).enumerate();
        let (at, _) = common.max_by_key(|(at, common)| (*common, std::cmp::Reverse(*at)))?;
        Some(self.free.remove(at))
    }
}

impl<'m> Seat<'m> {
    /// The sequence.
    pub fn prefix(&mut self) -> Option<&mut Prefix<'m>> {
        self.prefix.as_mut()
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let Some(mut prefix) = self.prefix.take() else { return };
        prefix.rest();
        if std::thread::panicking() {
            // What it holds is not certain.
            let _ = prefix.clear();
        }
        self.pool.seats().free.push(prefix);
        self.pool.changed.notify_all();
    }
}
