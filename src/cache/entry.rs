//! The file of one prefix state: key, tokens, checksums, and llama.cpp's bytes.
//!
//! All numbers are little-endian.
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 8 | `ECSTATE\n` |
//! | 8 | 4 | the format, 2 |
//! | 12 | 4 | start of the piece: the number of tokens before it |
//! | 16 | 4 | the number of tokens, the piece's included |
//! | 20 | 4 | length of the label |
//! | 24 | 8 | length of the state |
//! | 32 | 32 | the key: model and setting |
//! | 64 | 32 | the fingerprint of the model's files, which is in the key too |
//! | 96 | 16 | XXH3-128 of the state |
//! | 112 | | label: the model's file name, for listings; then the tokens, 4 bytes each |
//! | | 16 | XXH3-128 of everything before it |
//! | | | the state |
//!
//! The checksums guard against bad disks and truncated writes. They run at memory speed and are not
//! cryptographic: other users are kept out by the folder's permissions.

use super::{Key, ModelId, folder::MAX_BYTES};
use std::io::{self, Read};
use xxhash_rust::xxh3::xxh3_128;

const MAGIC: [u8; 8] = *b"ECSTATE\n";
const FORMAT: u32 = 2;
const FIXED_BYTES: usize = 112;
const SUM_BYTES: usize = 16;
/// The longest label that is written.
const MAX_LABEL_BYTES: usize = 255;

/// The head of a state file: everything before the state itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub key: Key,
    /// The model that the state was computed with.
    pub model: ModelId,
    /// The model's file name, for listings.
    pub label: String,
    /// Token ids from the beginning of the prompt to the end of the piece.
    pub tokens: Vec<i32>,
    /// Start of the piece: the number of tokens before it.
    pub start: usize,
    pub state_bytes: u64,
    state_sum: u128,
}

/// Reasons why a state file is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum EntryError {
    #[error("it cannot be read")]
    Unreadable(#[from] io::Error),
    #[error("it is none of ours")]
    Foreign,
    #[error("it is of format {found}")]
    Format { found: u32 },
    #[error("it has {found} bytes where its head says {expected}")]
    Length { expected: u64, found: u64 },
    #[error("its head is damaged")]
    Head,
    #[error("its state is damaged")]
    State,
    #[error("it belongs to another model or setting, or to other tokens")]
    Other,
    #[error("llama.cpp does not take its state")]
    Refused,
}

impl Head {
    /// The head for a `state` whose piece runs from `start` to the end of `tokens`.
    pub fn new(
        (key, model): (Key, ModelId),
        label: &str,
        tokens: &[i32],
        start: usize,
        state: &[u8],
    ) -> Head {
        let label = label.chars().take(MAX_LABEL_BYTES / 4).collect();
        let (state_bytes, state_sum) = (state.len() as u64, xxh3_128(state));
        Head { key, model, label, tokens: tokens.to_vec(), start, state_bytes, state_sum }
    }

    /// The bytes of the file before the state.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FIXED_BYTES + self.label.len() + 4 * self.tokens.len() + SUM_BYTES);
        out.extend(MAGIC);
        // A prompt has fewer tokens than an i32 counts, and so do the label's bytes.
        for number in [FORMAT, self.start as u32, self.tokens.len() as u32, self.label.len() as u32] {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.state_bytes.to_le_bytes());
        out.extend(self.key.0);
        out.extend(self.model.0);
        out.extend(self.state_sum.to_le_bytes());
        out.extend(self.label.as_bytes());
        self.tokens.iter().for_each(|token| out.extend(token.to_le_bytes()));
        let sum = xxh3_128(&out);
        out.extend(sum.to_le_bytes());
        out
    }

    /// Reads the head of a file of `file_bytes`, and leaves `file` at the start of the state.
    ///
    /// # Errors
    /// The first defect found.
    pub fn read(file: &mut impl Read, file_bytes: u64) -> Result<Head, EntryError> {
        let mut bytes = vec![0; FIXED_BYTES];
        if file_bytes < bytes.len() as u64 || file_bytes > MAX_BYTES {
            return Err(EntryError::Foreign);
        }
        file.read_exact(&mut bytes)?;
        if bytes[..8] != MAGIC {
            return Err(EntryError::Foreign);
        }
        let number = |at: usize| u32::from_le_bytes(fixed(&bytes[at..at + 4]));
        if number(8) != FORMAT {
            return Err(EntryError::Format { found: number(8) });
        }
        let (start, tokens, label) = (number(12) as usize, number(16) as usize, number(20) as usize);
        let state_bytes = u64::from_le_bytes(fixed(&bytes[24..32]));
        let state_sum = u128::from_le_bytes(fixed(&bytes[96..112]));
        let (key, model) = (Key(fixed(&bytes[32..64])), ModelId(fixed(&bytes[64..96])));
        // The head has fewer than 2^35 bytes: only the sum with the state's length can overflow.
        let head_bytes = (FIXED_BYTES + label + SUM_BYTES) as u64 + 4 * tokens as u64;
        let expected = head_bytes.saturating_add(state_bytes);
        if expected != file_bytes {
            return Err(EntryError::Length { expected, found: file_bytes });
        }
        // The file is at least this long, so the allocation is bounded by it.
        bytes.resize(head_bytes as usize, 0);
        file.read_exact(&mut bytes[FIXED_BYTES..])?;
        let (content, sum) = bytes.split_at(bytes.len() - SUM_BYTES);
        if xxh3_128(content) != u128::from_le_bytes(fixed(sum)) || start >= tokens {
            return Err(EntryError::Head);
        }
        let (label, ids) = content[FIXED_BYTES..].split_at(label);
        let tokens = ids.chunks_exact(4).map(|id| i32::from_le_bytes(fixed(id))).collect();
        let label = String::from_utf8_lossy(label).into_owned();
        Ok(Head { key, model, label, tokens, start, state_bytes, state_sum })
    }

    /// Reads the state after the head into `state`, replacing its contents.
    ///
    /// # Errors
    /// A file that ends early, or a checksum that differs.
    pub fn read_state(&self, file: &mut impl Read, state: &mut Vec<u8>) -> Result<(), EntryError> {
        state.resize(usize::try_from(self.state_bytes).map_err(|_| EntryError::State)?, 0);
        file.read_exact(state)?;
        if xxh3_128(state) == self.state_sum { Ok(()) } else { Err(EntryError::State) }
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the slice is as long as its array")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key([7; 32]);
    const MODEL: ModelId = ModelId([8; 32]);

    fn written() -> (Head, Vec<u8>, Vec<u8>) {
        let state: Vec<u8> = (0..1_000_u32).map(|i| (i * 31) as u8).collect();
        let head = Head::new((KEY, MODEL), "model.gguf", &[5, 6, -1, 8], 1, &state);
        let file = [head.encode(), state.clone()].concat();
        (head, state, file)
    }

    fn read(mut file: &[u8]) -> Result<(Head, Vec<u8>), EntryError> {
        let (bytes, mut state) = (file.len() as u64, Vec::new());
        let head = Head::read(&mut file, bytes)?;
        head.read_state(&mut file, &mut state)?;
        Ok((head, state))
    }

    #[test]
    fn what_was_written_is_read() {
        let (head, state, file) = written();
        assert_eq!(read(&file).unwrap(), (head, state));
    }

    #[test]
    fn a_file_cut_short_anywhere_or_with_more_behind_it_is_refused() {
        let (.., mut file) = written();
        for length in 0..file.len() {
            assert!(read(&file[..length]).is_err(), "{length}");
        }
        file.push(0);
        assert!(matches!(read(&file), Err(EntryError::Length { .. })));
    }

    #[test]
    fn a_file_that_ends_while_it_is_read_is_refused() {
        let (.., file) = written();
        for length in 0..file.len() {
            let mut rest = &file[..length];
            let head = Head::read(&mut rest, file.len() as u64);
            let state = head.and_then(|head| head.read_state(&mut rest, &mut Vec::new()));
            assert!(matches!(state, Err(EntryError::Unreadable(_))), "{length}");
        }
    }

    #[test]
    fn a_bit_that_was_flipped_anywhere_is_seen() {
        let (.., file) = written();
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn lengths_beyond_the_file_ask_for_no_memory() {
        let (.., mut file) = written();
        for at in [16, 20, 24, 28] {
            let was: [u8; 4] = fixed(&file[at..at + 4]);
            file[at..at + 4].copy_from_slice(&[0xff; 4]);
            assert!(matches!(read(&file), Err(EntryError::Length { .. })), "{at}");
            file[at..at + 4].copy_from_slice(&was);
        }
    }

    #[test]
    fn another_format_is_named() {
        let (.., mut file) = written();
        file[8] = 1;
        assert!(matches!(read(&file), Err(EntryError::Format { found: 1 })));
        assert!(matches!(read(&b"GGUF".repeat(100)), Err(EntryError::Foreign)));
    }
}
