//! The token check, which compares the written file's tokenizer with the checkpoint's; and the model's answers
//! to fixed prompts, for a later comparison on another machine ([`answers`]).
//!
//! Joins the two halves of the crate that otherwise never meet: `tokenizer.json` through the `tokenizers`
//! crate, and the GGUF file through llama.cpp. For byte-level BPE both get the text after `tokenizer.json`'s normalizer,
//! since llama.cpp does not normalize; SentencePiece's, which writes spaces as U+2581, is part of llama.cpp's tokenizer.

pub mod answers;
mod probes;

use crate::arch::tokenizer::TokenizerModel;
use crate::checkpoint::tokenizer::{self, Tokenizer};
use crate::convert::pretokenizer;
use crate::gguf::{Array, Gguf, Value};
use crate::kind::Kind;
use crate::mmap;
use crate::remedy::Remedy;
use crate::runtime::{self, Vocabulary};
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Reasons why the written file failed a check, or could not be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read back.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file is no GGUF file.
    #[error("{}", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        #[source]
        source: crate::gguf::Error,
    },
    /// The file has no vocabulary.
    #[error("{}: no tokens", path.display())]
    NoTokens {
        /// The file.
        path: PathBuf,
    },
    /// A special token beyond the vocabulary.
    #[error(
        "`{key}` is {id} but the vocabulary has {n_tokens} tokens; correct `{config_key}` in config.json"
    )]
    SpecialId {
        /// The key in the GGUF file.
        key: String,
        /// The token id in it.
        id: u64,
        /// Number of tokens in the vocabulary.
        n_tokens: usize,
        /// The key in config.json from which the id comes.
        config_key: String,
    },
    /// Two tokens with the same text, which llama.cpp cannot tell apart.
    #[error("the tokens {first} and {second} have the same text {text:?}, which llama.cpp does not load")]
    SharedText {
        /// One id.
        first: usize,
        /// The other id.
        second: usize,
        /// The text of both.
        text: String,
    },
    /// The two tokenizers disagree.
    #[error(
        "the written tokenizer is not the checkpoint's: at ...{excerpt:?}... tokenizer.json gives the ids \
         {expected:?} and llama.cpp {found:?} (from token {position} of {text:?} on)"
    )]
    Mismatch {
        /// The text, shortened if it is long.
        text: String,
        /// The text around the first difference.
        excerpt: String,
        /// The index of the first token that differs.
        position: usize,
        /// The checkpoint's ids from there on, at most eight.
        expected: Vec<u32>,
        /// llama.cpp's ids from there on, at most eight.
        found: Vec<i32>,
        /// A pre-tokenizer of llama.cpp with the same structure as the checkpoint's, if it is another one.
        suggested: Option<&'static str>,
        /// True if one side has a special token there, such as one whose text is NUL, at which llama.cpp ends it.
        is_special: bool,
        /// True if the file's SentencePiece vocabulary was made without a `tokenizer.model`.
        lacks_model: bool,
    },
    /// The checkpoint's tokenizer failed.
    #[error("the checkpoint's tokenizer failed in the token check")]
    Tokenizer(#[from] tokenizer::Error),
    /// The file is larger than the available memory.
    #[error("the file has {} MiB and {} MiB of memory are available", file_bytes >> 20, available_bytes >> 20)]
    NoMemory {
        /// Size of the file.
        file_bytes: u64,
        /// Available memory.
        available_bytes: u64,
    },
    /// The logits for a prompt are unusable.
    #[error("the model answers the prompt `{prompt}` with {flaw}")]
    NoAnswer {
        /// The prompt's name.
        prompt: &'static str,
        /// The defect of the logits.
        flaw: &'static str,
    },
    /// llama.cpp cannot load the file.
    #[error("the written file cannot be checked")]
    Runtime(#[from] runtime::Error),
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Read { .. } => Kind::NoInput,
            Error::Gguf { source, .. } => source.kind(),
            Error::Tokenizer(e) => e.kind(),
            Error::Runtime(e) => e.kind(),
            Error::NoMemory { .. } => Kind::Unavailable,
            Error::NoTokens { .. }
            | Error::NoAnswer { .. }
            | Error::SpecialId { .. }
            | Error::SharedText { .. }
            | Error::Mismatch { .. } => Kind::Data,
        }
    }

    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::SpecialId { .. } | Error::SharedText { .. } => vec![Remedy::SkipTokenCheck],
            Error::Mismatch { lacks_model: true, .. } => {
                vec![Remedy::TokenizerModel, Remedy::SkipTokenCheck]
            }
            // No pre-tokenizer sees a special token: it is cut out of the text before.
            Error::Mismatch { is_special: true, .. } => vec![Remedy::SkipTokenCheck],
            Error::Mismatch { suggested, .. } => {
                vec![Remedy::PreTokenizer(*suggested), Remedy::SkipTokenCheck]
            }
            Error::Runtime(e) => e.remedies(),
            _ => Vec::new(),
        }
    }

    fn suggest(
        mut self,
        (pre, is_sentencepiece): (&str, bool),
        tokenizer: &Tokenizer,
        is_plain: impl Fn(u32) -> bool,
    ) -> Error {
        if let Error::Mismatch { suggested, is_special, lacks_model, expected, found, .. } = &mut self {
            *lacks_model = is_sentencepiece && tokenizer.pieces().is_none();
            *suggested = pretokenizer::by_structure(tokenizer).filter(|name| *name != pre);
            let sides = expected.first().copied().into_iter();
            let mut sides = sides.chain(found.first().and_then(|&id| u32::try_from(id).ok()));
            *is_special = sides.any(|id| !is_plain(id));
        }
        self
    }
}

/// Result of a passed check: what was compared, and the known differences.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenReport {
    /// Number of texts compared.
    pub texts: usize,
    /// Number of tokens in those texts.
    pub tokens: usize,
    /// Ordinary tokens that llama.cpp treats as control tokens because of their text, such as `</s>` in Qwen3's
    /// vocabulary. If a prompt contains that text, llama.cpp reads one token and `tokenizer.json` several. No
    /// converter can change that, so they are reported and are not an error.
    pub taken_for_control: Vec<String>,
    /// Duration, loading the vocabulary included.
    pub seconds: f64,
}

/// Checks that llama.cpp, with the vocabulary of the GGUF file at `path`, gives the same ids as the
/// checkpoint's `tokenizer`. The texts are a fixed set of hard ones, texts around each added token, a sample of
/// the vocabulary, and the chat template.
///
/// Special tokens in a text are parsed as such on both sides; no BOS or EOS token is added.
///
/// # Errors
/// [`Error::Mismatch`] with the text and both sides' ids; errors of llama.cpp when it loads the file.
pub fn tokens(path: &Path, tokenizer: &Tokenizer) -> Result<TokenReport, Error> {
    let started = Instant::now();
    let (pre, is_sentencepiece) = check_loadable(path)?;
    let vocabulary = Vocabulary::load(path)?;
    let is_plain = |id: u32| {
        let id = i32::try_from(id).unwrap_or(-1);
        !vocabulary.is_control(id) && !vocabulary.is_user_defined(id)
    };
    let mut entries = tokenizer.tokens()?;
    // Tokens beyond the model's embeddings are not in the file.
    let n_vocab = vocabulary.n_vocab();
    entries.retain(|token| (token.id as usize) < n_vocab);
    let probes = probes::all(tokenizer, &entries, is_plain)?;
    let taken = entries.into_iter().filter(|token| token.added.is_none() && !is_plain(token.id));
    let taken_for_control = taken.map(|token| token.text).collect();
    let mut tokens = 0;
    for probe in &probes {
        // A literal U+2581 is a space to llama.cpp and a letter to the other side, in every file of such a vocabulary.
        let text = if is_sentencepiece { &probe.replace('\u{2581}', " ") } else { probe };
        let expected = tokenizer.encode(text)?;
        let normalized = if is_sentencepiece { text.clone() } else { tokenizer.normalize(text)? };
        let found = vocabulary.tokenize(&normalized, true)?;
        compare(tokenizer, &normalized, &expected, &found)
            .map_err(|e| e.suggest((&pre, is_sentencepiece), tokenizer, is_plain))?;
        tokens += expected.len();
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(TokenReport { texts: probes.len(), tokens, taken_for_control, seconds })
}

fn compare(tokenizer: &Tokenizer, text: &str, expected: &[u32], found: &[i32]) -> Result<(), Error> {
    let same = |(a, b): &(&u32, &i32)| i64::from(**a) == i64::from(**b);
    let position = expected.iter().zip(found).take_while(same).count();
    if position == expected.len() && position == found.len() {
        return Ok(());
    }
    // Half a character decodes to a replacement character, so this may be off by a few.
    let before = tokenizer.decode(&expected[..position])?.chars().count();
    Err(Error::Mismatch {
        text: shortened(text),
        excerpt: text.chars().skip(before.saturating_sub(10)).take(40).collect(),
        position,
        expected: expected[position..].iter().copied().take(8).collect(),
        found: found[position..].iter().copied().take(8).collect(),
        suggested: None,
        is_special: false,
        lacks_model: false,
    })
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Refuses files on which llama.cpp would abort the process, or whose defects it would ignore. Returns the
/// file's pre-tokenizer, and true if its vocabulary is SentencePiece's.
fn check_loadable(path: &Path) -> Result<(String, bool), Error> {
    let file = mmap::Map::open(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
    let gguf = Gguf::parse(&file).map_err(|source| Error::Gguf { path: path.to_path_buf(), source })?;
    let tokens = gguf.array("tokenizer.ggml.tokens").and_then(Array::as_strings);
    let tokens = tokens.ok_or_else(|| Error::NoTokens { path: path.to_path_buf() })?;
    check_special_ids(&gguf.metadata, tokens.len())?;
    check_texts(tokens)?;
    let model = gguf.str("tokenizer.ggml.model").and_then(TokenizerModel::named);
    let pre = gguf.str("tokenizer.ggml.pre").unwrap_or_default().to_owned();
    Ok((pre, model == Some(TokenizerModel::SentencePiece)))
}

fn check_special_ids(metadata: &[(String, Value)], n_tokens: usize) -> Result<(), Error> {
    for (key, value) in metadata {
        let name = key.strip_prefix("tokenizer.ggml.").filter(|name| name.ends_with("_token_id"));
        let (Some(name), Some(id)) = (name, value.as_u64()) else { continue };
        if id >= n_tokens as u64 {
            let config_key = match name {
                "padding_token_id" => "pad_token_id",
                "unknown_token_id" => "unk_token_id",
                "seperator_token_id" => "sep_token_id",
                name => name,
            };
            let (key, config_key) = (key.clone(), config_key.to_owned());
            return Err(Error::SpecialId { key, id, n_tokens, config_key });
        }
    }
    Ok(())
}

fn check_texts(tokens: &[String]) -> Result<(), Error> {
    let mut seen = HashMap::with_capacity(tokens.len());
    for (id, token) in tokens.iter().enumerate() {
        // llama.cpp reads them as C strings.
        let text = token.split('\0').next().unwrap_or_default();
        if let Some(first) = seen.insert(text, id).filter(|_| !text.is_empty()) {
            return Err(Error::SharedText { first, second: id, text: text.to_owned() });
        }
    }
    Ok(())
}
