//! A grammar applied to a growing text: the tokens that may come next.
//!
//! llguidance's matcher is driven directly, and each of its errors is an error here: nothing is ever generated
//! without the requested constraint. A grammar may be replaced while the text grows (by the arguments of a call
//! once its tool is known, by the remaining keys once a key is complete). The new grammar is then fed the whole
//! text, so no token is split at a boundary.

use super::{
    Compiler, Error,
    closing::{Closing, Way},
    mask::Mask,
    validator::{Position, Validator, Violation},
};
use llguidance::Matcher;
use toktrie::TokenId;

/// A grammar that may be replaced while the text grows.
///
/// Both functions depend on `written` alone. After a rollback they are called again with the shorter text.
pub trait Grammar {
    /// Number of the grammar that applies after `written`; when it changes, the grammar is compiled again.
    fn stage(&self, written: &[u8]) -> usize;

    /// The grammar that applies after `written`, in llguidance's dialect of Lark, for the whole text from its
    /// first byte. It accepts `written` as a beginning.
    ///
    /// # Errors
    /// The reason why there is none.
    fn lark(&self, written: &[u8]) -> Result<String, Error>;
}

/// A grammar that never changes.
pub struct Fixed(pub String);

impl Grammar for Fixed {
    fn stage(&self, _: &[u8]) -> usize {
        0
    }

    fn lark(&self, _: &[u8]) -> Result<String, Error> {
        Ok(self.0.clone())
    }
}

/// A grammar, a validator, and the tokens generated under them.
pub struct Constraint<'c> {
    compiler: &'c Compiler,
    grammar: Box<dyn Grammar + 'c>,
    validator: Option<Box<dyn Validator + 'c>>,
    matcher: Matcher,
    stage: usize,
    tokens: Vec<TokenId>,
    written: Vec<u8>,
    violation: Option<Violation>,
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
        Ok(Constraint {
            compiler,
            grammar,
            validator: None,
            matcher,
            stage,
            tokens,
            written,
            violation: None,
        })
    }

    /// Adds a validator; the text must be empty.
    pub fn with_validator(self, validator: Box<dyn Validator + 'c>) -> Constraint<'c> {
        Constraint { validator: Some(validator), ..self }
    }

    /// True if the text may end here; more may be allowed to follow.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails.
    pub fn may_end(&mut self) -> Result<bool, Error> {
        let takes_it = self.grammar_may_end()?;
        Ok(takes_it && self.validator.as_mut().is_none_or(|validator| validator.may_end()))
    }

    fn grammar_may_end(&mut self) -> Result<bool, Error> {
        Ok(self.matcher.is_stopped() && !self.matcher.is_error()
            || self.matcher.is_accepting().map_err(Error::constraint)?)
    }

    /// True if `token` ends the text and is not part of it.
    pub fn is_end(&self, token: i32) -> bool {
        let ends = self.compiler.env.tok_trie().eos_tokens();
        TokenId::try_from(token).is_ok_and(|token| ends.contains(&token))
    }

    /// True if the text is complete and nothing can follow.
    pub fn is_complete(&mut self) -> bool {
        self.matcher.is_stopped()
            && !self.matcher.is_error()
            && self.validator.as_mut().is_none_or(|validator| validator.may_end())
    }

    /// The tokens that grammar and validator allow next. [`accept`](Self::accept) may still refuse one that ends a
    /// stage or starts a value.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails.
    pub fn mask(&mut self) -> Result<Mask, Error> {
        let Mask(mut mask) = self.grammar_mask()?;
        let Some(validator) = &mut self.validator else { return Ok(Mask(mask)) };
        let trie = self.compiler.env.tok_trie();
        let ends = validator.may_end();
        let mut asked = self.compiler.closing_tokens(validator.closing());
        asked.and(&mask);
        let mut refused = Vec::new();
        asked.iter_set_entries(|token| {
            let token = token as TokenId;
            let is_end = trie.eos_tokens().contains(&token);
            if !(if is_end { ends } else { validator.allows(trie.token(token)) }) {
                refused.push(token);
            }
        });
        refused.into_iter().for_each(|token| mask.disallow_token(token));
        Ok(Mask(mask))
    }

    /// The tokens that the grammar allows next; the validator may refuse some of them.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails.
    pub fn grammar_mask(&mut self) -> Result<Mask, Error> {
        self.matcher.compute_mask_or_eos().map(Mask).map_err(Error::constraint)
    }

    /// Forced tokens: those that come next whatever the model predicts, since the grammar allows a single text.
    /// They are the tokenizer's own tokens for it, as far as no later text can change them. Empty if there is a
    /// choice.
    ///
    /// At most about `most` are looked for in a long text: that many are wanted, and what follows them does not matter.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails.
    pub fn forced(&mut self, most: usize) -> Result<Vec<i32>, Error> {
        if most == 0 || self.matcher.is_stopped() {
            return Ok(Vec::new());
        }
        if let Some(tokens) = self.first_forced(most)? {
            return Ok(tokens);
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

    /// The first `most` forced tokens of a text that has many more; `None` if it may have fewer.
    ///
    /// The tokenizer takes time for each byte of the text, and a constant may have tens of thousands.
    fn first_forced(&mut self, most: usize) -> Result<Option<Vec<i32>>, Error> {
        /// Tokens at the end of a part of a text that its continuation may change.
        const UNSETTLED: usize = 16;
        let bytes = self.matcher.compute_ff_bytes();
        self.check()?;
        let mut length = (most + UNSETTLED).saturating_mul(8);
        while length < bytes.len() {
            let (tokens, _) = self.compiler.env.tokenize_bytes_marker(&bytes[..length]);
            if tokens.len() >= most + UNSETTLED {
                return Ok(Some(tokens.into_iter().take(most).map(|token| token as i32).collect()));
            }
            length *= 2;
        }
        Ok(None)
    }

    /// Number of the tokens in `forced` that the tokenizer itself yields for the text so far followed by
    /// `bytes`. The matcher only considers the last token of the text.
    fn canonical(&self, bytes: &[u8], forced: &[TokenId]) -> usize {
        let trie = self.compiler.env.tok_trie();
        // The tokenizer merges nothing across a special token.
        let mark = self.tokens.iter().rposition(|&token| trie.is_special_token(token));
        let before = &self.tokens[mark.map_or(0, |mark| mark + 1)..];
        let text = [&trie.decode_raw(before), bytes].concat();
        let (tokens, _) = self.compiler.env.tokenize_bytes_marker(&text);
        match tokens.strip_prefix(before) {
            Some(next) => next.iter().zip(forced).take_while(|(a, b)| a == b).count(),
            // The model's own tokens differ from the tokenizer's.
            None => forced.len(),
        }
    }

    /// Number of `tokens`, from the first on, that the current grammar accepts.
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

    /// True if the current grammar allows `token` next, or the text to end if it is an end token. The validator
    /// may still refuse it.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails.
    pub fn may_follow(&mut self, token: i32) -> Result<bool, Error> {
        if self.is_end(token) { self.grammar_may_end() } else { Ok(self.takes(&[token])? > 0) }
    }

    /// Appends `token` if it may follow; otherwise changes nothing and returns `false`.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails, [`Error::Grammar`] when the next stage's
    /// grammar does not compile.
    pub fn accept(&mut self, token: i32) -> Result<bool, Error> {
        self.violation = None;
        if self.is_end(token) {
            // An end token is not part of the text.
            let ends = self.may_end()?;
            if !ends && self.grammar_may_end()? {
                // A number that nothing encloses is checked where it ends.
                self.violation = self.validator.as_ref().and_then(|validator| validator.violation());
            }
            return Ok(ends);
        }
        let n_vocab = self.compiler.env.tok_trie().vocab_size();
        // llguidance treats an unknown id as an internal error and stops.
        let Some(token) = TokenId::try_from(token).ok().filter(|&token| (token as usize) < n_vocab) else {
            return Ok(false);
        };
        let taken = self.matcher.try_consume_tokens(&[token]).map_err(Error::constraint)?;
        self.check()?;
        if taken == 0 {
            return Ok(false);
        }
        let (before, bytes) = (self.written.len(), self.bytes(token));
        if let Some(validator) = &mut self.validator
            && !validator.push(&bytes)
        {
            let violation = validator.violation();
            self.matcher.rollback(1).map_err(Error::constraint)?;
            self.check()?;
            if violation.is_some() && self.next_stage_takes(token, &bytes)? {
                self.violation = violation;
            }
            return Ok(false);
        }
        self.tokens.push(token);
        self.written.extend(bytes);
        if self.restage()? {
            return Ok(true);
        }
        self.tokens.pop();
        self.written.truncate(before);
        if let Some(validator) = &mut self.validator {
            validator.rollback(1);
        }
        self.matcher.rollback(1).map_err(Error::constraint)?;
        self.check()?;
        Ok(false)
    }

    /// False if `token` begins a new stage, whose grammar refuses it: then it is no value's end.
    fn next_stage_takes(&self, token: TokenId, bytes: &[u8]) -> Result<bool, Error> {
        let written = [&self.written, bytes].concat();
        if self.grammar.stage(&written) == self.stage {
            return Ok(true);
        }
        let tokens = [&self.tokens[..], &[token]].concat();
        Ok(self.matcher_after(&written, &tokens)?.is_some())
    }

    /// A matcher of the grammar that applies after `written` with these tokens taken; `None` if it refuses one.
    fn matcher_after(&self, written: &[u8], tokens: &[TokenId]) -> Result<Option<Matcher>, Error> {
        let mut matcher = self.compiler.compile(&self.grammar.lark(written)?)?;
        let taken = matcher.try_consume_tokens(tokens).map_err(Error::constraint)?;
        Ok((taken == tokens.len()).then_some(matcher))
    }

    /// The check that refused the last token given to [`accept`](Self::accept), if it was a check.
    pub fn violation(&self) -> Option<Violation> {
        self.violation.clone()
    }

    /// Position of the text's end in the value that is being validated.
    pub fn position(&self) -> Position {
        self.validator.as_ref().map_or_else(Position::default, |validator| validator.position())
    }

    /// The next step towards an early end of the text; `mask` holds the tokens that may follow. Without a validator,
    /// any of them is chosen. `closing` keeps track of failed attempts.
    pub fn closing(&mut self, closing: &mut Closing, mask: Mask) -> Way {
        match &mut self.validator {
            Some(validator) => {
                closing.step(self.compiler.env.tok_trie(), &mut **validator, &mask.0, self.tokens.len())
            }
            None => Way::Choose(mask),
        }
    }

    /// Number of tokens before the innermost open value that is being validated.
    pub fn value_start(&self) -> usize {
        self.validator.as_ref().map_or(0, |validator| validator.value_start())
    }

    /// Number of tokens in the text.
    pub fn n_tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Removes the last `tokens` tokens.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails.
    pub fn rollback(&mut self, tokens: usize) -> Result<(), Error> {
        let kept = self.tokens.len().saturating_sub(tokens);
        let taken_back = self.tokens.split_off(kept);
        let bytes: usize = taken_back.iter().map(|&token| self.bytes(token).len()).sum();
        self.written.truncate(self.written.len() - bytes);
        if let Some(validator) = &mut self.validator {
            validator.rollback(taken_back.len());
        }
        if self.grammar.stage(&self.written) == self.stage {
            self.matcher.rollback(taken_back.len()).map_err(Error::constraint)?;
            return self.check();
        }
        // Tokens that were accepted once are accepted again.
        self.restage().map(drop)
    }

    /// The text so far; special tokens as their text.
    pub fn written(&self) -> &[u8] {
        &self.written
    }

    /// Switches to the grammar that applies now; `false` if it does not accept the last token.
    fn restage(&mut self) -> Result<bool, Error> {
        let stage = self.grammar.stage(&self.written);
        if stage == self.stage {
            return Ok(true);
        }
        let Some(matcher) = self.matcher_after(&self.written, &self.tokens)? else { return Ok(false) };
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
