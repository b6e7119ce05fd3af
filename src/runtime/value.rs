//! One JSON value under a compiled schema: the grammar's matcher and the tracker of the written
//! text, stepped together.
//!
//! A token is taken where both take it. Both go back token by token, which is what a caller needs
//! who has run into a dead end: [`ValueConstraint::rollback`] to the start of the value, another
//! token there, and on.

use llguidance::Matcher;
use toktrie::{SimpleVob, TokEnv, TokenId};

use super::{Error, constraint::Compiler};

/// Why a value is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The place of the schema, as a URI fragment.
    pub pointer: String,
    /// The keyword that refuses.
    pub keyword: String,
    /// What is wrong with which value.
    pub message: String,
}

/// Where in a value a text ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// How many objects and arrays are open.
    pub depth: usize,
    /// The scalar that is being written, if one is.
    pub scalar: Option<Scalar>,
}

/// A value without values in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// A string or a key.
    String,
    /// A number or a word, which only what follows it closes.
    Bare,
}

/// What follows the written text beside the grammar, and vetoes what the grammar cannot see.
pub trait Watch {
    /// Writes `bytes` if all of them may be written, else changes nothing and gives `false`.
    fn push(&mut self, bytes: &[u8]) -> bool;

    /// Whether `bytes` may be written.
    fn allows(&mut self, bytes: &[u8]) -> bool;

    /// Whether the text may end here.
    fn may_end(&mut self) -> bool;

    /// How far from its end the text is after `bytes`; `None` where they may not be written.
    fn distance(&mut self, bytes: &[u8]) -> Option<(usize, u16)>;

    /// Takes the last `pushes` pushes back.
    fn rollback(&mut self, pushes: usize);

    /// The push with which the innermost open value began.
    fn value_start(&self) -> usize;

    /// Why the last push was refused, where a check refused it.
    fn refusal(&self) -> Option<Refusal> {
        None
    }

    /// Where in the value the text ends.
    fn place(&self) -> Place {
        Place::default()
    }
}

/// A matcher and a tracker at the same place of the text.
pub struct ValueConstraint<W> {
    matcher: Matcher,
    watch: W,
    env: TokEnv,
    tokens: Vec<TokenId>,
}

impl<W: Watch> ValueConstraint<W> {
    /// The constraint of a text by a grammar in llguidance's Lark and a watch over it.
    ///
    /// # Errors
    /// [`Error::Grammar`] with llguidance's reason.
    pub fn new(compiler: &Compiler, lark: &str, watch: W) -> Result<ValueConstraint<W>, Error> {
        let matcher = compiler.compile(lark)?;
        let env = matcher.tok_env().map_err(Error::constraint)?;
        Ok(ValueConstraint { matcher, watch, env, tokens: Vec::new() })
    }

    /// Takes `token` if it may follow, else changes nothing and gives `false`.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails.
    pub fn try_token(&mut self, token: TokenId) -> Result<bool, Error> {
        let trie = self.env.tok_trie();
        if trie.eos_tokens().contains(&token) {
            let ends = self.may_end()?;
            if ends {
                self.tokens.push(token);
                self.watch.push(b"");
                self.matcher.try_consume_tokens(&[token]).map_err(Error::constraint)?;
            }
            return Ok(ends);
        }
        // The tracker is the cheaper one, but its checks are not: the grammar goes first.
        if self.matcher.try_consume_tokens(&[token]).map_err(Error::constraint)? == 0 {
            return Ok(false);
        }
        let bytes = trie.decode_ext(&[token], true);
        if !self.watch.push(&bytes) {
            self.matcher.rollback(1).map_err(Error::constraint)?;
            return Ok(false);
        }
        self.tokens.push(token);
        Ok(true)
    }

    /// The tokens that may follow.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails.
    pub fn mask(&mut self) -> Result<SimpleVob, Error> {
        let mut mask = self.matcher.compute_mask_or_eos().map_err(Error::constraint)?;
        let trie = self.env.tok_trie();
        let ends = self.watch.may_end();
        let mut refused = Vec::new();
        mask.iter_set_entries(|token| {
            let token = token as TokenId;
            let allowed =
                if trie.eos_tokens().contains(&token) { ends } else { self.watch.allows(trie.token(token)) };
            if !allowed {
                refused.push(token);
            }
        });
        refused.into_iter().for_each(|token| mask.disallow_token(token));
        Ok(mask)
    }

    /// Whether the text may end here.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails.
    pub fn may_end(&mut self) -> Result<bool, Error> {
        Ok(self.matcher.is_accepting().map_err(Error::constraint)? && self.watch.may_end())
    }

    /// Whether the text is complete and nothing can follow.
    pub fn is_complete(&mut self) -> bool {
        self.matcher.is_stopped() && !self.matcher.is_error() && self.watch.may_end()
    }

    /// The tokens that the grammar forces next, without asking the tracker.
    pub fn forced(&mut self) -> Vec<TokenId> {
        self.matcher.compute_ff_tokens()
    }

    /// Of `mask`, the tokens that bring the text nearest to its end: what a caller chooses from
    /// whose budget runs out. Empty only if the mask is.
    pub fn winding_up(&mut self, mask: &SimpleVob) -> SimpleVob {
        let trie = self.env.tok_trie();
        let mut best = None;
        let mut nearest = trie.alloc_token_set();
        mask.iter_set_entries(|token| {
            let token = token as TokenId;
            let distance = if trie.eos_tokens().contains(&token) {
                Some((0, 0))
            } else {
                self.watch.distance(trie.token(token))
            };
            let Some(distance) = distance else { return };
            if best.is_none_or(|b| distance < b) {
                best = Some(distance);
                nearest.set_all(false);
            }
            if best == Some(distance) {
                nearest.allow_token(token);
            }
        });
        nearest
    }

    /// The place in the text, in tokens: to go back to with [`rollback`](Self::rollback).
    pub fn checkpoint(&self) -> usize {
        self.tokens.len()
    }

    /// The checkpoint at which the innermost value that is open began.
    pub fn value_start(&self) -> usize {
        self.watch.value_start()
    }

    /// Takes the last `tokens` tokens back.
    ///
    /// # Errors
    /// [`Error::Constraint`] when the matcher fails.
    pub fn rollback(&mut self, tokens: usize) -> Result<(), Error> {
        let tokens = tokens.min(self.tokens.len());
        self.matcher.rollback(tokens).map_err(Error::constraint)?;
        self.watch.rollback(tokens);
        self.tokens.truncate(self.tokens.len() - tokens);
        Ok(())
    }

    /// The tokens so far.
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// The watch over the text.
    pub fn watch(&self) -> &W {
        &self.watch
    }
}
