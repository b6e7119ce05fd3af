//! Pre-tokenizers by llama.cpp's names: how they are recognized, and what has to be known of each.

mod table;

use table::PRE_TOKENIZERS;

/// A pre-tokenizer of llama.cpp.
#[derive(Clone, Copy, Debug)]
pub struct PreTokenizer {
    /// llama.cpp's name, the value of `tokenizer.ggml.pre`.
    pub name: &'static str,
    /// SHA-256 of the ids of [`CHECK_TEXT`] for known vocabularies, as llama.cpp's converter computes it.
    pub hashes: &'static [&'static str],
    /// The structure in `tokenizer.json` by which it is recognized, whatever the vocabulary.
    pub structure: Option<(Split<'static>, Merges)>,
    /// True if the `tokenizer.json` of its families normalizes to NFC, which llama.cpp does not do.
    pub normalizes_to_nfc: bool,
    /// True if its tokens are in the byte-level alphabet. For others, a byte-level vocabulary makes llama.cpp assert
    /// at the first space or line feed.
    pub is_byte_level: bool,
    /// True if it writes text that no token covers in tokens like `<0x0A>`, for a vocabulary that is SentencePiece's.
    pub has_byte_tokens: bool,
    /// True if llama.cpp splits text with its own code, not with `std::regex`.
    pub is_split_by_code: bool,
}

/// Splitting of a text before BPE, in front of byte-level encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split<'a> {
    /// By the expression that `ByteLevel` has built in.
    ByteLevel,
    /// Single digits, then by the expression that `ByteLevel` has built in.
    Digits,
    /// By this regular expression, whose matches are isolated.
    Expression(&'a str),
}

/// Merges of a word that is a token as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merges {
    /// Applied like those of any other word.
    Applied,
    /// Ignored (`ignore_merges`).
    Ignored,
}

/// The pre-tokenizer of this name.
pub fn named(name: &str) -> Option<&'static PreTokenizer> {
    PRE_TOKENIZERS.iter().find(|known| known.name == name)
}

/// The pre-tokenizer of the vocabulary whose ids for [`CHECK_TEXT`] have this SHA-256.
pub fn with_hash(hash: &str) -> Option<&'static PreTokenizer> {
    PRE_TOKENIZERS.iter().find(|known| known.hashes.contains(&hash))
}

/// The pre-tokenizer of this structure.
pub fn with_structure(split: Split<'_>, merges: Merges) -> Option<&'static PreTokenizer> {
    PRE_TOKENIZERS.iter().find(|known| known.structure == Some((split, merges)))
}

/// The names of all pre-tokenizers, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    PRE_TOKENIZERS.iter().map(|known| known.name)
}

/// The text whose ids are hashed: llama.cpp's `chktxt`, 431 bytes of UTF-8.
pub const CHECK_TEXT: &str = concat!(
    "\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n🚀 (normal) 😶\u{200d}🌫\u{fe0f} (multiple emojis con",
    "catenated) ✅ 🦙🦙 3 33 333 3333 33333 333333 3333333 33333333 3.3 3..3 3",
    "...3 កាន់តែពិសេសអាច😁 ?我想在apple工作1314151天～ ------======= нещо на Българ",
    "ски ''''''```````\"\"\"\"......!!!!!!?????? I've been 'told he's there, 'R",
    "E you sure? 'M not sure I'll make it, 'D you like some tea? We'Ve a'lL",
);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_and_every_hash_stands_once() {
        assert!(names().is_sorted_by(|a, b| a < b));
        let hashes: Vec<&str> = PRE_TOKENIZERS.iter().flat_map(|known| known.hashes).copied().collect();
        assert!(hashes.iter().all(|hash| hash.len() == 64));
        assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), hashes.len());
    }
}
