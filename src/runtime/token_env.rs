//! llguidance's view of the vocabulary: a trie of the tokens' bytes, and a canonical tokenizer.
//!
//! Tokens that are not plain text (control tokens, end-of-generation tokens, `<tool_call>`) start with a 0xFF
//! byte in the trie, so that they cannot be part of a grammar's strings. They only occur where the grammar
//! names them.

use super::{Error, Vocabulary};
use std::sync::OnceLock;
use toktrie::{INVALID_TOKEN, TokRxInfo, TokTrie, TokenId, TokenizerEnv};

/// llama.cpp's tokenizer behind llguidance's interface.
pub(super) struct TokenEnv {
    vocabulary: Vocabulary,
    trie: OnceLock<TokTrie>,
    // Used until the trie is built.
    none: TokTrie,
}

impl TokenEnv {
    /// An environment whose trie has a single token, until [`TokenEnv::build_trie`].
    pub(super) fn without_trie(vocabulary: Vocabulary) -> TokenEnv {
        let none = TokTrie::from(&TokRxInfo::new(1, INVALID_TOKEN), &[vec![b'a']]);
        TokenEnv { vocabulary, trie: OnceLock::new(), none }
    }

    /// Builds the trie: a tenth of a second for a large vocabulary, so once per model.
    ///
    /// # Errors
    /// [`Error::Grammar`] if the trie cannot hold the tokens.
    pub(super) fn build_trie(&self) -> Result<(), Error> {
        let vocabulary = &self.vocabulary;
        let ids = 0..i32::try_from(vocabulary.n_vocab()).unwrap_or(i32::MAX);
        let words: Vec<Vec<u8>> = ids.clone().map(|id| word(vocabulary, id)).collect();
        check(&words)?;
        let ends: Vec<TokenId> = ids.filter(|&id| vocabulary.is_eog(id)).map(|id| id as TokenId).collect();
        // The first of them is llguidance's end token; the others are accepted as ends, too.
        let eos = vocabulary.eot().or(vocabulary.eos()).map_or(INVALID_TOKEN, |id| id as TokenId);
        let mut trie = TokTrie::from(&TokRxInfo::new(words.len() as u32, eos), &words);
        if !ends.is_empty() {
            let mut ordered: Vec<TokenId> = ends.iter().copied().filter(|&id| id == eos).collect();
            ordered.extend(ends.into_iter().filter(|&id| id != eos));
            trie = trie.with_eos_tokens(&ordered);
        }
        // If two threads build it, the results are the same.
        let _ = self.trie.set(trie);
        Ok(())
    }

    fn tokenize_text(&self, text: &str) -> Vec<TokenId> {
        // Text too long to be tokenized cannot be part of an answer.
        let tokens = self.vocabulary.tokenize(text, false).unwrap_or_default();
        let tokens: Vec<TokenId> = tokens.into_iter().map(|id| id as TokenId).collect();
        // A user-defined token in the text, or a tokenizer that adds a space before it, would yield other bytes
        // than requested.
        if self.tok_trie().decode_raw(&tokens) == text.as_bytes() {
            tokens
        } else {
            self.tok_trie().greedy_tokenize(text.as_bytes())
        }
    }
}

impl TokenizerEnv for TokenEnv {
    fn tok_trie(&self) -> &TokTrie {
        self.trie.get().unwrap_or(&self.none)
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.tok_trie().tokenize_with_greedy_fallback(bytes, |text| self.tokenize_text(text))
    }

    fn tokenize_is_canonical(&self) -> bool {
        true
    }
}

/// Most bytes of a token: the trie counts them in 10 bits, and asserts that this is enough.
const MAX_WORD_BYTES: usize = 1023;
/// Most nodes: the trie counts those below a node in 22 bits.
const MAX_NODES: usize = (1 << 22) - 1;

fn check(words: &[Vec<u8>]) -> Result<(), Error> {
    if let Some((id, word)) = words.iter().enumerate().find(|(_, word)| word.len() > MAX_WORD_BYTES) {
        return Err(Error::grammar(format!(
            "token {id} has {} bytes, and a grammar takes up to {MAX_WORD_BYTES}",
            word.len()
        )));
    }
    // There is at most one node per byte, so the exact count is needed for huge vocabularies only.
    let bytes: usize = words.iter().map(Vec::len).sum();
    if bytes > MAX_NODES && nodes(words) > MAX_NODES {
        return Err(Error::grammar(format!("the tokens have {bytes} bytes, more than a grammar takes")));
    }
    Ok(())
}

/// Number of nodes in a trie of `words`; common prefixes share nodes.
fn nodes(words: &[Vec<u8>]) -> usize {
    let mut sorted: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    sorted.sort_unstable();
    let shared = |pair: &[&[u8]]| pair[0].iter().zip(pair[1]).take_while(|(a, b)| a == b).count();
    let all: usize = words.iter().map(Vec::len).sum();
    all - sorted.windows(2).map(shared).sum::<usize>()
}

fn word(vocabulary: &Vocabulary, id: i32) -> Vec<u8> {
    let piece = vocabulary.piece(id);
    let mark = vocabulary.is_control(id)
        || vocabulary.is_eog(id)
        || (vocabulary.is_user_defined(id) && looks_like_a_mark(&piece));
    if mark && !piece.is_empty() { [&[TokTrie::SPECIAL_TOKEN_MARKER], &piece[..]].concat() } else { piece }
}

/// Distinguishes `<tool_call>` and `[TOOL_CALLS]` from the runs of spaces that some files add as user-defined
/// tokens.
fn looks_like_a_mark(piece: &[u8]) -> bool {
    matches!(piece, [b'<', .., b'>'] | [b'[', .., b']']) && piece.len() > 2
}

#[cfg(test)]
mod tests {
    use super::{check, looks_like_a_mark, nodes};

    #[test]
    fn a_vocabulary_that_the_trie_would_assert_on_is_refused() {
        let words = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!(nodes(&words(&["abc", "", "abd", "x", "ab"])), 5);
        assert!(check(&[vec![b'a'; 1023]]).is_ok());
        assert!(check(&[vec![b'a'; 1024]]).unwrap_err().to_string().contains("token 0 has 1024 bytes"));
    }

    #[test]
    fn marks_are_told_from_text_that_was_added_by_hand() {
        assert!(looks_like_a_mark(b"<tool_call>"));
        assert!(looks_like_a_mark(b"[TOOL_CALLS]"));
        assert!(!looks_like_a_mark(b"    "));
        assert!(!looks_like_a_mark(b"<>"));
        assert!(!looks_like_a_mark(b"=>"));
    }
}
