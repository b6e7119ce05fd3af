//! Texts that the tokenizer reads as special tokens.

use super::Vocabulary;
use llama_cpp_2::token_type::LlamaTokenAttr;
use std::{cmp::Reverse, collections::BTreeMap};

/// The texts of control tokens and user-defined tokens.
#[derive(Debug, Default)]
pub struct SpecialTexts {
    /// By the first byte, longest first: if one is a prefix of another, the longer one is the token.
    by_first_byte: BTreeMap<u8, Vec<Special>>,
}

#[derive(Debug)]
struct Special {
    bytes: Vec<u8>,
    is_control: bool,
    is_tag: bool,
}

impl SpecialTexts {
    pub(super) fn in_vocabulary(vocabulary: &Vocabulary) -> SpecialTexts {
        let mut by_first_byte: BTreeMap<u8, Vec<Special>> = BTreeMap::new();
        for id in 0..i32::try_from(vocabulary.n_vocab()).unwrap_or(i32::MAX) {
            let Some(attrs) = vocabulary.attrs(id) else { continue };
            let is_control =
                attrs.contains(LlamaTokenAttr::Control) || attrs.contains(LlamaTokenAttr::Unknown);
            if !is_control && !attrs.contains(LlamaTokenAttr::UserDefined) {
                continue;
            }
            let bytes = vocabulary.piece(id);
            let Some(&first) = bytes.first() else { continue };
            let is_tag = matches!(bytes.as_slice(), [b'<', .., b'>'] | [b'[', .., b']']);
            by_first_byte.entry(first).or_default().push(Special { bytes, is_control, is_tag });
        }
        by_first_byte.values_mut().for_each(|list| list.sort_by_key(|special| Reverse(special.bytes.len())));
        SpecialTexts { by_first_byte }
    }

    /// Bytes of the longest special token that `text` begins with.
    pub fn length_at(&self, text: &str) -> Option<usize> {
        let special = self.specials_at(text).next()?;
        text.is_char_boundary(special.bytes.len()).then_some(special.bytes.len())
    }

    /// True if `text` begins with a control token or, unless `control_only`, with a user-defined tag such as `<tool_call>`.
    /// Other user-defined tokens, such as runs of spaces, are ordinary text.
    pub fn begins(&self, text: &str, control_only: bool) -> bool {
        self.specials_at(text).any(|special| special.is_control || !control_only && special.is_tag)
    }

    /// True if `text` contains a control token or a user-defined tag.
    pub fn any_in(&self, text: &str) -> bool {
        text.char_indices().any(|(at, _)| self.begins(&text[at..], false))
    }

    fn specials_at<'s>(&'s self, text: &'s str) -> impl Iterator<Item = &'s Special> {
        let list = text.as_bytes().first().and_then(|first| self.by_first_byte.get(first));
        let bytes = text.as_bytes();
        list.into_iter().flatten().filter(move |special| bytes.starts_with(&special.bytes))
    }
}
