//! Grammars compiled for one vocabulary, with token masks that all of them share.

use super::{Error, Vocabulary, masks::Masks, token_env::TokenEnv, validator::closing_tokens};
use llguidance::{Matcher, ParserFactory, api::TopLevelGrammar};
use std::sync::{Arc, Mutex, PoisonError};
use toktrie::{ApproximateTokEnv, SimpleVob, TokEnv};

/// Compiles grammars for one vocabulary.
pub struct Compiler {
    factory: ParserFactory,
    pub(super) env: TokEnv,
    masks: Arc<Masks>,
    // Tokens that a validator has to check, by the bytes that close a value; built with the first mask.
    closing: Mutex<Vec<(Vec<u8>, SimpleVob)>>,
}

impl Compiler {
    /// A compiler whose tokens are the 256 bytes. Without a model, it checks that a grammar compiles and that
    /// it accepts a text.
    ///
    /// # Errors
    /// [`Error::Grammar`] if llguidance cannot start.
    pub fn for_bytes() -> Result<Compiler, Error> {
        let env = ApproximateTokEnv::single_byte_env();
        Ok(Compiler::new(Masks::factory(&env)?, env))
    }

    /// A compiler for a model's tokens.
    ///
    /// # Errors
    /// [`Error::Grammar`] if llguidance cannot use the vocabulary.
    pub fn for_vocabulary(vocabulary: Vocabulary) -> Result<Compiler, Error> {
        let env = Arc::new(TokenEnv::without_trie(vocabulary));
        let as_dyn: TokEnv = env.clone();
        let factory = Masks::factory(&as_dyn)?;
        env.build_trie()?;
        Ok(Compiler::new(factory, as_dyn))
    }

    fn new(mut factory: ParserFactory, env: TokEnv) -> Compiler {
        factory.quiet();
        // The whole grammar and the tokens so far would not help the readers of an error.
        let limits = factory.limits_mut();
        limits.verbose_errors = false;
        // Large schemas need more than the defaults, which are meant for a server's worst case.
        limits.initial_lexer_fuel = 50_000_000;
        limits.step_lexer_fuel = 10_000_000;
        limits.step_max_items = 2_000_000;
        limits.max_items_in_row = 20_000;
        limits.max_grammar_size = 5_000_000;
        let masks = Arc::new(Masks::new(env.clone()));
        Compiler { factory, env, masks, closing: Mutex::default() }
    }

    /// The tokens with one of the bytes in `bytes`, and those that end a text.
    pub(super) fn closing_tokens(&self, bytes: &[u8]) -> SimpleVob {
        let mut known = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, tokens)) = known.iter().find(|(key, _)| key == bytes) {
            return tokens.clone();
        }
        let tokens = closing_tokens(self.env.tok_trie(), bytes);
        known.push((bytes.to_vec(), tokens.clone()));
        tokens
    }

    /// The id of the special token with this text, such as `<tool_call>`; `None` if it is not a single token.
    pub fn mark(&self, text: &str) -> Option<u32> {
        self.env.tok_trie().get_special_token(text)
    }

    /// Tokenizes `text` as the model's tokenizer does.
    pub fn tokenize(&self, text: &[u8]) -> Vec<u32> {
        self.env.tokenize_bytes(text)
    }

    /// The bytes of `tokens`; special tokens as their text.
    pub fn bytes(&self, tokens: &[u32]) -> Vec<u8> {
        self.env.tok_trie().decode_ext(tokens, true)
    }

    /// True if `token` ends a text.
    pub fn is_end(&self, token: u32) -> bool {
        self.env.tok_trie().eos_tokens().contains(&token)
    }

    /// Compiles `lark`, a grammar in llguidance's dialect of Lark.
    ///
    /// # Errors
    /// [`Error::Grammar`] with llguidance's reason.
    pub fn compile(&self, lark: &str) -> Result<Matcher, Error> {
        let mut parser = self
            .factory
            .create_parser(TopLevelGrammar::from_lark(lark.to_owned()))
            .map_err(Error::grammar)?;
        parser.bias_computer = self.masks.clone();
        let mut matcher = Matcher::new(Ok(parser));
        if let Some(warning) = matcher.grammar_warnings().into_iter().next() {
            return Err(Error::Grammar { reason: warning });
        }
        match matcher.get_error() {
            Some(reason) => Err(Error::Grammar { reason }),
            None => Ok(matcher),
        }
    }
}
