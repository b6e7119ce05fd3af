//! `tokenizer.json`, `tokenizer_config.json` and the chat template.
//!
//! `tokenizer.json` is read twice: by the `tokenizers` crate, which encodes as transformers does, and for
//! the facts that the crate does not hand out. Both are dropped with the [`Tokenizer`]; a vocabulary of
//! 150,000 tokens takes about 100 MB.

mod added;
mod file;
mod template;

pub use template::ChatTemplate;

use crate::checkpoint;
use crate::error::Kind;
use serde_json::{Map, Value};
use std::io;
use std::path::Path;

/// What is wrong with a tokenizer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that must be there is not.
    #[error(
        "no such file; with transformers, `AutoTokenizer.from_pretrained(..).save_pretrained(..)` writes it"
    )]
    Missing,
    /// A file that cannot be read.
    #[error("cannot be read")]
    Read(#[source] io::Error),
    /// Not JSON, or not what the file should hold.
    #[error("not the JSON that belongs here")]
    Json(#[source] serde_json::Error),
    /// The `tokenizers` crate does not take it.
    #[error("not a tokenizer that can be used")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A SentencePiece model, which would have to be converted instead of `tokenizer.json`.
    #[error(
        "SentencePiece vocabularies are not supported; supported: byte-level BPE in tokenizer.json (Qwen2, \
         Qwen3, Llama 3, SmolLM2)"
    )]
    SentencePiece,
    /// Not BPE.
    #[error("a {found} vocabulary is not supported; supported: byte-level BPE")]
    Model {
        /// The model's type, such as `Unigram`.
        found: String,
    },
    /// BPE over characters with bytes as the last resort: a SentencePiece model in disguise.
    #[error(
        "BPE with `byte_fallback` (a converted SentencePiece vocabulary) is not supported; supported: \
         byte-level BPE"
    )]
    ByteFallback,
    /// BPE without merges.
    #[error("the BPE vocabulary has no merges")]
    NoMerges,
    /// Two tokens with one id.
    #[error("the tokens {first:?} and {second:?} have the same id {id}")]
    SharedId {
        /// The id.
        id: u32,
        /// One token.
        first: String,
        /// The other token.
        second: String,
    },
    /// A chat template of another kind.
    #[error("`chat_template` is neither text nor a list of {{name, template}}")]
    ChatTemplate,
    /// A text that cannot be encoded.
    #[error("cannot encode {text:?}")]
    Encode {
        /// The text.
        text: String,
        /// The encoder's reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Missing | Error::Read(_) => Kind::NoInput,
            _ => Kind::Data,
        }
    }

    fn in_file(self, path: &Path) -> checkpoint::Error {
        checkpoint::Error::Tokenizer { path: path.to_path_buf(), source: self }
    }
}

/// A checkpoint's tokenizer: what it says about itself, and an encoder that does it.
pub struct Tokenizer {
    encoder: tokenizers::Tokenizer,
    file: file::File,
    config: Option<Map<String, Value>>,
    chat_template: Option<ChatTemplate>,
}

/// One entry of the vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// Its text: in the byte-level alphabet, or as it stands in prompts if it was added.
    pub text: String,
    /// How it was added to the vocabulary, if it was.
    pub added: Option<Added>,
}

/// The flags of an added token that a conversion reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// Whether it is dropped when text is decoded for people.
    pub special: bool,
    /// Whether it is searched for in the normalised text, not in the text as it came.
    pub normalized: bool,
}

impl Tokenizer {
    /// Reads the tokenizer of the checkpoint in `dir`.
    ///
    /// # Errors
    /// [`checkpoint::Error::Tokenizer`] with the file and what is wrong with it: it is missing, malformed or
    /// of a kind that is not supported.
    pub fn open(dir: &Path) -> Result<Tokenizer, checkpoint::Error> {
        let sentencepiece = dir.join("tokenizer.model");
        if sentencepiece.is_file() {
            return Err(Error::SentencePiece.in_file(&sentencepiece));
        }
        let path = dir.join("tokenizer.json");
        let bytes = read(&path)?.ok_or_else(|| Error::Missing.in_file(&path))?;
        let file: file::File = serde_json::from_slice(&bytes).map_err(|e| Error::Json(e).in_file(&path))?;
        check_model(&file.model).map_err(|e| e.in_file(&path))?;
        let mut encoder =
            tokenizers::Tokenizer::from_bytes(&bytes).map_err(|e| Error::Unusable(e).in_file(&path))?;
        drop(bytes);
        encoder.with_truncation(None).map_err(|e| Error::Unusable(e).in_file(&path))?;
        encoder.with_padding(None);

        let config = read_json(&dir.join("tokenizer_config.json"))?;
        let settings = config.clone().unwrap_or_default();
        added::add(&mut encoder, dir, &settings)?;
        encoder.set_encode_special_tokens(settings.get("split_special_tokens") == Some(&Value::Bool(true)));
        // Without a tokenizer_config.json the reference looks for no template either.
        let chat_template = if settings.is_empty() { None } else { template::find(dir, &settings)? };
        Ok(Tokenizer { encoder, file, config, chat_template })
    }

    /// The vocabulary by id. Ids need not be dense.
    ///
    /// # Errors
    /// [`Error::SharedId`].
    pub fn tokens(&self) -> Result<Vec<Token>, Error> {
        let added = self.encoder.get_added_tokens_decoder();
        let mut tokens: Vec<Token> = (self.encoder.get_vocab(true).into_iter())
            .map(|(text, id)| {
                let added = added.get(&id).filter(|added| added.content == text);
                let added = added.map(|t| Added { special: t.special, normalized: t.normalized });
                Token { id, text, added }
            })
            .collect();
        tokens.sort_unstable_by(|a, b| (a.id, &a.text).cmp(&(b.id, &b.text)));
        match tokens.windows(2).find(|pair| pair[0].id == pair[1].id) {
            Some([a, b]) => Err(Error::SharedId { id: a.id, first: a.text.clone(), second: b.text.clone() }),
            _ => Ok(tokens),
        }
    }

    /// The merges in order of rank, each `left right` in the byte-level alphabet.
    pub fn merges(&self) -> &[String] {
        &self.file.model.merges.0
    }

    /// Whether a piece of text that is a token is taken whole, before any merge is tried.
    pub fn ignore_merges(&self) -> bool {
        self.file.model.ignore_merges
    }

    /// The id that `tokenizer.json` gives to the added token `text`.
    pub fn added_id(&self, text: &str) -> Option<u32> {
        self.file.added_tokens.iter().find(|entry| entry.content == text).map(|entry| entry.id)
    }

    /// `tokenizer_config.json`, if there is one.
    pub fn config(&self) -> Option<&Map<String, Value>> {
        self.config.as_ref()
    }

    /// The chat template, if there is one.
    pub fn chat_template(&self) -> Option<&ChatTemplate> {
        self.chat_template.as_ref()
    }

    /// `normalizer` of `tokenizer.json`, or null.
    pub fn normalizer(&self) -> &Value {
        &self.file.normalizer
    }

    /// `pre_tokenizer` of `tokenizer.json`, or null.
    pub fn pre_tokenizer(&self) -> &Value {
        &self.file.pre_tokenizer
    }

    /// `post_processor` of `tokenizer.json`, or null.
    pub fn post_processor(&self) -> &Value {
        &self.file.post_processor
    }

    /// `decoder` of `tokenizer.json`, or null.
    pub fn decoder(&self) -> &Value {
        &self.file.decoder
    }

    /// The ids of `text` alone: no BOS, no EOS, nothing that the post-processor adds.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        self.encode_as(text, false)
    }

    /// The ids of `text` with what the post-processor adds.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn encode_with_specials(&self, text: &str) -> Result<Vec<u32>, Error> {
        self.encode_as(text, true)
    }

    fn encode_as(&self, text: &str, specials: bool) -> Result<Vec<u32>, Error> {
        match self.encoder.encode_fast(text, specials) {
            Ok(encoding) => Ok(encoding.get_ids().to_vec()),
            Err(source) => Err(Error::Encode { text: text.to_owned(), source }),
        }
    }

    /// The text of `ids`, special tokens included.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn decode(&self, ids: &[u32]) -> Result<String, Error> {
        self.encoder.decode(ids, false).map_err(|source| Error::Encode { text: format!("{ids:?}"), source })
    }

    /// `text` as `tokenizer.json`'s normaliser leaves it.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn normalize(&self, text: &str) -> Result<String, Error> {
        use tokenizers::{NormalizedString, Normalizer};
        let Some(normalizer) = self.encoder.get_normalizer() else {
            return Ok(text.to_owned());
        };
        let mut normalized = NormalizedString::from(text);
        match normalizer.normalize(&mut normalized) {
            Ok(()) => Ok(normalized.get().to_owned()),
            Err(source) => Err(Error::Encode { text: text.to_owned(), source }),
        }
    }
}

fn check_model(model: &file::Model) -> Result<(), Error> {
    match model.kind.as_deref() {
        Some("BPE") | None => {}
        Some(other) => return Err(Error::Model { found: other.to_owned() }),
    }
    if model.byte_fallback {
        return Err(Error::ByteFallback);
    }
    if model.merges.0.is_empty() {
        return Err(Error::NoMerges);
    }
    Ok(())
}

/// A file's bytes, or `None` where there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, checkpoint::Error> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::Read(e).in_file(path)),
    }
}

/// A text file, or `None` where there is no such file.
fn read_text(path: &Path) -> Result<Option<String>, checkpoint::Error> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let text = String::from_utf8(bytes)
        .map_err(|e| Error::Read(io::Error::new(io::ErrorKind::InvalidData, e.utf8_error())).in_file(path))?;
    // Python reads text with universal newlines.
    Ok(Some(text.replace("\r\n", "\n").replace('\r', "\n")))
}

/// A JSON object, or `None` where there is no such file.
fn read_json(path: &Path) -> Result<Option<Map<String, Value>>, checkpoint::Error> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| Error::Json(e).in_file(path))
}
