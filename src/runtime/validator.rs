//! Checks that run beside the grammar and veto values that it cannot exclude.

use toktrie::{SimpleVob, TokTrie, TokenId};

/// Bytes that can close a key or a value in JSON.
pub const CLOSING: [u8; 4] = [b'"', b'}', b']', b','];

/// The reason why a value is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer of the schema, as a URI fragment.
    pub pointer: String,
    /// The keyword that refuses it.
    pub keyword: String,
    /// The violation and the value.
    pub message: String,
}

/// Nesting of a text's end within a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Number of open objects and arrays.
    pub depth: usize,
    /// The scalar that the text is in, if any.
    pub scalar: Option<Scalar>,
}

/// A value that contains no other values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// A string or a key.
    String,
    /// A number or a literal, which is only closed by what follows it.
    Bare,
}

/// Follows the text beside the grammar, and vetoes values that the grammar cannot exclude.
pub trait Validator {
    /// Appends `bytes` if all of them are allowed; otherwise changes nothing and returns `false`.
    fn push(&mut self, bytes: &[u8]) -> bool;

    /// Bytes that can close a key or a value.
    fn closing(&self) -> &[u8] {
        &CLOSING
    }

    /// True if `bytes` may be appended; always true if none of them is in [`closing`](Self::closing).
    fn allows(&mut self, bytes: &[u8]) -> bool;

    /// True if the text may end here.
    fn may_end(&mut self) -> bool;

    /// Distance of the text from its end after `bytes`; `None` if they may not be appended.
    fn distance(&mut self, bytes: &[u8]) -> Option<(usize, u16)>;

    /// Undoes the last `pushes` pushes.
    fn rollback(&mut self, pushes: usize);

    /// Index of the push that started the innermost open value.
    fn value_start(&self) -> usize;

    /// The reason why the last push was refused, if a check refused it.
    fn violation(&self) -> Option<Violation> {
        None
    }

    /// Position of the text's end within the value.
    fn position(&self) -> Position {
        Position::default()
    }

    /// Index of the push that started the innermost open object or array.
    fn container_start(&self) -> usize {
        self.value_start()
    }
}

/// The tokens with one of the bytes in `bytes`, which close a key or a value, and those that end a text. A [`Validator`] need
/// not check any other tokens of a mask.
pub(super) fn closing_tokens(trie: &TokTrie, bytes: &[u8]) -> SimpleVob {
    let mut closing = trie.alloc_token_set();
    for token in 0..trie.vocab_size() as TokenId {
        if trie.token(token).iter().any(|byte| bytes.contains(byte)) {
            closing.allow_token(token);
        }
    }
    trie.eos_tokens().iter().for_each(|token| closing.allow_token(*token));
    closing
}
