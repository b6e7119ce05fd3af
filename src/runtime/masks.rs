//! The tokens that may come next, all of them at once: asked for where the likeliest token is refused or tokens are drawn.
//!
//! llguidance cuts the vocabulary into slices that make masks inside strings ten times cheaper, and for that copies its
//! trie a dozen times: 0.3 s with 152,000 tokens, where a mask without slices takes one or two milliseconds. Most calls
//! want no mask or a few. So the slices are cut once many have been wanted, beside the work.

use llguidance::{
    ParserFactory,
    earley::{BiasComputer, ParserRecognizer, SlicedBiasComputer},
    toktrie::{InferenceCapabilities, SimpleVob, TokEnv, TokTrie},
};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::Error;

/// After so many masks the slices are cut: by then the masks took about half as long as that will.
const MANY: usize = 100;

/// Computes masks for all parsers of one vocabulary.
pub(super) struct Masks {
    env: TokEnv,
    computed: AtomicUsize,
    slices: Arc<OnceLock<SlicedBiasComputer>>,
}

impl Masks {
    pub fn new(env: TokEnv) -> Masks {
        Masks { env, computed: AtomicUsize::new(0), slices: Arc::default() }
    }

    /// A factory of parsers that [`Masks`] can be given to: they know of the slices. `env` may be one whose trie is
    /// not built yet, so that the factory copies nothing of it.
    ///
    /// # Errors
    /// [`Error::Grammar`] if llguidance cannot start.
    pub fn factory(env: &TokEnv) -> Result<ParserFactory, Error> {
        let capabilities = InferenceCapabilities { ff_tokens: true, ..Default::default() };
        ParserFactory::new(env, capabilities, &SlicedBiasComputer::general_slices()).map_err(Error::grammar)
    }

    /// Cuts the slices on a thread of their own; until they are there, masks are computed without.
    fn cut_slices(&self) {
        let (env, slices) = (self.env.clone(), self.slices.clone());
        thread::spawn(move || {
            if let Ok(cut) = SlicedBiasComputer::new(&env, &SlicedBiasComputer::general_slices()) {
                let _ = slices.set(cut);
            }
        });
    }
}

impl BiasComputer for Masks {
    fn compute_bias(&self, parser: &mut ParserRecognizer<'_>, start: &[u8]) -> SimpleVob {
        if let Some(slices) = self.slices.get() {
            return slices.compute_bias(parser, start);
        }
        if self.computed.fetch_add(1, Ordering::Relaxed) == MANY {
            self.cut_slices();
        }
        let mut mask = self.trie().alloc_token_set();
        self.trie().add_bias(parser, &mut mask, start);
        mask
    }

    fn trie(&self) -> &TokTrie {
        self.env.tok_trie()
    }
}
