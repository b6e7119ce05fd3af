//! What can be wrong with a GGUF file, and what a file that is none may be instead.

use super::GgmlType;
use crate::error::Kind;

/// What is wrong with a GGUF file.
///
/// Offsets are bytes from the start of the file unless the text says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file has no bytes.
    #[error("the file is empty; was the download cut short?")]
    Empty,
    /// The file does not begin with `GGUF`.
    #[error("not a GGUF file: {lookalike}")]
    Magic {
        /// The first bytes, at most eight.
        found: Vec<u8>,
        /// What the file seems to be.
        lookalike: Lookalike,
    },
    /// Version 1, whose counts are 32 bits wide.
    #[error("GGUF version 1 is no longer read by anyone; convert the model again from its checkpoint")]
    VersionOne,
    /// A file for a big-endian machine.
    #[error("the file is big-endian; fetch the little-endian one, or convert the checkpoint again")]
    BigEndian,
    /// A version that does not exist yet, or never did.
    #[error("GGUF version {found} is not known, versions 2 and 3 are; is there a newer edgecall?")]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// The file ends too early.
    #[error(
        "the file ends inside {what}: {needs} bytes are needed at byte {offset} and {remaining} remain; \
         was the download cut short?"
    )]
    Truncated {
        /// Which part.
        what: String,
        /// Where that part begins.
        offset: u64,
        /// How many bytes it takes.
        needs: u64,
        /// How many bytes the file still has there.
        remaining: u64,
    },
    /// A count that the rest of the file cannot hold.
    #[error(
        "{what} at byte {offset} says {count}, and the {remaining} bytes behind it have room for {room}; \
         the file is cut short or damaged, fetch it again"
    )]
    Count {
        /// Which count.
        what: String,
        /// Where the count stands.
        offset: u64,
        /// The count.
        count: u64,
        /// How many bytes the file still has there.
        remaining: u64,
        /// The largest count that could be true.
        room: u64,
    },
    /// Text that is not UTF-8.
    #[error("{what} at byte {offset} is not UTF-8; the file is damaged, or its writer is")]
    Utf8 {
        /// Which text.
        what: String,
        /// Where its first wrong byte stands.
        offset: u64,
    },
    /// A name that llama.cpp cannot take.
    #[error("{what} at byte {offset} {problem}; the file is damaged, or its writer is")]
    Name {
        /// Which name.
        what: String,
        /// Where it stands.
        offset: u64,
        /// What is wrong with it.
        problem: NameProblem,
    },
    /// A key that stands in the file twice.
    #[error("key `{key}` stands in the file twice; which one holds is not defined, convert again")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A value type that does not exist.
    #[error("{what} has type {type_id} at byte {offset}, and types end at 12; the file is damaged")]
    ValueType {
        /// Which value.
        what: String,
        /// Where the type stands.
        offset: u64,
        /// The type.
        type_id: u32,
    },
    /// An array of arrays.
    #[error("key `{key}` is an array of arrays, which llama.cpp does not read; write it as a flat array")]
    NestedArray {
        /// The key.
        key: String,
    },
    /// A truth value that is neither 0 nor 1.
    #[error("{what} at byte {offset} is a bool of {found}, and only 0 and 1 are; the file is damaged")]
    Bool {
        /// Which value.
        what: String,
        /// Where it stands.
        offset: u64,
        /// The byte.
        found: u8,
    },
    /// `general.alignment` has the wrong type or is no power of two.
    #[error("`general.alignment` is {found}, and it has to be a u32 and a power of two; convert again")]
    Alignment {
        /// The value and its type.
        found: String,
    },
    /// A tensor name that stands in the table twice.
    #[error("tensor `{name}` stands in the table twice; convert again")]
    DuplicateTensor {
        /// The name.
        name: String,
    },
    /// A number of dimensions outside 1..=4.
    #[error("tensor `{name}` has {n_dims} dimensions, and ggml takes 1 to 4; the file is damaged")]
    Dimensions {
        /// The tensor.
        name: String,
        /// Its number of dimensions.
        n_dims: u32,
    },
    /// A dimension of zero, or a product that no machine can address.
    #[error("tensor `{name}` has the shape {dims:?}, {problem}; the file is damaged")]
    Shape {
        /// The tensor.
        name: String,
        /// Its dimensions, fastest first.
        dims: Vec<u64>,
        /// What is wrong with them.
        problem: ShapeProblem,
    },
    /// A tensor type that the pinned llama.cpp does not have.
    #[error("tensor `{name}` has type {type_id}, {}", tensor_type_advice(*type_id))]
    TensorType {
        /// The tensor.
        name: String,
        /// The type.
        type_id: u32,
    },
    /// A row that is not whole blocks.
    #[error(
        "tensor `{name}` has rows of {row_len} weights, and {ggml_type} takes whole blocks of {}; \
         the file is damaged, or its writer is", ggml_type.block_len()
    )]
    RowLength {
        /// The tensor.
        name: String,
        /// The length of its rows.
        row_len: u64,
        /// Its type.
        ggml_type: GgmlType,
    },
    /// A tensor that does not begin where the one before it ends.
    #[error(
        "tensor `{name}` begins at byte {found} of the data section, and byte {expected} is where {} \
         (llama.cpp reads only tables in order and without gaps); {}",
        previous(before), if found < expected { "the two overlap" } else { "there is a gap" }
    )]
    Offset {
        /// The tensor.
        name: String,
        /// The tensor before it in the table.
        before: Option<String>,
        /// Where the table says it begins.
        found: u64,
        /// Where it has to begin.
        expected: u64,
    },
    /// A tensor whose bytes are not all there.
    #[error(
        "tensor `{name}` needs bytes {start}..{end} but the file has {file_bytes}; was the download cut short?"
    )]
    TensorOutside {
        /// The tensor.
        name: String,
        /// Where its bytes begin.
        start: u64,
        /// Where they end.
        end: u64,
        /// How long the file is.
        file_bytes: u64,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        Kind::Data
    }
}

/// What is wrong with a key or the name of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// No bytes.
    #[error("is empty")]
    Empty,
    /// More bytes than fit.
    #[error("has {len} bytes, and at most {limit} fit")]
    TooLong {
        /// How many bytes it has.
        len: u64,
        /// How many it may have.
        limit: u64,
    },
    /// A zero byte, at which a C string ends.
    #[error("holds a zero byte, at which llama.cpp would cut it off")]
    ZeroByte,
}

/// What is wrong with a tensor's dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeProblem {
    /// A dimension of zero.
    #[error("which holds no weights")]
    Empty,
    /// More weights or bytes than 63 bits count.
    #[error("which is more than a machine can address")]
    TooLarge,
}

/// What a file that does not begin with `GGUF` seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lookalike {
    /// A safetensors file.
    #[error("it looks like safetensors; `edgecall convert` takes the folder that it is in")]
    Safetensors,
    /// The text that git keeps in place of a large file.
    #[error("it is a git-lfs pointer, the name of the file and not the file; run `git lfs pull`")]
    GitLfsPointer,
    /// A web page.
    #[error("it is a web page, such as a login or error page saved in its place; download the file again")]
    Html,
    /// A zip archive, which is what `torch.save` writes.
    #[error("it looks like a PyTorch file or another zip archive; convert a safetensors checkpoint instead")]
    Zip,
    /// A bare Python pickle.
    #[error("it looks like a Python pickle; convert a safetensors checkpoint instead")]
    Pickle,
    /// One of the formats before GGUF.
    #[error("it is one of the formats before GGUF; convert the model again from its checkpoint")]
    Ggml,
    /// A compressed file.
    #[error("it is compressed; unpack it first")]
    Compressed,
    /// A JSON document.
    #[error("it looks like JSON; name the model file, or the checkpoint's folder")]
    Json,
    /// Nothing that we know.
    #[error("it does not begin with `GGUF`; name a .gguf file")]
    Unknown,
}

impl Lookalike {
    /// What a file with this beginning seems to be; `bytes` is the whole file or as much as there is.
    pub fn of(bytes: &[u8]) -> Lookalike {
        let text = bytes.trim_ascii_start();
        let begins = |prefix: &str| {
            text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        match bytes {
            [b'P', b'K', 3, 4, ..] => return Lookalike::Zip,
            [0x80, 2..=5, ..] => return Lookalike::Pickle,
            [b'l', b'm', b'g', b'g', ..] | [b'f' | b't' | b'a', b'm' | b'j' | b'l', b'g', b'g', ..] => {
                return Lookalike::Ggml;
            }
            [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0xfd, b'7', b'z', b'X', b'Z', ..] => {
                return Lookalike::Compressed;
            }
            // The length of the JSON header in eight bytes, then the header.
            [_, _, _, _, _, 0, 0, 0, b'{', ..] => return Lookalike::Safetensors,
            _ => {}
        }
        if begins("version https://git-lfs") {
            Lookalike::GitLfsPointer
        } else if begins("<!doctype") || begins("<html") || begins("<?xml") {
            Lookalike::Html
        } else if begins("{") {
            Lookalike::Json
        } else {
            Lookalike::Unknown
        }
    }
}

fn previous(before: &Option<String>) -> String {
    match before {
        Some(name) => format!("`{name}`, padded to the alignment, ends"),
        None => "the first tensor begins".to_owned(),
    }
}

fn tensor_type_advice(type_id: u32) -> &'static str {
    match type_id {
        4 | 5 | 31..=33 | 36..=38 => {
            "a type that was removed from ggml; fetch a newer file, or convert the checkpoint again"
        }
        _ => "which this llama.cpp does not know; is there a newer edgecall, or is the file damaged?",
    }
}
