//! SentencePiece models (`tokenizer.model`): the pieces with their scores and kinds.
//!
//! The file is a protobuf message. Of its fields these are read: the pieces (1), and in the trainer's settings (2) the
//! kind of model (3).

use super::Error;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use tokenizers::AddedToken;

/// Most pieces, many times more than any model has.
const MAX_PIECES: usize = 1 << 22;
/// `TrainerSpec.ModelType.BPE`.
const BPE: u64 = 2;
/// `TrainerSpec.ModelType.UNIGRAM`, the field's default.
const UNIGRAM: u64 = 1;

/// A piece of a SentencePiece model.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Its text, with U+2581 for a space.
    pub text: String,
    /// Its score: of two merges, the one to the piece with the higher score comes first.
    pub score: f32,
    /// Its kind.
    pub kind: PieceKind,
}

/// Kind of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceKind {
    /// Text.
    Normal,
    /// Text that is cut out of a longer one before anything is merged.
    UserDefined,
    /// The piece for text that no other covers.
    Unknown,
    /// A mark that is no text.
    Control,
    /// A place without a meaning.
    Unused,
    /// A single byte, as `<0x0A>`.
    Byte,
}

impl PieceKind {
    fn from_number(number: u64) -> PieceKind {
        match number {
            2 => PieceKind::Unknown,
            3 => PieceKind::Control,
            4 => PieceKind::UserDefined,
            5 => PieceKind::Unused,
            6 => PieceKind::Byte,
            _ => PieceKind::Normal,
        }
    }
}

/// Reads the pieces of a `tokenizer.model`, by id.
///
/// # Errors
/// [`Error::Protobuf`]; [`Error::Model`] for a model that is not BPE.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Piece>, Error> {
    let (mut pieces, mut model_type) = (Vec::new(), UNIGRAM);
    for field in Fields(bytes) {
        match field? {
            (1, Content::Bytes(piece)) if pieces.len() < MAX_PIECES => pieces.push(parse_piece(piece)?),
            (1, _) => return Err(Error::Protobuf),
            (2, Content::Bytes(trainer)) => {
                for setting in Fields(trainer) {
                    if let (3, Content::Number(number)) = setting? {
                        model_type = number;
                    }
                }
            }
            _ => {}
        }
    }
    match model_type {
        _ if pieces.is_empty() => Err(Error::Protobuf),
        BPE => Ok(pieces),
        _ => Err(Error::Model { found: "SentencePiece model that is not BPE".to_owned() }),
    }
}

fn parse_piece(bytes: &[u8]) -> Result<Piece, Error> {
    let mut piece = Piece { text: String::new(), score: 0.0, kind: PieceKind::Normal };
    for field in Fields(bytes) {
        match field? {
            (1, Content::Bytes(text)) => {
                piece.text = String::from_utf8(text.to_vec()).map_err(|_| Error::Protobuf)?;
            }
            (2, Content::Float(score)) => piece.score = score,
            (3, Content::Number(kind)) => piece.kind = PieceKind::from_number(kind),
            _ => {}
        }
    }
    Ok(piece)
}

/// The fields of a protobuf message: number and content.
struct Fields<'b>(&'b [u8]);

enum Content<'b> {
    Number(u64),
    Float(f32),
    Bytes(&'b [u8]),
    Other,
}

impl<'b> Fields<'b> {
    fn take(&mut self, count: u64) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(count).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn field(&mut self) -> Option<(u64, Content<'b>)> {
        let key = self.varint()?;
        let content = match key & 7 {
            0 => Content::Number(self.varint()?),
            1 => self.take(8).map(|_| Content::Other)?,
            2 => {
                let len = self.varint()?;
                Content::Bytes(self.take(len)?)
            }
            5 => Content::Float(f32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((key >> 3, content))
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<(u64, Content<'b>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field().ok_or(Error::Protobuf);
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// The `tokenizer.json` of a model without a prefix space: what transformers makes of Gemma's.
pub(super) fn tokenizer_json(pieces: &[Piece]) -> Value {
    let vocab: Map<String, Value> =
        (0u32..).zip(pieces).map(|(id, piece)| (piece.text.clone(), json!(id))).collect();
    let marks = (0u32..)
        .zip(pieces)
        .filter(|(_, piece)| matches!(piece.kind, PieceKind::Unknown | PieceKind::Control));
    let added: Vec<Value> = marks
        .map(|(id, piece)| {
            json!({
                "id": id, "content": piece.text, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            })
        })
        .collect();
    let unknown = pieces.iter().find(|piece| piece.kind == PieceKind::Unknown);
    json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"},
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
        ]},
        "model": {
            "type": "BPE", "unk_token": unknown.map(|piece| &piece.text), "fuse_unk": true,
            "byte_fallback": true, "ignore_merges": false, "vocab": vocab, "merges": merges(pieces),
        },
    })
}

/// The pieces that are cut out of a text before anything is merged, as added tokens that are searched for in the text
/// with U+2581 for spaces. Left out are those that `is_added` already and read the same in both texts.
pub(super) fn cut_out(pieces: &[Piece], is_added: impl Fn(&str) -> bool) -> Vec<AddedToken> {
    let is_cut_out = |piece: &&Piece| {
        piece.kind == PieceKind::UserDefined && (piece.text.contains('\u{2581}') || !is_added(&piece.text))
    };
    let token = |piece: &Piece| AddedToken {
        content: piece.text.clone(),
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: true,
        special: false,
    };
    pieces.iter().filter(is_cut_out).map(token).collect()
}

/// Every way to make a piece of two others, the pieces with the highest score first.
fn merges(pieces: &[Piece]) -> Vec<[&str; 2]> {
    let texts: Vec<(usize, &Piece)> =
        pieces.iter().enumerate().filter(|(_, piece)| piece.kind == PieceKind::Normal).collect();
    let ids: HashMap<&str, usize> = texts.iter().map(|(id, piece)| (piece.text.as_str(), *id)).collect();
    let mut merges = Vec::new();
    for (_, piece) in &texts {
        let text = piece.text.as_str();
        for (at, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(at);
            if let (Some(&a), Some(&b)) = (ids.get(left), ids.get(right)) {
                merges.push((piece.score, a, b, [left, right]));
            }
        }
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    merges.into_iter().map(|(.., merge)| merge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of three pieces, encoded by hand.
    fn model(model_type: u8) -> Vec<u8> {
        let piece = |text: &str, kind: u8| {
            let mut piece = vec![0x0a, text.len() as u8];
            piece.extend(text.as_bytes());
            piece.push(0x15);
            piece.extend((-1.5f32).to_le_bytes());
            piece.extend([0x18, kind]);
            [vec![0x0a, piece.len() as u8], piece].concat()
        };
        let trainer = vec![0x12, 2, 0x18, model_type];
        [piece("a", 1), piece("\u{2581}", 4), piece("<0x0A>", 6), trainer].concat()
    }

    #[test]
    fn pieces_are_read_with_their_scores_and_kinds() {
        let pieces = parse(&model(2)).unwrap();
        let kinds: Vec<PieceKind> = pieces.iter().map(|piece| piece.kind).collect();
        assert_eq!(kinds, [PieceKind::Normal, PieceKind::UserDefined, PieceKind::Byte]);
        assert_eq!((pieces[1].text.as_str(), pieces[1].score), ("\u{2581}", -1.5));
    }

    #[test]
    fn other_models_and_broken_files_are_refused() {
        assert!(matches!(parse(&model(1)), Err(Error::Model { .. })));
        let whole = model(2);
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_err(), "{end}");
        }
        for bytes in [&b"0"[..], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], &[0xff; 20]] {
            assert!(matches!(parse(bytes), Err(Error::Protobuf)));
        }
    }

    #[test]
    fn every_split_of_a_piece_is_a_merge_and_high_scores_come_first() {
        let piece = |text: &str, score| Piece { text: text.into(), score, kind: PieceKind::Normal };
        let pieces =
            [piece("a", -9.0), piece("b", -9.0), piece("ab", -1.0), piece("aba", -3.0), piece("ba", -2.0)];
        assert_eq!(merges(&pieces), [["a", "b"], ["b", "a"], ["a", "ba"], ["ab", "a"]]);
    }
}
