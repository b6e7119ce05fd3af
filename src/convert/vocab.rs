//! Tokenizer -> `tokenizer.*` keys, as llama.cpp's converter writes them.

use super::sentencepiece::Vocabulary;
use super::special::{BadId, KINDS, SpecialTokens};
use super::token_kind::{looks_special, token_type};
use crate::{
    arch::tokenizer::{ExtraKeys, TokenizerModel},
    checkpoint::tokenizer::{self, ChatTemplate, Token, Tokenizer},
    gguf::{Array, Value},
    kind::Kind,
};
use serde_json::Map;

/// Metadata keys with their values, in the order of the file.
pub type KeyList = Vec<(String, Value)>;

/// Reasons why a vocabulary cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More tokens than rows in the embedding matrix.
    #[error(
        "the tokenizer has ids up to {largest_id} (token {token:?}) but the model has embeddings for \
         {vocab_size} tokens; were tokens added without resizing the embeddings?"
    )]
    DoesNotFit {
        /// The tokenizer's largest id.
        largest_id: u32,
        /// The token with that id.
        token: String,
        /// Number of rows in the embedding matrix.
        vocab_size: u32,
    },
    /// A special token's id that is not valid.
    #[error("config.json: `{key}` is {value}, which is no token id; remove it or write the right one")]
    SpecialId {
        /// The key in config.json.
        key: String,
        /// The value.
        value: String,
    },
    /// The tokenizer's error.
    #[error("the vocabulary cannot be read")]
    Tokenizer(#[from] tokenizer::Error),
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        Kind::Data
    }
}

impl From<BadId> for Error {
    fn from(BadId { key, value }: BadId) -> Error {
        Error::SpecialId { key, value }
    }
}

/// The `tokenizer.*` keys of a byte-level BPE `tokenizer`, in file order.
///
/// `config` is config.json; `vocab_size` is the number of rows of the embedding matrix, already checked
/// against the tensor; `pre` is llama.cpp's name of the pre-tokenizer (see [`super::pretokenizer`]);
/// `extra` are the architecture's keys. Ids that the tokenizer does not use become `[PAD{id}]`.
///
/// # Errors
/// [`Error::DoesNotFit`], [`Error::SpecialId`], and the tokenizer's own errors.
pub fn metadata(
    tokenizer: &Tokenizer,
    config: &Map<String, serde_json::Value>,
    vocab_size: u32,
    pre: &str,
    extra: &ExtraKeys,
) -> Result<KeyList, Error> {
    let mut keys = Keys::default();
    if extra.space_prefix {
        let prefix = tokenizer.config().and_then(|settings| settings.get("add_prefix_space"));
        if let Some(prefix) = prefix.and_then(serde_json::Value::as_bool) {
            keys.set("tokenizer.ggml.add_space_prefix", Value::Bool(prefix));
        }
    }
    let (texts, types) = tokens(tokenizer, vocab_size)?;
    keys.set("tokenizer.ggml.model", text(TokenizerModel::ByteLevelBpe.name()));
    keys.set("tokenizer.ggml.pre", text(pre));
    keys.set("tokenizer.ggml.tokens", Value::Array(Array::String(texts)));
    keys.set("tokenizer.ggml.token_type", Value::Array(Array::I32(types)));
    keys.set("tokenizer.ggml.merges", Value::Array(Array::String(tokenizer.merges().to_vec())));
    keys.special(tokenizer, &SpecialTokens::find(tokenizer, config, &KINDS)?);
    if let Some(infill) = extra.infill.filter(|infill| infill.vocab_size == vocab_size) {
        let mut tokens = SpecialTokens::find(tokenizer, config, &["prefix", "suffix", "middle", "eot"])?;
        tokens.id_default("eot", infill.end_of_turn);
        keys.special(tokenizer, &tokens);
    }
    if extra.without_bos == Some(vocab_size) {
        keys.set("tokenizer.ggml.add_bos_token", Value::Bool(false));
    }
    Ok(keys.0)
}

/// The `tokenizer.*` keys of a SentencePiece vocabulary without a prefix space, such as Gemma's, and warnings. The
/// arguments are those of [`metadata`].
///
/// # Errors
/// [`Error::SpecialId`], and the tokenizer's own errors.
pub fn sentencepiece(
    tokenizer: &Tokenizer,
    config: &Map<String, serde_json::Value>,
    vocab_size: u32,
) -> Result<(KeyList, Vec<String>), Error> {
    let Vocabulary { texts, scores, types, beyond } = Vocabulary::new(tokenizer, vocab_size)?;
    let mut keys = Keys::default();
    keys.set("tokenizer.ggml.model", text(TokenizerModel::SentencePiece.name()));
    keys.set("tokenizer.ggml.pre", text("default"));
    keys.set("tokenizer.ggml.tokens", Value::Array(Array::String(texts)));
    keys.set("tokenizer.ggml.scores", Value::Array(Array::F32(scores)));
    keys.set("tokenizer.ggml.token_type", Value::Array(Array::I32(types)));
    let mut special = SpecialTokens::find(tokenizer, config, &KINDS)?;
    special.ids.retain(|(_, id)| *id < vocab_size);
    keys.special(tokenizer, &special);
    keys.set("tokenizer.ggml.add_space_prefix", Value::Bool(false));
    let mut warnings = Vec::new();
    if tokenizer.pieces().is_none() {
        warnings.push(
            "tokenizer.model is missing, so that the SentencePiece vocabulary is made from tokenizer.json: it gives the \
             same tokens with other scores (llama.cpp's converter would write a BPE vocabulary, which is not \
             SentencePiece's)"
                .to_owned(),
        );
    }
    if !beyond.is_empty() {
        warnings.push(format!(
            "the model has embeddings for {vocab_size} tokens, and these are left out: {}",
            crate::display::few(&beyond)
        ));
    }
    Ok((keys.0, warnings))
}

/// Text and type of each id, up to `vocab_size`.
fn tokens(tokenizer: &Tokenizer, vocab_size: u32) -> Result<(Vec<String>, Vec<i32>), Error> {
    let tokens = tokenizer.tokens()?;
    if let Some(last) = tokens.last().filter(|last| last.id >= vocab_size) {
        return Err(Error::DoesNotFit { largest_id: last.id, token: last.text.clone(), vocab_size });
    }
    let mut texts = Vec::with_capacity(vocab_size as usize);
    let mut types = Vec::with_capacity(vocab_size as usize);
    let mut tokens = tokens.into_iter().peekable();
    for id in 0..vocab_size {
        let (text, kind) = match tokens.next_if(|token| token.id == id) {
            None => (format!("[PAD{id}]"), token_type::UNUSED),
            Some(token) => written(tokenizer, token)?,
        };
        texts.push(text);
        types.push(kind);
    }
    Ok((texts, types))
}

/// Text and type of one token.
fn written(tokenizer: &Tokenizer, token: Token) -> Result<(String, i32), Error> {
    let Some(added) = token.added else {
        return Ok((token.text, token_type::NORMAL));
    };
    // llama.cpp searches for these texts literally, so they are written as the tokenizer would decode them.
    let text = match added.normalized {
        true => token.text,
        false => spoken(tokenizer, &token.text)?,
    };
    if added.special || looks_special(&text) {
        return Ok((text, token_type::CONTROL));
    }
    Ok((text.replace('\u{2581}', " "), token_type::USER_DEFINED))
}

/// `text` encoded and decoded again, as transformers does it.
fn spoken(tokenizer: &Tokenizer, text: &str) -> Result<String, Error> {
    let decoded = tokenizer.decode(&tokenizer.encode(text)?)?;
    let clean = tokenizer.config().and_then(|settings| settings.get("clean_up_tokenization_spaces"));
    if clean != Some(&serde_json::Value::Bool(true)) {
        return Ok(decoded);
    }
    // transformers' `clean_up_tokenization`, in its order.
    const UNSPACED: [(&str, &str); 10] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    Ok(UNSPACED.iter().fold(decoded, |text, (spaced, plain)| text.replace(spaced, plain)))
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// Keys in file order. A key that is set again keeps its place; empty values are not written.
#[derive(Default)]
struct Keys(KeyList);

impl Keys {
    fn set(&mut self, key: &str, value: Value) {
        let empty = match &value {
            Value::String(text) => text.is_empty(),
            Value::Array(array) => array.is_empty(),
            _ => false,
        };
        if empty {
            return;
        }
        match self.0.iter_mut().find(|(k, _)| k == key) {
            Some(entry) => entry.1 = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    fn special(&mut self, tokenizer: &Tokenizer, special: &SpecialTokens) {
        for &(kind, id) in &special.ids {
            let name = match kind {
                "unk" => "unknown",
                // gguf-py's spelling, which is now the format's.
                "sep" => "seperator",
                "pad" => "padding",
                "bos" | "eos" | "mask" | "eot" | "eom" => kind,
                _ => continue,
            };
            self.set(&format!("tokenizer.ggml.{name}_token_id"), Value::U32(id));
        }
        for &(kind, add) in &special.add {
            if ["bos", "eos", "sep"].contains(&kind) {
                self.set(&format!("tokenizer.ggml.add_{kind}_token"), Value::Bool(add));
            }
        }
        self.chat_template(tokenizer.chat_template());
        let mut normalizer = Normalizer::default();
        normalizer.read(tokenizer.normalizer());
        for (name, flag) in [("lowercase", normalizer.lowercase), ("strip_accents", normalizer.strip_accents)]
        {
            if let Some(flag) = flag {
                self.set(&format!("tokenizer.ggml.normalizer.{name}"), Value::Bool(flag));
            }
        }
    }

    fn chat_template(&mut self, template: Option<&ChatTemplate>) {
        match template {
            None => {}
            Some(ChatTemplate::One(one)) => self.set("tokenizer.chat_template", text(one)),
            Some(ChatTemplate::Named(list)) => {
                let mut default = None;
                let mut names = Vec::new();
                for (name, template) in list {
                    let name: String =
                        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
                    match name.as_str() {
                        "" => {}
                        "default" => default = Some(template),
                        _ => {
                            self.set(&format!("tokenizer.chat_template.{name}"), text(template));
                            names.push(name);
                        }
                    }
                }
                // Sorted here: gguf-py writes the names in the order of a Python set, which changes from run to
                // run.
                names.sort();
                names.dedup();
                self.set("tokenizer.chat_templates", Value::Array(Array::String(names)));
                if let Some(default) = default {
                    self.set("tokenizer.chat_template", text(default));
                }
            }
        }
    }
}

/// Normalizer settings that llama.cpp has keys for.
#[derive(Default)]
struct Normalizer {
    lowercase: Option<bool>,
    strip_accents: Option<bool>,
}

impl Normalizer {
    fn read(&mut self, normalizer: &serde_json::Value) {
        match normalizer.get("type").and_then(serde_json::Value::as_str) {
            Some("Lowercase") => self.lowercase = Some(true),
            Some("StripAccents") => self.strip_accents = Some(true),
            Some("BertNormalizer") => {
                // A null cancels the setting of an earlier step.
                for (key, slot) in
                    [("lowercase", &mut self.lowercase), ("strip_accents", &mut self.strip_accents)]
                {
                    if let Some(flag) = normalizer.get(key) {
                        *slot = flag.as_bool();
                    }
                }
            }
            Some("Sequence") => {
                let inner = normalizer.get("normalizers").and_then(serde_json::Value::as_array);
                inner.into_iter().flatten().for_each(|normalizer| self.read(normalizer));
            }
            _ => {}
        }
    }
}
