//! A GGUF file's vocabulary as llama.cpp reads it: text to token ids, ids to bytes.

use super::{Error, Metadata, SpecialTexts, Trust, model};
use crate::{arch::pretokenizer, stack};
use llama_cpp_2::{
    model::LlamaModel,
    token::LlamaToken,
    token_type::{LlamaTokenAttr, LlamaTokenAttrs},
};
use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

/// The tokenizer of a GGUF file, run by llama.cpp.
///
/// Token ids are `i32`, as in llama.cpp; every id below [`n_vocab`](Self::n_vocab) is valid.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    // A vocabulary lives in its model, which for `load` has no weights.
    model: Arc<LlamaModel>,
    metadata: Arc<Metadata>,
    special_texts: Arc<OnceLock<SpecialTexts>>,
}

impl Vocabulary {
    /// Loads only the vocabulary of the GGUF file at `path`.
    ///
    /// # Errors
    /// Errors of [`super::backend`]; a file that is missing, not GGUF, or refused by llama.cpp.
    pub fn load(path: &Path) -> Result<Vocabulary, Error> {
        Vocabulary::load_with(path, Trust::Checked)
    }

    /// Loads the vocabulary like [`Vocabulary::load`], with `trust` in the file.
    ///
    /// # Errors
    /// As [`Vocabulary::load`].
    pub fn load_with(path: &Path, trust: Trust) -> Result<Vocabulary, Error> {
        let (model, metadata) = model::load_vocabulary(path, trust)?;
        Ok(Vocabulary::from_model(Arc::new(model), metadata))
    }

    /// The vocabulary of a loaded model.
    pub(super) fn from_model(model: Arc<LlamaModel>, metadata: Metadata) -> Vocabulary {
        Vocabulary { model, metadata: Arc::new(metadata), special_texts: Arc::default() }
    }

    /// The file's metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The texts of special tokens; found on first use.
    pub fn special_texts(&self) -> &SpecialTexts {
        self.special_texts.get_or_init(|| SpecialTexts::in_vocabulary(self))
    }

    /// The token ids of `text`, without a BOS or EOS token.
    ///
    /// With `parse_special`, the text of a control token (`<|im_end|>`) becomes that token; otherwise it is
    /// tokenized as plain text. User-defined tokens (`<tool_call>` of Qwen3) are recognized either way.
    ///
    /// # Errors
    /// [`Error::TextTooLong`] from 2 GiB on, [`Error::Stack`] if there is no memory for a long text,
    /// [`Error::Untokenized`] for a text that a tokenizer without bytes has no tokens for.
    pub fn tokenize(&self, text: &str, parse_special: bool) -> Result<Vec<i32>, Error> {
        if i32::try_from(text.len()).is_err() {
            return Err(Error::TextTooLong { bytes: text.len() });
        }
        let tokenize = || self.model.vocab().tokenize(text.as_bytes(), false, parse_special);
        let tokens = if text.len() <= SHORT || self.is_cut_without_recursion() {
            tokenize()
        } else {
            on_a_deep_stack(text.len(), tokenize)?
        };
        // Some tokenizers that are loaded on trust give the id -1 for what they do not know.
        let n_vocab = self.n_vocab();
        let is_token = |token: &LlamaToken| usize::try_from(token.0).is_ok_and(|token| token < n_vocab);
        if !tokens.iter().all(is_token) {
            return Err(Error::Untokenized { bytes: text.len() });
        }
        Ok(tokens.into_iter().map(|token| token.0).collect())
    }

    /// True if llama.cpp splits text for this pre-tokenizer with its own code. Otherwise it uses `std::regex`,
    /// which recurses for each character of a match: some ten thousand letters in a row overflow a thread's
    /// stack.
    fn is_cut_without_recursion(&self) -> bool {
        let pre = self.metadata.pre_tokenizer.as_deref();
        pre.and_then(pretokenizer::named).is_some_and(|pre| pre.is_split_by_code)
    }

    /// The bytes of `token`; for a control token, its text.
    ///
    /// A token's bytes need not be valid UTF-8 alone. Ids outside the vocabulary and unused tokens have none.
    pub fn piece(&self, token: i32) -> Vec<u8> {
        if !self.contains(token) {
            return Vec::new();
        }
        self.model.vocab().token_to_piece(LlamaToken(token), true, None)
    }

    /// The concatenated bytes of `tokens`; for control tokens, their text.
    pub fn bytes(&self, tokens: &[i32]) -> Vec<u8> {
        tokens.iter().flat_map(|&token| self.piece(token)).collect()
    }

    /// Attributes of `token`: normal, control, user-defined, byte, unused ...
    ///
    /// `None` for an id outside the vocabulary.
    pub fn attrs(&self, token: i32) -> Option<LlamaTokenAttrs> {
        self.contains(token).then(|| self.model.vocab().attr(LlamaToken(token)))
    }

    /// True for control tokens and for the unknown token.
    pub fn is_control(&self, token: i32) -> bool {
        self.attrs(token).is_some_and(|attrs| {
            attrs.contains(LlamaTokenAttr::Control) || attrs.contains(LlamaTokenAttr::Unknown)
        })
    }

    /// True for user-defined tokens (`<tool_call>`, runs of spaces).
    pub fn is_user_defined(&self, token: i32) -> bool {
        self.attrs(token).is_some_and(|attrs| attrs.contains(LlamaTokenAttr::UserDefined))
    }

    /// True if `token` ends a generation: EOS, end of turn, end of message.
    pub fn is_eog(&self, token: i32) -> bool {
        self.contains(token) && self.model.vocab().is_eog(LlamaToken(token))
    }

    /// Number of tokens, padding rows of the embedding included.
    pub fn n_vocab(&self) -> usize {
        usize::try_from(self.model.n_vocab()).unwrap_or(0)
    }

    /// The EOS token, if the file has one.
    pub fn eos(&self) -> Option<i32> {
        Some(self.model.vocab().eos().0).filter(|&token| self.contains(token))
    }

    /// The end-of-turn token, if there is one.
    pub fn eot(&self) -> Option<i32> {
        Some(self.model.vocab().eot().0).filter(|&token| self.contains(token))
    }

    /// The BOS token, if the file has one.
    pub fn bos(&self) -> Option<i32> {
        Some(self.model.vocab().bos().0).filter(|&token| self.contains(token))
    }

    /// True if the model expects its BOS token before every text.
    pub fn adds_bos(&self) -> bool {
        self.model.vocab().should_add_bos()
    }

    fn contains(&self, token: i32) -> bool {
        // For other ids llama.cpp throws a C++ exception that nobody catches.
        usize::try_from(token).is_ok_and(|token| token < self.n_vocab())
    }
}

/// Most bytes of a text that needs no larger stack.
const SHORT: usize = 1024;
/// Stack bytes per byte of text for `std::regex`: twice the measured value (libstdc++ 12, x86-64).
const STACK_PER_BYTE: usize = 1024;

/// Runs `work` on a thread with a stack for a text of `bytes`.
fn on_a_deep_stack<T: Send>(bytes: usize, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    let stack_bytes = bytes.saturating_mul(STACK_PER_BYTE).saturating_add(1 << 20);
    stack::run_on(stack_bytes, work).map_err(|source| Error::Stack {
        bytes,
        stack_mib: stack_bytes >> 20,
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn refusal(bytes: &[u8]) -> String {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let error = Vocabulary::load(file.path()).unwrap_err();
        assert_eq!(error.kind(), crate::kind::Kind::Data);
        std::error::Error::source(&error).unwrap().to_string()
    }

    #[test]
    fn what_is_no_gguf_never_reaches_llama_cpp() {
        for bytes in [&b""[..], b"{\"a\": 1}", b"GGUF", b"GGUF\x09\0\0\0"] {
            assert!(!refusal(bytes).is_empty());
        }
    }

    #[test]
    fn a_missing_file_and_a_folder_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Vocabulary::load(&folder.path().join("m.gguf")).unwrap_err();
        assert_eq!(missing.kind(), crate::kind::Kind::NoInput);
        let found = Vocabulary::load(folder.path()).unwrap_err();
        assert!(matches!(found, Error::Folder { .. }));
    }
}
