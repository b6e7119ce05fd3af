//! Bounds-checked reading of numbers and texts, with errors that name their place.

use super::{Error, NameProblem};
use std::fmt;

/// Longest array and longest string: llama.cpp's `GGUF_MAX_ARRAY_ELEMENTS` and `GGUF_MAX_STRING_LENGTH`.
const MAX_LEN: u64 = 1 << 30;

/// The item being read, for error messages.
#[derive(Clone, Copy)]
pub(super) enum Place<'k> {
    Version,
    TensorCount,
    PairCount,
    Key(u64),
    Value(&'k str),
    Length(&'k str),
    Element(&'k str, u64),
    TensorName(u64),
    Tensor(&'k str),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Version => write!(f, "the version"),
            Place::TensorCount => write!(f, "the number of tensors"),
            Place::PairCount => write!(f, "the number of metadata keys"),
            Place::Key(index) => write!(f, "metadata key {index}"),
            Place::Value(key) => write!(f, "the value of `{}`", key.escape_debug()),
            Place::Length(key) => write!(f, "the array length of `{}`", key.escape_debug()),
            Place::Element(key, index) => write!(f, "element {index} of `{}`", key.escape_debug()),
            Place::TensorName(index) => write!(f, "the name of tensor {index}"),
            Place::Tensor(name) => write!(f, "the table's row for tensor `{}`", name.escape_debug()),
        }
    }
}

/// A read position, always within `bytes`.
pub(super) struct Reader<'b> {
    pub(super) bytes: &'b [u8],
    pub(super) at: usize,
}

impl<'b> Reader<'b> {
    pub(super) fn offset(&self) -> u64 {
        self.at as u64
    }

    fn remaining(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }

    pub(super) fn take(&mut self, len: u64, place: Place<'_>) -> Result<&'b [u8], Error> {
        let rest = &self.bytes[self.at..];
        match usize::try_from(len).ok().and_then(|len| rest.get(..len)) {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => Err(Error::Truncated {
                what: place.to_string(),
                offset: self.offset(),
                needs: len,
                remaining: self.remaining(),
            }),
        }
    }

    pub(super) fn number<T, const N: usize>(
        &mut self,
        place: Place<'_>,
        from: fn([u8; N]) -> T,
    ) -> Result<T, Error> {
        let taken = self.take(N as u64, place)?;
        Ok(from(taken.try_into().expect("take gives the length asked for")))
    }

    pub(super) fn u32(&mut self, place: Place<'_>) -> Result<u32, Error> {
        self.number(place, u32::from_le_bytes)
    }

    /// Reads a count of items that take at least `each` bytes, and start `more` bytes after the count. A count
    /// that the remaining bytes cannot hold is an error.
    pub(super) fn count(&mut self, place: Place<'_>, each: u64, more: u64) -> Result<u64, Error> {
        let offset = self.offset();
        let count = self.number(place, u64::from_le_bytes)?;
        let remaining = self.remaining();
        let room = (remaining.saturating_sub(more) / each).min(MAX_LEN);
        if count > room {
            return Err(Error::Count { what: place.to_string(), offset, count, remaining, room });
        }
        Ok(count)
    }

    pub(super) fn numbers<T, const N: usize>(
        &mut self,
        key: &str,
        from: fn([u8; N]) -> T,
    ) -> Result<Vec<T>, Error> {
        let count = self.count(Place::Length(key), N as u64, 0)?;
        let taken = self.take(count * N as u64, Place::Value(key))?;
        let (chunks, _) = taken.as_chunks::<N>();
        Ok(chunks.iter().map(|&chunk| from(chunk)).collect())
    }

    pub(super) fn string(&mut self, place: Place<'_>) -> Result<&'b str, Error> {
        let len = self.number(place, u64::from_le_bytes)?;
        self.text(len, place)
    }

    /// Passes over a string without a look at its bytes.
    pub(super) fn skip_string(&mut self, place: Place<'_>) -> Result<(), Error> {
        let len = self.number(place, u64::from_le_bytes)?;
        self.take(len, place).map(drop)
    }

    pub(super) fn name(&mut self, place: Place<'_>, limit: u64) -> Result<&'b str, Error> {
        let offset = self.offset();
        let refuse = |problem| Err(Error::Name { what: place.to_string(), offset, problem });
        match self.number(place, u64::from_le_bytes)? {
            0 => refuse(NameProblem::Empty),
            len if len > limit => refuse(NameProblem::TooLong { len, limit }),
            len => {
                let name = self.text(len, place)?;
                if name.contains('\0') { refuse(NameProblem::ZeroByte) } else { Ok(name) }
            }
        }
    }

    fn text(&mut self, len: u64, place: Place<'_>) -> Result<&'b str, Error> {
        let start = self.offset();
        let taken = self.take(len, place)?;
        std::str::from_utf8(taken)
            .map_err(|e| Error::Utf8 { what: place.to_string(), offset: start + e.valid_up_to() as u64 })
    }
}
