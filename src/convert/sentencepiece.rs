//! SentencePiece vocabularies: tokens, scores and types, as llama.cpp's converter writes them for `tokenizer.model`.

use super::token_kind::{looks_special, token_type};
use crate::checkpoint::tokenizer::{self, Piece, PieceKind, Tokenizer};
use serde_json::Value;
use std::collections::HashMap;

/// Score of a place without a token.
const UNUSED_SCORE: f32 = -10_000.0;
/// Score of an added token.
const ADDED_SCORE: f32 = -1_000.0;

/// The tokens of a vocabulary, by id.
pub(super) struct Vocabulary {
    pub(super) texts: Vec<String>,
    pub(super) scores: Vec<f32>,
    pub(super) types: Vec<i32>,
    /// Tokens beyond the vocabulary, which are left out.
    pub(super) beyond: Vec<String>,
}

impl Vocabulary {
    /// The `vocab_size` tokens of `tokenizer`.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub(super) fn new(tokenizer: &Tokenizer, vocab_size: u32) -> Result<Vocabulary, tokenizer::Error> {
        let n = vocab_size as usize;
        let mut vocabulary = Vocabulary {
            texts: (0..n).map(|id| format!("[PAD{id}]")).collect(),
            scores: vec![UNUSED_SCORE; n],
            types: vec![token_type::UNUSED; n],
            beyond: Vec::new(),
        };
        let mut merged = None;
        match tokenizer.pieces() {
            Some(pieces) => (0u32..).zip(pieces).for_each(|(id, piece)| vocabulary.set_piece(id, piece)),
            None => {
                let ranks = ranks(tokenizer);
                ranked(tokenizer, &ranks)?.iter().for_each(|(id, piece)| vocabulary.set_piece(*id, piece));
                merged = Some(ranks);
            }
        }
        for (text, id) in tokenizer.added_file() {
            if let Some(id) = id.as_u64().and_then(|id| u32::try_from(id).ok()) {
                vocabulary.set(id, text, ADDED_SCORE, token_type::USER_DEFINED);
            }
        }
        vocabulary.add_configured(tokenizer, merged.as_ref())?;
        Ok(vocabulary)
    }

    fn set_piece(&mut self, id: u32, piece: &Piece) {
        let kind = match piece.kind {
            // The reference writes user-defined pieces like this unless they are added tokens, too.
            PieceKind::Normal | PieceKind::UserDefined => token_type::NORMAL,
            PieceKind::Unknown => token_type::UNKNOWN,
            PieceKind::Control => token_type::CONTROL,
            PieceKind::Unused => token_type::UNUSED,
            PieceKind::Byte => token_type::BYTE,
        };
        self.set(id, &piece.text, piece.score, kind);
    }

    /// Sets the added tokens of `tokenizer_config.json`, or of `tokenizer.json` if that has none.
    /// `merged`: the texts that merges make, where the tokens are those of a `tokenizer.json`.
    fn add_configured(
        &mut self,
        tokenizer: &Tokenizer,
        merged: Option<&HashMap<String, usize>>,
    ) -> Result<(), tokenizer::Error> {
        // A token that is looked for before spaces become U+2581, and that no merges make, is found in no text with spaces.
        let is_reachable = |text: &str, is_normalized: bool| {
            is_normalized || merged.is_none_or(|merged| merged.contains_key(text))
        };
        let decoder = tokenizer.config().and_then(|config| config.get("added_tokens_decoder"));
        if let Some(Value::Object(decoder)) = decoder {
            for (id, token) in decoder {
                let text = token.get("content").and_then(Value::as_str);
                let (Ok(id), Some(text)) = (id.parse(), text) else { continue };
                let flag = |name: &str| token.get(name).and_then(Value::as_bool);
                let is_special = flag("special").unwrap_or(false);
                let is_normalized = flag("normalized").unwrap_or(!is_special);
                self.add(id, text, is_special, is_reachable(text, is_normalized));
            }
            return Ok(());
        }
        for token in tokenizer.tokens()? {
            if let Some(added) = token.added {
                let is_reachable = is_reachable(&token.text, added.normalized);
                self.add(token.id, &token.text, added.special, is_reachable);
            }
        }
        Ok(())
    }

    fn add(&mut self, id: u32, text: &str, is_special: bool, is_reachable: bool) {
        let spaced = text.replace('\u{2581}', " ");
        if is_special || looks_special(text) {
            self.set(id, text, ADDED_SCORE, token_type::CONTROL);
        } else if spaced != text && !is_reachable {
            // llama.cpp would find it in a text with spaces, whatever its type but this one.
            self.set(id, &spaced, UNUSED_SCORE, token_type::UNUSED);
        } else {
            self.set(id, &spaced, ADDED_SCORE, token_type::USER_DEFINED);
        }
    }

    fn set(&mut self, id: u32, text: &str, score: f32, kind: i32) {
        let at = id as usize;
        if at >= self.texts.len() {
            return self.beyond.push(text.to_owned());
        }
        self.texts[at] = text.to_owned();
        (self.scores[at], self.types[at]) = (score, kind);
    }
}

/// The rank of the first merge that makes each text.
fn ranks(tokenizer: &Tokenizer) -> HashMap<String, usize> {
    let mut ranks: HashMap<String, usize> = HashMap::new();
    for (rank, merge) in tokenizer.merges().iter().enumerate() {
        if let Some((left, right)) = merge.split_once(' ') {
            ranks.entry(format!("{left}{right}")).or_insert(rank);
        }
    }
    ranks
}

/// The pieces of a `tokenizer.json`, whose merges say in which order llama.cpp has to merge: the piece of the first
/// merge gets the highest score.
fn ranked(
    tokenizer: &Tokenizer,
    ranks: &HashMap<String, usize>,
) -> Result<Vec<(u32, Piece)>, tokenizer::Error> {
    let unmerged = tokenizer.merges().len();
    let unknown = tokenizer.unknown_token();
    let piece = |token: tokenizer::Token| {
        let kind = match token.text.as_str() {
            text if Some(text) == unknown => PieceKind::Unknown,
            text if is_byte(text) => PieceKind::Byte,
            _ => PieceKind::Normal,
        };
        let score = match (kind, ranks.get(&token.text)) {
            (PieceKind::Normal, Some(rank)) => -(*rank as f32),
            (PieceKind::Normal, None) => -((unmerged + token.id as usize) as f32),
            _ => 0.0,
        };
        (token.id, Piece { text: token.text, score, kind })
    };
    Ok(tokenizer.tokens()?.into_iter().map(piece).collect())
}

/// True for the text of a token of a single byte, such as `<0x0A>`.
fn is_byte(text: &str) -> bool {
    let hex = text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    hex.is_some_and(|hex| hex.len() == 2 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
