//! `tokenizer.json`, `tokenizer.model`, `tokenizer_config.json` and the chat template.
//!
//! `tokenizer.json` is read twice: by the `tokenizers` crate, which encodes as transformers does, and for the
//! facts that the crate does not expose. Both are dropped with the [`Tokenizer`]; a vocabulary of 150,000
//! tokens takes about 100 MB.

mod added;
mod error;
mod file;
mod pieces;
mod read;
mod steps;
mod template;

pub use error::Error;
pub use pieces::{Piece, PieceKind};
pub use template::ChatTemplate;

use crate::{arch::tokenizer::TokenizerModel, checkpoint};
use read::{read, read_json, read_pieces};
use serde_json::{Map, Value};
use std::path::Path;

/// A checkpoint's tokenizer: an encoder, and the files' settings.
pub struct Tokenizer {
    encoder: tokenizers::Tokenizer,
    file: file::File,
    pieces: Option<Vec<Piece>>,
    config: Option<Map<String, Value>>,
    added_file: Map<String, Value>,
    chat_template: Option<ChatTemplate>,
    warning: Option<String>,
}

/// One entry of the vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// Its text: in the byte-level alphabet, or plain if it is an added token.
    pub text: String,
    /// Its flags, if it is an added token.
    pub added: Option<Added>,
}

/// Flags of an added token, as far as a conversion needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// True if it is skipped when text is decoded for display.
    pub special: bool,
    /// True if it is matched in the normalized text, not in the original.
    pub normalized: bool,
}

impl Tokenizer {
    /// Reads the tokenizer of the checkpoint in `dir`.
    ///
    /// # Errors
    /// [`checkpoint::Error::Tokenizer`] with the file and the reason: it is missing, malformed or of an
    /// unsupported kind.
    pub fn open(dir: &Path) -> Result<Tokenizer, checkpoint::Error> {
        let pieces = read_pieces(dir)?;
        let path = dir.join("tokenizer.json");
        let bytes = match (read(&path)?, &pieces) {
            (Some(bytes), _) => bytes,
            (None, Some(pieces)) => pieces::tokenizer_json(pieces).to_string().into_bytes(),
            (None, None) => return Err(Error::Missing.in_file(&path)),
        };
        let file: file::File = serde_json::from_slice(&bytes).map_err(|e| Error::Json(e).in_file(&path))?;
        check_model(&file.model).map_err(|e| e.in_file(&path))?;
        steps::check(&file).map_err(|e| e.in_file(&path))?;
        let read = || {
            let mut encoder = tokenizers::Tokenizer::from_bytes(&bytes).map_err(Error::Unusable)?;
            encoder.with_truncation(None).map_err(Error::Unusable)?;
            encoder.with_padding(None);
            // A post-processor that names an unknown token panics only when it runs.
            let _ = encoder.encode_fast("a", true);
            Ok(encoder)
        };
        let mut encoder = steps::caught(read).map_err(|e| e.in_file(&path))?;
        // The reference takes the pieces before the other file, so they are what is encoded with, too.
        if let Some(pieces) = &pieces {
            let bytes = pieces::tokenizer_json(pieces).to_string().into_bytes();
            let from_pieces = || tokenizers::Tokenizer::from_bytes(&bytes).map_err(Error::Unusable);
            encoder = steps::caught(from_pieces).map_err(|e| e.in_file(&path))?;
        }
        drop(bytes);

        let config = read_json(&dir.join("tokenizer_config.json"))?;
        let settings = config.clone().unwrap_or_default();
        let added = steps::caught(|| Ok(added::add(&mut encoder, dir, &settings)));
        added.map_err(|e| e.in_file(&path))??;
        if let Some(pieces) = &pieces {
            let added = encoder.get_added_tokens_decoder();
            let is_added = |text: &str| added.values().any(|token| token.content == text);
            let cut_out = pieces::cut_out(pieces, is_added);
            steps::caught(|| Ok(encoder.add_tokens(&cut_out))).map_err(|e| e.in_file(&path))?;
        }
        encoder.set_encode_special_tokens(settings.get("split_special_tokens") == Some(&Value::Bool(true)));
        let template::Found { template: chat_template, warning } = template::find(dir, &settings)?;
        let added_file = read_json(&dir.join("added_tokens.json"))?.unwrap_or_default();
        Ok(Tokenizer { encoder, file, pieces, config, added_file, chat_template, warning })
    }

    /// The vocabulary, sorted by id. Ids need not be contiguous.
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

    /// The kind of tokenizer in llama.cpp that tokenizes in the same way.
    pub fn model(&self) -> TokenizerModel {
        match self.pieces.is_some() || self.file.model.byte_fallback {
            true => TokenizerModel::SentencePiece,
            false => TokenizerModel::ByteLevelBpe,
        }
    }

    /// The pieces of `tokenizer.model` by id, if there is one.
    pub fn pieces(&self) -> Option<&[Piece]> {
        self.pieces.as_deref()
    }

    /// The error of an architecture whose checkpoints have no SentencePiece vocabularies.
    pub fn sentencepiece_refused(&self) -> Error {
        if self.pieces.is_some() { Error::SentencePiece } else { Error::ByteFallback }
    }

    /// The token for text that no other covers, in `tokenizer.json`.
    pub fn unknown_token(&self) -> Option<&str> {
        self.file.model.unk_token.as_deref()
    }

    /// `added_tokens.json`: texts and ids.
    pub fn added_file(&self) -> &Map<String, Value> {
        &self.added_file
    }

    /// The merges by rank, each `left right` in the byte-level alphabet.
    pub fn merges(&self) -> &[String] {
        &self.file.model.merges.0
    }

    /// True if a pre-tokenized word that is in the vocabulary becomes that token without any merges.
    pub fn ignore_merges(&self) -> bool {
        self.file.model.ignore_merges
    }

    /// The id of the added token `text` in `tokenizer.json`.
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

    /// A warning about files that contradict each other, if there are such.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
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

    /// The ids of `text` alone, without BOS, EOS or other additions of the post-processor.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        self.encode_as(text, false)
    }

    /// The ids of `text` with the post-processor's additions.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn encode_with_specials(&self, text: &str) -> Result<Vec<u32>, Error> {
        self.encode_as(text, true)
    }

    fn encode_as(&self, text: &str, specials: bool) -> Result<Vec<u32>, Error> {
        steps::caught(|| match self.encoder.encode_fast(text, specials) {
            Ok(encoding) => Ok(encoding.get_ids().to_vec()),
            Err(source) => Err(Error::Encode { text: text.to_owned(), source }),
        })
    }

    /// The text of `ids`, special tokens included.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn decode(&self, ids: &[u32]) -> Result<String, Error> {
        let failed = |source| Error::Encode { text: format!("{ids:?}"), source };
        steps::caught(|| self.encoder.decode(ids, false).map_err(failed))
    }

    /// `text` after `tokenizer.json`'s normalizer.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn normalize(&self, text: &str) -> Result<String, Error> {
        use tokenizers::{NormalizedString, Normalizer};
        let Some(normalizer) = self.encoder.get_normalizer() else {
            return Ok(text.to_owned());
        };
        let mut normalized = NormalizedString::from(text);
        steps::caught(|| match normalizer.normalize(&mut normalized) {
            Ok(()) => Ok(normalized.get().to_owned()),
            Err(source) => Err(Error::Encode { text: text.to_owned(), source }),
        })
    }
}

fn check_model(model: &file::Model) -> Result<(), Error> {
    match model.kind.as_deref() {
        Some("BPE") | None => {}
        Some(other) => return Err(Error::Model { found: other.to_owned() }),
    }
    if model.merges.0.is_empty() {
        return Err(Error::NoMerges);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;
    use serde_json::json;

    /// A byte-level BPE of four tokens and an added one.
    pub(super) fn tokenizer_json() -> Value {
        json!({
            "version": "1.0",
            "added_tokens": [{"id": 4, "content": "<end>", "single_word": false, "lstrip": false,
                              "rstrip": false, "normalized": false, "special": true}],
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "post_processor": null,
            "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "\u{120}": 2, "ab": 3}, "merges": [["a", "b"]]},
        })
    }

    pub(super) fn checkpoint(files: &[(&str, Value)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, json) in files {
            std::fs::write(dir.path().join(name), json.to_string()).unwrap();
        }
        dir
    }

    fn open_changed(change: impl FnOnce(&mut Value)) -> Result<Tokenizer, checkpoint::Error> {
        let mut json = tokenizer_json();
        change(&mut json);
        Tokenizer::open(checkpoint(&[("tokenizer.json", json)]).path())
    }

    fn refusal(change: impl FnOnce(&mut Value)) -> String {
        let Err(checkpoint::Error::Tokenizer { path, source }) = open_changed(change) else { panic!() };
        assert!(path.ends_with("tokenizer.json"));
        assert_eq!(source.kind(), Kind::Data);
        source.to_string()
    }

    #[test]
    fn both_forms_of_merges_are_read_and_a_space_in_a_pair_is_spelled_out() {
        let merges = |merges: Value| {
            let tokenizer = open_changed(|json| {
                json["model"]["vocab"] = json!({"a": 0, "b": 1, " ": 2, "ab": 3, " a": 5});
                json["model"]["merges"] = merges;
            });
            tokenizer.unwrap().merges().to_vec()
        };
        assert_eq!(merges(json!(["a b"])), ["a b"]);
        assert_eq!(merges(json!([["a", "b"], [" ", "a"]])), ["a b", "\u{120} a"]);
    }

    #[test]
    fn what_is_not_byte_level_bpe_is_refused_by_name() {
        assert_eq!(
            refusal(|json| json["model"] = json!({"type": "Unigram", "vocab": [["a", 0.0]]})),
            "a Unigram vocabulary is not supported; supported: byte-level BPE"
        );
        let converted = open_changed(|json| json["model"]["byte_fallback"] = json!(true)).unwrap();
        assert_eq!(converted.model(), TokenizerModel::SentencePiece);
        assert_eq!(refusal(|json| json["model"]["merges"] = json!([])), "the BPE vocabulary has no merges");
    }

    #[test]
    fn broken_files_are_refused() {
        assert_eq!(
            refusal(|json| json["model"]["merges"] = json!([["a"]])),
            "not the JSON that belongs here"
        );
        assert_eq!(
            refusal(|json| json["model"]["merges"] = json!([["a", "b", "c"]])),
            "not the JSON that belongs here"
        );
        assert_eq!(refusal(|json| *json = json!([])), "not the JSON that belongs here");
        assert_eq!(
            refusal(|json| json["model"]["merges"] = json!([["a", "x"]])),
            "not a tokenizer that can be used"
        );
    }

    #[test]
    fn a_broken_sentencepiece_model_is_refused_even_beside_tokenizer_json() {
        let dir = checkpoint(&[("tokenizer.json", tokenizer_json()), ("tokenizer.model", json!(0))]);
        let Err(checkpoint::Error::Tokenizer { path, source }) = Tokenizer::open(dir.path()) else {
            panic!()
        };
        assert!(path.ends_with("tokenizer.model"));
        assert_eq!(source.to_string(), "not a SentencePiece model");
    }

    #[test]
    fn a_folder_without_a_tokenizer_says_how_to_write_one() {
        let Err(checkpoint::Error::Tokenizer { source, .. }) = Tokenizer::open(checkpoint(&[]).path()) else {
            panic!()
        };
        assert_eq!(source.kind(), Kind::NoInput);
        assert!(source.to_string().starts_with("no such file; with transformers,"));
    }

    #[test]
    fn two_tokens_with_one_id_are_refused() {
        let tokenizer = open_changed(|json| json["model"]["vocab"]["b"] = json!(0)).unwrap();
        let error = tokenizer.tokens().unwrap_err();
        assert_eq!(error.to_string(), "the tokens \"a\" and \"b\" have the same id 0");
    }

    #[test]
    fn text_is_encoded_without_and_with_what_the_post_processor_adds() {
        let tokenizer = open_changed(|json| {
            json["post_processor"] = json!({
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<end>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                "special_tokens": {"<end>": {"id": "<end>", "ids": [4], "tokens": ["<end>"]}},
            });
            json["truncation"] =
                json!({"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0});
        });
        let tokenizer = tokenizer.unwrap();
        assert_eq!(tokenizer.encode("ab<end> a").unwrap(), [3, 4, 2, 0]);
        assert_eq!(tokenizer.encode_with_specials("ab").unwrap(), [4, 3]);
        assert_eq!(tokenizer.decode(&[3, 4, 2, 0]).unwrap(), "ab<end> a");
        assert_eq!(tokenizer.normalize("e\u{301}").unwrap(), "\u{e9}");
    }
}
