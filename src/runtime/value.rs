//! One JSON value under a compiled schema: the grammar's matcher and the tracker of the written
//! text, stepped together.
//!
//! A token is taken where both take it. Both go back token by token, which is what a caller needs
//! who has run into a dead end: [`ValueConstraint::rollback`] to the start of the value, another
//! token there, and on.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, HashMap},
};

use llguidance::Matcher;
use toktrie::{SimpleVob, TokEnv, TokTrie, TokenId};

use super::{Error, constraint::Compiler};

/// The bytes that can close a key or a value.
pub const CLOSING: [u8; 4] = [b'"', b'}', b']', b','];

/// What follows the written text beside the grammar, and vetoes what the grammar cannot see.
pub trait Watch {
    /// Writes `bytes` if all of them may be written, else changes nothing and gives `false`.
    fn push(&mut self, bytes: &[u8]) -> bool;

    /// Whether `bytes` may be written; `true` where none of them is [`CLOSING`].
    fn allows(&mut self, bytes: &[u8]) -> bool;

    /// Whether the text may end here.
    fn may_end(&mut self) -> bool;

    /// How far from its end the text is after `bytes`; `None` where they may not be written.
    fn distance(&mut self, bytes: &[u8]) -> Option<(usize, u16)>;

    /// Takes the last `pushes` pushes back.
    fn rollback(&mut self, pushes: usize);

    /// The push with which the innermost open value began.
    fn value_start(&self) -> usize;

    /// The push with which the innermost open object or array began.
    fn container_start(&self) -> usize {
        self.value_start()
    }
}

/// A matcher and a tracker at the same place of the text.
pub struct ValueConstraint<W> {
    matcher: Matcher,
    watch: W,
    env: TokEnv,
    tokens: Vec<TokenId>,
    /// The tokens that the watch has to be asked about, once a mask was wanted.
    closing: OnceCell<SimpleVob>,
}

impl<W: Watch> ValueConstraint<W> {
    /// The constraint of a text by a grammar in llguidance's Lark and a watch over it.
    ///
    /// # Errors
    /// [`Error::Grammar`] with llguidance's reason.
    pub fn new(compiler: &Compiler, lark: &str, watch: W) -> Result<ValueConstraint<W>, Error> {
        let matcher = compiler.compile(lark)?;
        let env = matcher.tok_env().map_err(Error::constraint)?;
        Ok(ValueConstraint { matcher, watch, env, tokens: Vec::new(), closing: OnceCell::new() })
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
        if self.matcher.is_stopped() && !self.matcher.is_error() {
            return Ok(false);
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
        let trie = self.env.tok_trie();
        let mut mask = if self.matcher.is_stopped() && !self.matcher.is_error() {
            set(trie, Some(&trie.eos_tokens().to_vec()))
        } else {
            self.matcher.compute_mask_or_eos().map_err(Error::constraint)?
        };
        let ends = self.watch.may_end();
        let mut asked = self.closing.get_or_init(|| closing_tokens(trie)).clone();
        asked.and(&mask);
        let mut refused = Vec::new();
        asked.iter_set_entries(|token| {
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
        set(trie, by_distance(trie, &mut self.watch, mask).values().next())
    }

    /// The same with `closing` to tell when the way taken leads nowhere.
    pub fn closing(&mut self, closing: &mut Closing, mask: &SimpleVob) -> Way {
        closing.step(self.env.tok_trie(), &mut self.watch, mask, self.tokens.len())
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

/// The tokens that can close a key or a value, and those that end a text: the others of a mask
/// need not be shown to a [`Watch`].
fn closing_tokens(trie: &TokTrie) -> SimpleVob {
    let mut closing = trie.alloc_token_set();
    for token in 0..trie.vocab_size() as TokenId {
        if trie.token(token).iter().any(|byte| CLOSING.contains(byte)) {
            closing.allow_token(token);
        }
    }
    trie.eos_tokens().iter().for_each(|token| closing.allow_token(*token));
    closing
}

/// The tokens of `mask` by how near they bring the text to its end, nearest first.
fn by_distance<W: Watch + ?Sized>(
    trie: &TokTrie,
    watch: &mut W,
    mask: &SimpleVob,
) -> BTreeMap<(usize, u16), Vec<TokenId>> {
    let mut classes: BTreeMap<_, Vec<TokenId>> = BTreeMap::new();
    mask.iter_set_entries(|token| {
        let token = token as TokenId;
        let distance =
            if trie.eos_tokens().contains(&token) { Some((0, 0)) } else { watch.distance(trie.token(token)) };
        if let Some(distance) = distance {
            classes.entry(distance).or_default().push(token);
        }
    });
    classes
}

fn set(trie: &TokTrie, tokens: Option<&Vec<TokenId>>) -> SimpleVob {
    let mut set = trie.alloc_token_set();
    tokens.into_iter().flatten().for_each(|token| set.allow_token(*token));
    set
}

/// From this place on, [`Watch::distance`] counts the keys and items that nobody asks for.
pub const UNASKED: u16 = 300;
/// Tokens after which a string or a number that has not ended is begun anew.
const LONG_SCALAR: usize = 100;
/// How often a value is begun anew before the text around it is.
const MAX_AGAIN: usize = 3;

/// Steps that go another way once the nearest one has led nowhere.
const ASTRAY: usize = 4;

/// Where to go on while a text is brought to its end.
#[derive(Debug)]
pub enum Way {
    /// One of these tokens: those nearest to the end. Empty only if the mask is.
    Choose(SimpleVob),
    /// This many tokens back, to begin anew there, whatever was tried.
    Back(usize),
}

/// Brings a text to its end when its budget runs low: the nearest tokens, and back to the start of
/// a value that does not end, or of an object that is refused however many keys it is given.
#[derive(Debug, Default)]
pub struct Closing {
    /// Where the innermost value began, and the tokens since.
    anchor: Option<usize>,
    steps: usize,
    /// Keys and items that nobody asks for, since the last time back.
    unasked: usize,
    /// How often the text was taken back to each place, and in all.
    again: HashMap<usize, usize>,
    back: usize,
    /// Steps that do not take the nearest way, after the text was taken back.
    astray: usize,
}

impl Closing {
    /// What to do after `written` tokens where the tokens of `mask` may follow.
    pub fn step<W: Watch + ?Sized>(
        &mut self,
        trie: &TokTrie,
        watch: &mut W,
        mask: &SimpleVob,
        written: usize,
    ) -> Way {
        let start = watch.value_start().min(written);
        if self.anchor.replace(start) == Some(start) {
            self.steps += 1;
        } else {
            self.steps = 0;
        }
        let classes = by_distance(trie, watch, mask);
        let more = classes.keys().next().is_some_and(|(_, place)| *place >= UNASKED);
        self.unasked += usize::from(more);
        let start = if more { watch.container_start().min(written) } else { start };
        let again = self.again.get(&start).copied().unwrap_or(0);
        // A value may want them (`minProperties`, `minItems`), so patience grows.
        if self.steps <= LONG_SCALAR && !(more && self.unasked > 4 << (again / 2).min(8)) {
            // What was nearest has led nowhere, so the first steps go another way.
            let way = if self.astray > 0 { self.back + self.astray } else { 0 };
            self.astray = self.astray.saturating_sub(1);
            return Way::Choose(set(trie, classes.values().nth(way % classes.len().max(1))));
        }
        let back_to = if again > MAX_AGAIN { start / 2 } else { start };
        self.again.retain(|place, _| *place <= back_to);
        *self.again.entry(back_to).or_default() += 1;
        (self.anchor, self.steps, self.unasked) = (None, 0, 0);
        self.back += 1;
        // The nearest way again first, then one that is not the nearest.
        self.astray = if self.back.is_multiple_of(2) { ASTRAY } else { 0 };
        Way::Back(written - back_to)
    }
}
