//! What follows a text beside its grammar, and vetoes what a grammar cannot see.

use toktrie::{SimpleVob, TokTrie, TokenId};

/// The bytes that can close a key or a value.
pub const CLOSING: [u8; 4] = [b'"', b'}', b']', b','];

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

    /// Why the last push was refused, where a check refused it.
    fn refusal(&self) -> Option<Refusal> {
        None
    }

    /// Where in the value the text ends.
    fn place(&self) -> Place {
        Place::default()
    }

    /// The push with which the innermost open object or array began.
    fn container_start(&self) -> usize {
        self.value_start()
    }
}

/// The tokens that can close a key or a value, and those that end a text: the others of a mask
/// need not be shown to a [`Watch`].
pub(super) fn closing_tokens(trie: &TokTrie) -> SimpleVob {
    let mut closing = trie.alloc_token_set();
    for token in 0..trie.vocab_size() as TokenId {
        if trie.token(token).iter().any(|byte| CLOSING.contains(byte)) {
            closing.allow_token(token);
        }
    }
    trie.eos_tokens().iter().for_each(|token| closing.allow_token(*token));
    closing
}
