//! Parser: bytes of a GGUF file -> [`Gguf`]. Every access is bounds-checked, and every error names its place.
//!
//! Files from outside are untrusted, and llama.cpp aborts the process on some malformed ones. So the parser
//! refuses everything that llama.cpp refuses. It also refuses what the format's text forbids (bools other than
//! 0 and 1, text that is not UTF-8), and oddities that no model needs and C code may trip over (tensors without
//! weights, zero bytes in names). The meaning of the metadata is not checked.
//!
//! Every allocation is bounded by the bytes that remain: a number takes as many bytes as in the file, a string
//! at most three times as many.

use super::{
    Array, DEFAULT_ALIGNMENT, Error, GgmlType, Header, Lookalike, ShapeProblem, TensorInfo, Value,
    reader::{Place, Reader},
    write,
};
use std::{collections::HashSet, ops::Range};

/// Longest key, by the format's text.
pub(super) const MAX_KEY_BYTES: u64 = 65_535;
/// Longest tensor name: ggml's `GGML_MAX_NAME` without the terminating zero.
const MAX_TENSOR_NAME_BYTES: u64 = 63;
/// Alignment that ggml asserts of a CPU buffer: `TENSOR_ALIGNMENT` in `ggml-impl.h`.
const GGML_BUFFER_ALIGNMENT: u64 = 32;
/// Fewest bytes of a key and its value: key length, one byte, type, one byte.
const MIN_PAIR_BYTES: u64 = 8 + 1 + 4 + 1;
/// Fewest bytes of a row of the tensor table: name length, one byte, n_dims, one dim, type, offset.
const MIN_TENSOR_BYTES: u64 = 8 + 1 + 4 + 8 + 4 + 8;

/// Metadata and tensor table of a GGUF file, checked against the file's length.
///
/// One file of a split model parses like any other; the keys `split.no`, `split.count` and
/// `split.tensors.count` show that its table is not complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Gguf {
    /// The format version, 2 or 3; they do not differ in anything read here.
    pub version: u32,
    /// The metadata in file order.
    pub metadata: Vec<(String, Value)>,
    /// The tensor table in file order, which is also the order of the data.
    pub tensors: Vec<TensorInfo>,
    /// Start of the data section, in bytes from the start of the file.
    pub data_start: u64,
    /// The alignment of the data section and of each tensor in it, a power of two.
    pub alignment: u64,
}

impl Gguf {
    /// Parses `bytes`, the whole file; the data section is not touched.
    ///
    /// # Errors
    /// The first defect of the file. `Ok` means that every tensor's bytes lie inside `bytes`, in table order,
    /// without overlap.
    pub fn parse(bytes: &[u8]) -> Result<Gguf, Error> {
        let mut reader = Reader { bytes, at: 0 };
        let version = read_version(&mut reader)?;
        let (tensor_count, pair_count) = counts(&mut reader)?;
        let metadata = read_metadata(&mut reader, pair_count)?;
        let alignment = alignment(&metadata)?;
        let tensors = read_tensors(&mut reader, tensor_count)?;
        let data_start = pad(reader.offset(), alignment);
        check_data(&tensors, data_start, alignment, bytes.len() as u64)?;
        Ok(Gguf { version, metadata, tensors, data_start, alignment })
    }

    /// The value of a key.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.metadata.iter().find(|(k, _)| k == key).map(|(_, value)| value)
    }

    /// The value of a key, if it is a string.
    pub fn str(&self, key: &str) -> Option<&str> {
        self.value(key)?.as_str()
    }

    /// The value of a key, if it is a non-negative integer.
    pub fn u64(&self, key: &str) -> Option<u64> {
        self.value(key)?.as_u64()
    }

    /// The value of a key, if it is a floating-point number.
    pub fn f64(&self, key: &str) -> Option<f64> {
        self.value(key)?.as_f64()
    }

    /// The value of a key, if it is a bool.
    pub fn bool(&self, key: &str) -> Option<bool> {
        self.value(key)?.as_bool()
    }

    /// The value of a key, if it is an array.
    pub fn array(&self, key: &str) -> Option<&Array> {
        self.value(key)?.as_array()
    }

    /// `general.architecture`, such as `qwen3`.
    pub fn architecture(&self) -> Option<&str> {
        self.str("general.architecture")
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// A tensor's bytes, as a range from the start of the file.
    pub fn tensor_range(&self, tensor: &TensorInfo) -> Range<u64> {
        let start = self.data_start + tensor.offset;
        start..start + tensor.byte_len()
    }

    /// True if the data section is aligned for ggml's kernels in a mapped file.
    ///
    /// llama.cpp aborts the process otherwise, so such a file must be loaded without a map or not at all.
    pub fn is_mappable(&self) -> bool {
        self.tensors.is_empty() || self.data_start.is_multiple_of(GGML_BUFFER_ALIGNMENT)
    }

    /// The bytes of a header with `metadata` in place of this one's, padded up to the start of the data section. Version,
    /// alignment and tensor table stay.
    pub fn encode_with(&self, metadata: &[(String, Value)]) -> Vec<u8> {
        write::encode(self.version, metadata, &self.tensors, self.alignment)
    }

    /// A tensor's bytes in `file`, the bytes that were parsed.
    pub fn tensor_bytes<'f>(&self, file: &'f [u8], name: &str) -> Option<&'f [u8]> {
        let range = self.tensor_range(self.tensor(name)?);
        file.get(range.start.try_into().ok()?..range.end.try_into().ok()?)
    }
}

/// The result of parsing a file with this header.
impl From<&Header> for Gguf {
    fn from(header: &Header) -> Gguf {
        Gguf {
            version: 3,
            metadata: header.metadata().to_vec(),
            tensors: header.tensors().to_vec(),
            data_start: header.encode().len() as u64,
            alignment: DEFAULT_ALIGNMENT,
        }
    }
}

/// Reads the numbers of tensors and of metadata keys.
pub(super) fn counts(reader: &mut Reader<'_>) -> Result<(u64, u64), Error> {
    let tensors = reader.count(Place::TensorCount, MIN_TENSOR_BYTES, 8)?;
    Ok((tensors, reader.count(Place::PairCount, MIN_PAIR_BYTES, 0)?))
}

pub(super) fn read_version(reader: &mut Reader<'_>) -> Result<u32, Error> {
    let bytes = reader.bytes;
    if bytes.is_empty() {
        return Err(Error::Empty);
    }
    if !bytes.starts_with(b"GGUF") {
        let found = bytes[..bytes.len().min(8)].to_vec();
        return Err(Error::Magic { found, lookalike: Lookalike::guess(bytes) });
    }
    reader.at = 4;
    match reader.u32(Place::Version)? {
        1 => Err(Error::VersionOne),
        version @ 2..=3 => Ok(version),
        // A big-endian writer's 2 or 3.
        found if found != 0 && found & 0xffff == 0 => Err(Error::BigEndian),
        found => Err(Error::Version { found }),
    }
}

fn read_metadata(reader: &mut Reader<'_>, count: u64) -> Result<Vec<(String, Value)>, Error> {
    let mut metadata = Vec::new();
    let mut seen = HashSet::new();
    for index in 0..count {
        let key = reader.name(Place::Key(index), MAX_KEY_BYTES)?;
        if !seen.insert(key) {
            return Err(Error::DuplicateKey { key: key.to_owned() });
        }
        let type_id = reader.u32(Place::Value(key))?;
        metadata.push((key.to_owned(), read_value(reader, key, type_id)?));
    }
    Ok(metadata)
}

pub(super) fn read_value(reader: &mut Reader<'_>, key: &str, type_id: u32) -> Result<Value, Error> {
    let place = Place::Value(key);
    Ok(match type_id {
        0 => Value::U8(reader.number(place, u8::from_le_bytes)?),
        1 => Value::I8(reader.number(place, i8::from_le_bytes)?),
        2 => Value::U16(reader.number(place, u16::from_le_bytes)?),
        3 => Value::I16(reader.number(place, i16::from_le_bytes)?),
        4 => Value::U32(reader.number(place, u32::from_le_bytes)?),
        5 => Value::I32(reader.number(place, i32::from_le_bytes)?),
        6 => Value::F32(reader.number(place, f32::from_le_bytes)?),
        7 => {
            let offset = reader.offset();
            Value::Bool(truth(reader.number(place, u8::from_le_bytes)?, place, offset)?)
        }
        8 => Value::String(reader.string(place)?.to_owned()),
        9 => Value::Array(read_array(reader, key)?),
        10 => Value::U64(reader.number(place, u64::from_le_bytes)?),
        11 => Value::I64(reader.number(place, i64::from_le_bytes)?),
        12 => Value::F64(reader.number(place, f64::from_le_bytes)?),
        _ => return Err(Error::ValueType { what: place.to_string(), offset: reader.offset() - 4, type_id }),
    })
}

fn read_array(reader: &mut Reader<'_>, key: &str) -> Result<Array, Error> {
    let type_offset = reader.offset();
    let type_id = reader.u32(Place::Value(key))?;
    Ok(match type_id {
        0 => Array::U8(reader.numbers(key, u8::from_le_bytes)?),
        1 => Array::I8(reader.numbers(key, i8::from_le_bytes)?),
        2 => Array::U16(reader.numbers(key, u16::from_le_bytes)?),
        3 => Array::I16(reader.numbers(key, i16::from_le_bytes)?),
        4 => Array::U32(reader.numbers(key, u32::from_le_bytes)?),
        5 => Array::I32(reader.numbers(key, i32::from_le_bytes)?),
        6 => Array::F32(reader.numbers(key, f32::from_le_bytes)?),
        7 => {
            let bytes = reader.numbers(key, u8::from_le_bytes)?;
            let start = reader.offset() - bytes.len() as u64;
            let truths = (0u64..).zip(bytes).map(|(i, byte)| truth(byte, Place::Element(key, i), start + i));
            Array::Bool(truths.collect::<Result<_, _>>()?)
        }
        8 => {
            let count = reader.count(Place::Length(key), 8, 0)?;
            let strings = (0..count).map(|i| Ok(reader.string(Place::Element(key, i))?.to_owned()));
            Array::String(strings.collect::<Result<_, Error>>()?)
        }
        9 => return Err(Error::NestedArray { key: key.to_owned() }),
        10 => Array::U64(reader.numbers(key, u64::from_le_bytes)?),
        11 => Array::I64(reader.numbers(key, i64::from_le_bytes)?),
        12 => Array::F64(reader.numbers(key, f64::from_le_bytes)?),
        _ => {
            let what = Place::Element(key, 0).to_string();
            return Err(Error::ValueType { what, offset: type_offset, type_id });
        }
    })
}

fn truth(byte: u8, place: Place<'_>, offset: u64) -> Result<bool, Error> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(Error::Bool { what: place.to_string(), offset, found }),
    }
}

fn alignment(metadata: &[(String, Value)]) -> Result<u64, Error> {
    match metadata.iter().find(|(key, _)| key == "general.alignment") {
        None => Ok(DEFAULT_ALIGNMENT),
        // llama.cpp's rule; the format's text also asks for a multiple of 8, which no reader checks.
        Some((_, Value::U32(n))) if n.is_power_of_two() => Ok((*n).into()),
        Some((_, Value::U32(n))) => Err(Error::Alignment { found: n.to_string() }),
        Some((_, other)) => Err(Error::Alignment { found: format!("of type {}", other.type_name()) }),
    }
}

fn read_tensors(reader: &mut Reader<'_>, count: u64) -> Result<Vec<TensorInfo>, Error> {
    let mut tensors = Vec::new();
    let mut seen = HashSet::new();
    for index in 0..count {
        let name = reader.name(Place::TensorName(index), MAX_TENSOR_NAME_BYTES)?;
        if !seen.insert(name) {
            return Err(Error::DuplicateTensor { name: name.to_owned() });
        }
        tensors.push(read_tensor(reader, name)?);
    }
    Ok(tensors)
}

fn read_tensor(reader: &mut Reader<'_>, name: &str) -> Result<TensorInfo, Error> {
    let place = Place::Tensor(name);
    let n_dims = reader.u32(place)?;
    if !(1..=4).contains(&n_dims) {
        return Err(Error::Dimensions { name: name.to_owned(), n_dims });
    }
    let dims =
        (0..n_dims).map(|_| reader.number(place, u64::from_le_bytes)).collect::<Result<Vec<_>, _>>()?;
    let type_id = reader.u32(place)?;
    let ggml_type =
        GgmlType::from_id(type_id).ok_or_else(|| Error::TensorType { name: name.to_owned(), type_id })?;
    check_shape(name, &dims, ggml_type)?;
    let offset = reader.number(place, u64::from_le_bytes)?;
    Ok(TensorInfo { name: name.to_owned(), dims, ggml_type, offset })
}

/// Checks a tensor's dimensions. After it, [`TensorInfo::element_count`] and [`TensorInfo::byte_len`] cannot
/// overflow.
fn check_shape(name: &str, dims: &[u64], ggml_type: GgmlType) -> Result<(), Error> {
    let refuse = |problem| Err(Error::Shape { name: name.to_owned(), dims: dims.to_vec(), problem });
    if dims.contains(&0) {
        return refuse(ShapeProblem::Empty);
    }
    let fits = |n: &u64| *n <= i64::MAX as u64;
    let elements = dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim).filter(fits));
    let Some(elements) = elements else { return refuse(ShapeProblem::TooLarge) };
    let row_len = dims[0];
    if !row_len.is_multiple_of(ggml_type.block_len()) {
        return Err(Error::RowLength { name: name.to_owned(), row_len, ggml_type });
    }
    match (elements / ggml_type.block_len()).checked_mul(ggml_type.block_bytes()).filter(fits) {
        Some(_) => Ok(()),
        None => refuse(ShapeProblem::TooLarge),
    }
}

/// Checks that each tensor starts where the one before it ends, padded, and lies inside the file.
fn check_data(tensors: &[TensorInfo], data_start: u64, alignment: u64, file_bytes: u64) -> Result<(), Error> {
    let mut expected = 0;
    let mut before: Option<&str> = None;
    for tensor in tensors {
        let name = || tensor.name.clone();
        if tensor.offset != expected {
            let before = before.map(str::to_owned);
            return Err(Error::Offset { name: name(), before, found: tensor.offset, expected });
        }
        // Neither sum wraps: `expected` and `data_start` are at most a padding past the file's end.
        let start = data_start + expected;
        let end = start.saturating_add(tensor.byte_len());
        if end > file_bytes {
            return Err(Error::TensorOutside { name: name(), start, end, file_bytes });
        }
        expected = pad(expected + tensor.byte_len(), alignment);
        before = Some(&tensor.name);
    }
    Ok(())
}

/// `offset` rounded up to a multiple of `alignment`, a power of two of at most 2^31.
fn pad(offset: u64, alignment: u64) -> u64 {
    offset.next_multiple_of(alignment)
}
