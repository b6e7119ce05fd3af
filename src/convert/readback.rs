//! Verification of a written file before it gets its name, by our own parser and by the `gguf` crate.
//!
//! Both must find the keys, values and tensor table that were meant to be written, bit for bit. The `gguf`
//! crate (0.1.2) supports the tensor types up to number 15: F32, F16, the Q4_0 to Q8_1 family and the K-quants.
//! It takes later numbers for another type or for none. So it parses a whole file only if all its types are
//! among those. In a file with others (BF16) it parses everything before the tensor table, and only our parser
//! reads the table.

use crate::{
    gguf::{self, Array, Gguf, Header, TensorInfo, Value},
    kind::Kind,
    mmap::Map,
};
use ::gguf::{GGUFFile, GGUFMetadataValue as Independent};
use std::{
    io,
    path::{Path, PathBuf},
};

/// The highest type number with the same meaning in the `gguf` crate and ggml.
const LAST_COMMON_TYPE: u32 = 15;
/// Position of the number of tensors in a file.
const TENSOR_COUNT: std::ops::Range<usize> = 8..16;

/// Reasons why a file that was just written is not as planned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened again.
    #[error("cannot read {} back", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Our own parser refuses it.
    #[error("{} was written wrongly; please report this", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        #[source]
        source: gguf::Error,
    },
    /// One of the two parsers finds a difference.
    #[error("{} was written wrongly: {what}, says {reader}; please report this", path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// The difference.
        what: String,
        /// The parser that found it.
        reader: &'static str,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Read { .. } => Kind::Io,
            Error::Refused { .. } | Error::Differs { .. } => Kind::Bug,
        }
    }
}

/// Parses the file at `path` and compares it with the intended header.
///
/// The tensors' data are not read. It is only checked that they lie inside the file.
///
/// # Errors
/// The first difference, or the reason why the file cannot be read.
pub fn check(path: &Path, header: &Header) -> Result<(), Error> {
    let file = Map::open(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
    let differs = |reader| move |what| Error::Differs { path: path.to_path_buf(), what, reader };
    let gguf = Gguf::parse(&file).map_err(|source| Error::Refused { path: path.to_path_buf(), source })?;
    compare_ours(&gguf, header, file.len() as u64).map_err(differs("our own reader"))?;
    // Without the data section: the crate never sees the weights. In range, since our parser checked it.
    let front = &file[..gguf.data_start as usize];
    compare_independent(front, header).map_err(differs("the `gguf` crate"))
}

fn compare_ours(gguf: &Gguf, header: &Header, file_bytes: u64) -> Result<(), String> {
    same_count("keys", gguf.metadata.len(), header.metadata().len())?;
    for ((key, value), (meant_key, meant)) in gguf.metadata.iter().zip(header.metadata()) {
        same_key(key, meant_key)?;
        if bits(value) != bits(meant) {
            return Err(format!("the value of `{key}` differs"));
        }
    }
    same_count("tensors", gguf.tensors.len(), header.tensors().len())?;
    if let Some((found, _)) = gguf.tensors.iter().zip(header.tensors()).find(|(found, meant)| found != meant)
    {
        return Err(format!("the row of tensor `{}` differs", found.name));
    }
    let meant = gguf.data_start + header.data_bytes();
    if file_bytes != meant {
        return Err(format!("the file has {file_bytes} bytes in place of {meant}"));
    }
    Ok(())
}

/// The value's encoding in a file; unlike values, encodings compare NaN as equal to itself.
fn bits(value: &Value) -> Vec<u8> {
    let mut bytes = value.type_id().to_le_bytes().to_vec();
    value.encode(&mut bytes);
    bytes
}

fn compare_independent(front: &[u8], header: &Header) -> Result<(), String> {
    let known = header.tensors().iter().all(|tensor| tensor.ggml_type.id() <= LAST_COMMON_TYPE);
    let read = if known {
        GGUFFile::read(front)
    } else {
        let mut front = front.to_vec();
        front[TENSOR_COUNT].fill(0);
        GGUFFile::read(&front)
    };
    // The crate's message prints all bytes from the error on, so it is replaced.
    let file = read.ok().flatten().ok_or("its header cannot be read")?;
    same_count("keys", file.header.metadata.len(), header.metadata().len())?;
    for (found, (key, meant)) in file.header.metadata.iter().zip(header.metadata()) {
        same_key(&found.key, key)?;
        if !same_value(&found.value, meant) {
            return Err(format!("the value of `{key}` differs"));
        }
    }
    if known {
        same_count("tensors", file.tensors.len(), header.tensors().len())?;
        for (found, meant) in file.tensors.iter().zip(header.tensors()) {
            if !same_tensor(found, meant) {
                return Err(format!("the row of tensor `{}` differs", meant.name));
            }
        }
    }
    Ok(())
}

fn same_count(what: &str, found: usize, meant: usize) -> Result<(), String> {
    if found == meant { Ok(()) } else { Err(format!("it has {found} {what} in place of {meant}")) }
}

fn same_key(found: &str, meant: &str) -> Result<(), String> {
    if found == meant { Ok(()) } else { Err(format!("key `{found}` stands in place of `{meant}`")) }
}

fn same_tensor(found: &::gguf::GGUFTensorInfo, meant: &TensorInfo) -> bool {
    // The crate's enum carries ggml's numbers.
    found.tensor_type as u32 == meant.ggml_type.id()
        && (&found.name, &found.dimensions, found.offset) == (&meant.name, &meant.dims, meant.offset)
}

fn same_value(found: &Independent, meant: &Value) -> bool {
    match (found, meant) {
        (Independent::Uint8(a), Value::U8(b)) => a == b,
        (Independent::Int8(a), Value::I8(b)) => a == b,
        (Independent::Uint16(a), Value::U16(b)) => a == b,
        (Independent::Int16(a), Value::I16(b)) => a == b,
        (Independent::Uint32(a), Value::U32(b)) => a == b,
        (Independent::Int32(a), Value::I32(b)) => a == b,
        (Independent::Float32(a), Value::F32(b)) => a.to_bits() == b.to_bits(),
        (Independent::Bool(a), Value::Bool(b)) => a == b,
        (Independent::String(a), Value::String(b)) => a == b,
        (Independent::Array(a), Value::Array(b)) => same_array(&a.value, b),
        (Independent::Uint64(a), Value::U64(b)) => a == b,
        (Independent::Int64(a), Value::I64(b)) => a == b,
        (Independent::Float64(a), Value::F64(b)) => a.to_bits() == b.to_bits(),
        _ => false,
    }
}

fn same_array(found: &[Independent], meant: &Array) -> bool {
    fn all<T: Clone>(found: &[Independent], meant: &[T], value: fn(T) -> Value) -> bool {
        found.len() == meant.len()
            && found.iter().zip(meant).all(|(found, meant)| same_value(found, &value(meant.clone())))
    }
    match meant {
        Array::U8(v) => all(found, v, Value::U8),
        Array::I8(v) => all(found, v, Value::I8),
        Array::U16(v) => all(found, v, Value::U16),
        Array::I16(v) => all(found, v, Value::I16),
        Array::U32(v) => all(found, v, Value::U32),
        Array::I32(v) => all(found, v, Value::I32),
        Array::F32(v) => all(found, v, Value::F32),
        Array::Bool(v) => all(found, v, Value::Bool),
        Array::String(v) => all(found, v, Value::String),
        Array::U64(v) => all(found, v, Value::U64),
        Array::I64(v) => all(found, v, Value::I64),
        Array::F64(v) => all(found, v, Value::F64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::GgmlType;
    use std::io::Write;

    fn header(ggml_type: GgmlType) -> Header {
        let tokens = ["a", "b"].map(str::to_owned).to_vec();
        let mut header = Header::new(vec![
            ("general.architecture".into(), Value::String("qwen3".into())),
            ("qwen3.rope.freq_base".into(), Value::F32(1e6)),
            ("tokenizer.ggml.tokens".into(), Value::Array(Array::String(tokens))),
            ("tokenizer.ggml.add_bos_token".into(), Value::Bool(false)),
        ]);
        header.push_tensor("output_norm.weight".into(), vec![256], GgmlType::F32);
        header.push_tensor("token_embd.weight".into(), vec![256, 2], ggml_type);
        header
    }

    fn written(header: &Header) -> Vec<u8> {
        let mut file = header.encode();
        file.resize(file.len() + header.data_bytes() as usize, 0);
        file
    }

    fn check_bytes(file: &[u8], header: &Header) -> Result<(), Error> {
        let mut temporary = tempfile::NamedTempFile::new().unwrap();
        temporary.write_all(file).unwrap();
        check(temporary.path(), header)
    }

    #[test]
    fn what_was_meant_passes_whatever_its_types() {
        for &ggml_type in GgmlType::ALL {
            let header = header(ggml_type);
            check_bytes(&written(&header), &header).unwrap_or_else(|e| panic!("{ggml_type}: {e}"));
        }
    }

    #[test]
    fn every_changed_byte_of_the_header_is_found() {
        for ggml_type in [GgmlType::Q4K, GgmlType::Bf16] {
            let header = header(ggml_type);
            let good = written(&header);
            // Not the version, of which 2 is as good, nor the padding in front of the data.
            let unpadded = good.len() - header.data_bytes() as usize - 31;
            for at in (0..unpadded).filter(|at| !(4..8).contains(at)) {
                let mut file = good.clone();
                file[at] ^= 1;
                let error = check_bytes(&file, &header).expect_err(&format!("byte {at} of {ggml_type}"));
                assert_eq!(error.kind(), Kind::Bug);
            }
        }
    }

    #[test]
    fn the_independent_reader_finds_a_difference_by_itself() {
        let meant = header(GgmlType::Q8_0);
        let front = meant.encode();
        assert_eq!(compare_independent(&front, &meant), Ok(()));
        let other = header(GgmlType::Q4K);
        let message = compare_independent(&front, &other).unwrap_err();
        assert_eq!(message, "the row of tensor `token_embd.weight` differs");
        // Of a file with BF16 it compares everything in front of the tensor table.
        let meant = header(GgmlType::Bf16);
        assert_eq!(compare_independent(&meant.encode(), &meant), Ok(()));
        let front = Header::new(vec![("other.key".into(), Value::U8(1))]).encode();
        let message = compare_independent(&front, &meant).unwrap_err();
        assert_eq!(message, "it has 1 keys in place of 4");
    }

    #[test]
    fn a_missing_or_a_surplus_byte_is_found() {
        let header = header(GgmlType::F16);
        let mut file = written(&header);
        file.push(0);
        let message = check_bytes(&file, &header).unwrap_err().to_string();
        assert!(message.contains("bytes in place of"), "{message}");
        file.truncate(file.len() - 2);
        assert!(check_bytes(&file, &header).is_err());
    }
}
