//! Token masks: all tokens that may come next. They are needed if the likeliest token is refused, and for
//! random sampling.
//!
//! llguidance splits the vocabulary into slices, which make masks inside strings ten times cheaper. For that it
//! copies its trie a dozen times, which takes 0.3 s with 152,000 tokens; a mask without slices takes one or two
//! milliseconds. Most calls need no mask or a few. So the slices are built in the background once many masks
//! were computed.

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

/// Masks after which the slices are built: by then the masks have taken about half as long as that will.
const MANY: usize = 100;

/// Computer of masks for all parsers of one vocabulary.
pub(super) struct Masks {
    env: TokEnv,
    computed: AtomicUsize,
    slices: Arc<OnceLock<SlicedBiasComputer>>,
}

impl Masks {
    pub fn new(env: TokEnv) -> Masks {
        Masks { env, computed: AtomicUsize::new(0), slices: Arc::default() }
    }

    /// Factory of llguidance's parsers, which are told of the slices that [`Masks`] uses. The trie of `env` may be
    /// missing, so that the factory copies nothing of it.
    ///
    /// # Errors
    /// [`Error::Grammar`] if llguidance cannot start.
    pub fn factory(env: &TokEnv) -> Result<ParserFactory, Error> {
        let capabilities = InferenceCapabilities { ff_tokens: true, ..Default::default() };
        ParserFactory::new(env, capabilities, &SlicedBiasComputer::general_slices()).map_err(Error::grammar)
    }

    /// Builds the slices on a thread; until they are done, masks are computed without them.
    fn cut_slices(&self) {
        let (env, slices) = (self.env.clone(), self.slices.clone());
        let cut = move || {
            if let Ok(cut) = SlicedBiasComputer::new(&env, &SlicedBiasComputer::general_slices()) {
                let _ = slices.set(cut);
            }
        };
        // Without a thread all masks are computed without slices.
        let _ = thread::Builder::new().spawn(cut);
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

#[cfg(test)]
mod tests {
    use super::*;
    use llguidance::{
        Matcher,
        api::TopLevelGrammar,
        toktrie::{ApproximateTokEnv, TokRxInfo, TokenId},
    };

    /// Bytes, and words that lie in one slice, in another, and in none.
    fn env() -> TokEnv {
        let mut words: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        let more = [
            "the",
            " quick",
            "brown ",
            "\":",
            "\"}",
            "  ",
            "\n\n",
            "\\n",
            "a much longer word than that",
            "{\"a\": \"",
        ];
        words.extend(more.iter().map(|word| word.as_bytes().to_vec()));
        words.push(b"\xff<|end|>".to_vec());
        let end = words.len() as u32 - 1;
        Arc::new(ApproximateTokEnv::new(TokTrie::from(&TokRxInfo::new(words.len() as u32, end), &words)))
    }

    fn matcher(env: &TokEnv, masks: Option<&Arc<Masks>>) -> Matcher {
        let capabilities = InferenceCapabilities::default();
        let factory = ParserFactory::new(env, capabilities, &SlicedBiasComputer::general_slices()).unwrap();
        let lark = r#"start: "{\"a\": \"" /[^"\\]{0,60}/ "\", \"b\": " /[0-9]+/ "}""#.to_owned();
        let mut parser = factory.create_parser(TopLevelGrammar::from_lark(lark)).unwrap();
        if let Some(masks) = masks {
            parser.bias_computer = masks.clone();
        }
        Matcher::new(Ok(parser))
    }

    #[test]
    fn masks_without_slices_and_with_slices_that_are_cut_later_are_llguidances_own() {
        let env = env();
        let masks = Arc::new(Masks::new(env.clone()));
        let text = "{\"a\": \"the quick brown fox, a much longer word than that\", \"b\": 12}";
        let tokens: Vec<TokenId> = env.tok_trie().greedy_tokenize(text.as_bytes());
        for round in 0..12 {
            let (mut ours, mut theirs) = (matcher(&env, Some(&masks)), matcher(&env, None));
            for &token in &tokens {
                let (mine, expected) = (ours.compute_mask().unwrap(), theirs.compute_mask().unwrap());
                assert!(expected.is_allowed(token));
                assert_eq!(mine, expected, "round {round}, before {:?}", env.tok_trie().token_str(token));
                ours.consume_token(token).unwrap();
                theirs.consume_token(token).unwrap();
            }
        }
        assert!(masks.computed.load(Ordering::Relaxed) > MANY);
        let waited = (0..1_000).any(|_| {
            thread::sleep(std::time::Duration::from_millis(10));
            masks.slices.get().is_some()
        });
        assert!(waited, "slices were cut");
        assert_eq!(
            matcher(&env, Some(&masks)).compute_mask().unwrap(),
            matcher(&env, None).compute_mask().unwrap()
        );
    }
}
