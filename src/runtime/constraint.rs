//! A grammar held against the text as it grows: which tokens may come next.
//!
//! llguidance's matcher is driven directly and every error is an error: nothing is ever generated
//! without the constraint that was asked for. A grammar may be rewritten while the text grows
//! (a call's arguments once its tool is known, the keys that are left once a key is written); then
//! the new grammar is fed everything that was written, so no token is ever split at a seam.

use super::{
    Error, Vocabulary,
    closing::{Closing, Way},
    masks::Masks,
    token_env::TokenEnv,
    watch::{Place, Refusal, Watch, closing_tokens},
};
use llguidance::{Matcher, ParserFactory, api::TopLevelGrammar};
use std::sync::{Arc, OnceLock};
use toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokenId};

/// Compiles grammars for one vocabulary.
pub struct Compiler {
    factory: ParserFactory,
    env: TokEnv,
    masks: Arc<Masks>,
    // The tokens that a watch has to be asked about, once a mask was wanted.
    closing: OnceLock<SimpleVob>,
}

impl Compiler {
    /// A compiler whose tokens are the 256 bytes: it tells whether a grammar compiles and which
    /// texts it takes, without a model.
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
        // Errors are for people; the whole grammar and the tokens so far are not.
        let limits = factory.limits_mut();
        limits.verbose_errors = false;
        // Large schemas need more than the defaults, which are meant for a server's worst case.
        limits.initial_lexer_fuel = 50_000_000;
        limits.step_lexer_fuel = 10_000_000;
        limits.step_max_items = 2_000_000;
        limits.max_items_in_row = 20_000;
        limits.max_grammar_size = 5_000_000;
        let masks = Arc::new(Masks::new(env.clone()));
        Compiler { factory, env, masks, closing: OnceLock::new() }
    }

    /// The id of the mark whose text this is, if the vocabulary has one: `<tool_call>` as one token.
    pub fn mark(&self, text: &str) -> Option<u32> {
        self.env.tok_trie().get_special_token(text)
    }

    /// The tokens of `text`, as the model writes it.
    pub fn tokenize(&self, text: &[u8]) -> Vec<u32> {
        self.env.tokenize_bytes(text)
    }

    /// The bytes of `tokens`, marks as their text.
    pub fn bytes(&self, tokens: &[u32]) -> Vec<u8> {
        self.env.tok_trie().decode_ext(tokens, true)
    }

    /// Whether `token` ends a text.
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

/// A grammar that may be rewritten as the text grows.
///
/// Both functions depend on nothing but `written`: the text can be taken back, and then they are
/// asked again.
pub trait Grammar {
    /// Which grammar is in force after `written`; another number asks for a rebuild.
    fn stage(&self, written: &[u8]) -> usize;

    /// The grammar in force after `written`, in llguidance's dialect of Lark, for the whole text
    /// from its first byte; `written` is the beginning of a text that it takes.
    ///
    /// # Errors
    /// Why there is none.
    fn lark(&self, written: &[u8]) -> Result<String, Error>;
}

/// A grammar that stays as it is.
pub struct Fixed(pub String);

impl Grammar for Fixed {
    fn stage(&self, _: &[u8]) -> usize {
        0
    }

    fn lark(&self, _: &[u8]) -> Result<String, Error> {
        Ok(self.0.clone())
    }
}

/// A grammar and a watch, and the tokens that were written under them.
pub struct Constraint<'c> {
    compiler: &'c Compiler,
    grammar: Box<dyn Grammar + 'c>,
    watch: Option<Box<dyn Watch + 'c>>,
    matcher: Matcher,
    stage: usize,
    tokens: Vec<TokenId>,
    written: Vec<u8>,
    refusal: Option<Refusal>,
}

impl<'c> Constraint<'c> {
    /// Compiles the grammar's first stage.
    ///
    /// # Errors
    /// [`Error::Grammar`] with llguidance's reason.
    pub fn new(compiler: &'c Compiler, grammar: Box<dyn Grammar + 'c>) -> Result<Constraint<'c>, Error> {
        let matcher = compiler.compile(&grammar.lark(b"")?)?;
        let stage = grammar.stage(b"");
        let (tokens, written) = (Vec::new(), Vec::new());
        Ok(Constraint { compiler, grammar, watch: None, matcher, stage, tokens, written, refusal: None })
    }

    /// The same with `watch` over a text of which nothing is written yet.
    pub fn watched(self, watch: Box<dyn Watch + 'c>) -> Constraint<'c> {
        Constraint { watch: Some(watch), ..self }
    }

    /// Whether the text may end here, though more may follow.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails.
    pub fn may_end(&mut self) -> Result<bool, Error> {
        let takes_it = self.matcher.is_stopped() && !self.matcher.is_error()
            || self.matcher.is_accepting().map_err(Error::constraint)?;
        Ok(takes_it && self.watch.as_mut().is_none_or(|watch| watch.may_end()))
    }

    /// Whether `token` ends a text rather than being part of it.
    pub fn is_end(&self, token: i32) -> bool {
        let ends = self.compiler.env.tok_trie().eos_tokens();
        TokenId::try_from(token).is_ok_and(|token| ends.contains(&token))
    }

    /// Whether the text is complete and nothing can follow it.
    pub fn is_complete(&mut self) -> bool {
        self.matcher.is_stopped()
            && !self.matcher.is_error()
            && self.watch.as_mut().is_none_or(|watch| watch.may_end())
    }

    /// The tokens that grammar and watch let follow. [`accept`](Self::accept) may still refuse one of
    /// them where it ends a stage or begins a value.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails.
    pub fn mask(&mut self) -> Result<Mask, Error> {
        let Mask(mut mask) = self.grammar_mask()?;
        let Some(watch) = &mut self.watch else { return Ok(Mask(mask)) };
        let trie = self.compiler.env.tok_trie();
        let ends = watch.may_end();
        let mut asked = self.compiler.closing.get_or_init(|| closing_tokens(trie)).clone();
        asked.and(&mask);
        let mut refused = Vec::new();
        asked.iter_set_entries(|token| {
            let token = token as TokenId;
            let is_end = trie.eos_tokens().contains(&token);
            if !(if is_end { ends } else { watch.allows(trie.token(token)) }) {
                refused.push(token);
            }
        });
        refused.into_iter().for_each(|token| mask.disallow_token(token));
        Ok(Mask(mask))
    }

    /// The tokens that the grammar lets follow, among them such as the watch may refuse.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails.
    pub fn grammar_mask(&mut self) -> Result<Mask, Error> {
        self.matcher.compute_mask_or_eos().map(Mask).map_err(Error::constraint)
    }

    /// The tokens that come next whatever the model says: those that the tokenizer gives for the text so far and what
    /// the grammar leaves no choice about, as far as nothing that follows can change them. Empty where there is a
    /// choice.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails.
    pub fn forced(&mut self) -> Result<Vec<i32>, Error> {
        if self.matcher.is_stopped() {
            return Ok(Vec::new());
        }
        let mut forced = self.matcher.compute_ff_tokens();
        if !forced.is_empty() {
            let bytes = self.matcher.compute_ff_bytes();
            let length = self.canonical(&bytes, &forced);
            forced.truncate(length);
        }
        self.check()?;
        Ok(forced.into_iter().map(|token| token as i32).collect())
    }

    /// How many of `forced` the tokenizer gives for the text so far with `bytes` behind it. The matcher looks at the
    /// last token of the text only.
    fn canonical(&self, bytes: &[u8], forced: &[TokenId]) -> usize {
        let trie = self.compiler.env.tok_trie();
        // Nothing is merged across a mark.
        let mark = self.tokens.iter().rposition(|&token| trie.is_special_token(token));
        let before = &self.tokens[mark.map_or(0, |mark| mark + 1)..];
        let text = [&trie.decode_raw(before), bytes].concat();
        let (tokens, _) = self.compiler.env.tokenize_bytes_marker(&text);
        match tokens.strip_prefix(before) {
            Some(next) => next.iter().zip(forced).take_while(|(a, b)| a == b).count(),
            // What the model wrote is cut otherwise than the tokenizer would cut it.
            None => forced.len(),
        }
    }

    /// How many of `tokens`, one after another, the grammar in force would take.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails.
    pub fn takes(&mut self, tokens: &[i32]) -> Result<usize, Error> {
        let n_vocab = self.compiler.env.tok_trie().vocab_size();
        let known = |&&token: &&i32| TokenId::try_from(token).is_ok_and(|token| (token as usize) < n_vocab);
        let tokens: Vec<TokenId> = tokens.iter().take_while(known).map(|&token| token as TokenId).collect();
        if tokens.is_empty() || self.matcher.is_stopped() {
            return Ok(0);
        }
        self.matcher.validate_tokens(&tokens).map_err(Error::constraint)
    }

    /// Takes `token` if it may follow, else changes nothing and gives `false`.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails, [`Error::Grammar`] when the next stage's
    /// grammar does not compile.
    pub fn accept(&mut self, token: i32) -> Result<bool, Error> {
        self.refusal = None;
        if self.is_end(token) {
            // What ends a text is no part of it.
            return self.may_end();
        }
        let n_vocab = self.compiler.env.tok_trie().vocab_size();
        // llguidance takes an id that is not there for a failure of its own, and gives up.
        let Some(token) = TokenId::try_from(token).ok().filter(|&token| (token as usize) < n_vocab) else {
            return Ok(false);
        };
        let taken = self.matcher.try_consume_tokens(&[token]).map_err(Error::constraint)?;
        self.check()?;
        if taken == 0 {
            return Ok(false);
        }
        let (before, bytes) = (self.written.len(), self.bytes(token));
        if let Some(watch) = &mut self.watch
            && !watch.push(&bytes)
        {
            self.refusal = watch.refusal();
            self.matcher.rollback(1).map_err(Error::constraint)?;
            self.check()?;
            return Ok(false);
        }
        self.tokens.push(token);
        self.written.extend(bytes);
        if self.restage()? {
            return Ok(true);
        }
        self.tokens.pop();
        self.written.truncate(before);
        if let Some(watch) = &mut self.watch {
            watch.rollback(1);
        }
        self.matcher.rollback(1).map_err(Error::constraint)?;
        self.check()?;
        Ok(false)
    }

    /// Why the watch refused the token that was offered last, where a check did.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal.clone()
    }

    /// Where in a value that is watched the text ends.
    pub fn place(&self) -> Place {
        self.watch.as_ref().map_or_else(Place::default, |watch| watch.place())
    }

    /// Where to go on so that the text comes to its end soon, `mask` being the tokens that may follow; without a watch, any
    /// of them. `closing` remembers which ways led nowhere.
    pub fn closing(&mut self, closing: &mut Closing, mask: Mask) -> Way {
        match &mut self.watch {
            Some(watch) => {
                closing.step(self.compiler.env.tok_trie(), &mut **watch, &mask.0, self.tokens.len())
            }
            None => Way::Choose(mask),
        }
    }

    /// How many tokens stood when the innermost value that is watched and open began.
    pub fn value_start(&self) -> usize {
        self.watch.as_ref().map_or(0, |watch| watch.value_start())
    }

    /// How many tokens the text has.
    pub fn n_tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Takes the last `tokens` tokens back.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails.
    pub fn rollback(&mut self, tokens: usize) -> Result<(), Error> {
        let kept = self.tokens.len().saturating_sub(tokens);
        let taken_back = self.tokens.split_off(kept);
        let bytes: usize = taken_back.iter().map(|&token| self.bytes(token).len()).sum();
        self.written.truncate(self.written.len() - bytes);
        if let Some(watch) = &mut self.watch {
            watch.rollback(taken_back.len());
        }
        if self.grammar.stage(&self.written) == self.stage {
            self.matcher.rollback(taken_back.len()).map_err(Error::constraint)?;
            return self.check();
        }
        // What was taken once is taken again.
        self.restage().map(drop)
    }

    /// The text so far, marks as their text.
    pub fn written(&self) -> &[u8] {
        &self.written
    }

    /// Moves to the grammar that is in force now; `false` if that one does not take the last token.
    fn restage(&mut self) -> Result<bool, Error> {
        let stage = self.grammar.stage(&self.written);
        if stage == self.stage {
            return Ok(true);
        }
        let mut matcher = self.compiler.compile(&self.grammar.lark(&self.written)?)?;
        let taken = matcher.try_consume_tokens(&self.tokens).map_err(Error::constraint)?;
        if taken < self.tokens.len() {
            return Ok(false);
        }
        self.matcher = matcher;
        self.stage = stage;
        self.check()?;
        Ok(true)
    }

    fn bytes(&self, token: TokenId) -> Vec<u8> {
        self.compiler.env.tok_trie().decode_ext(&[token], true)
    }

    fn check(&self) -> Result<(), Error> {
        match self.matcher.get_error() {
            Some(reason) => Err(Error::Constraint { reason }),
            None => Ok(()),
        }
    }
}

/// A set of tokens, one bit each.
#[derive(Debug)]
pub struct Mask(SimpleVob);

impl Mask {
    pub(super) fn of(tokens: SimpleVob) -> Mask {
        Mask(tokens)
    }

    /// The tokens of the set.
    pub fn tokens(&self) -> Vec<i32> {
        self.0.to_list().into_iter().map(|token| token as i32).collect()
    }

    /// Takes `token` out of the set.
    pub fn disallow(&mut self, token: i32) {
        if let Some(token) = TokenId::try_from(token).ok().filter(|&token| (token as usize) < self.0.len()) {
            self.0.disallow_token(token);
        }
    }

    /// Whether `token` is in the set.
    pub fn allows(&self, token: usize) -> bool {
        token < self.0.len() && self.0.is_allowed(token as TokenId)
    }
}
