//! Defects of a GGUF file, and guesses at what a file of another format is.

use super::GgmlType;
use crate::kind::Kind;

/// A defect of a GGUF file.
///
/// Names from the file are escaped in messages, since they may contain terminal control sequences. Offsets are
/// bytes from the start of the file unless the text says otherwise.
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
        /// The format that the file seems to have.
        lookalike: Lookalike,
    },
    /// Version 1, whose counts are 32 bits wide.
    #[error("GGUF version 1 is no longer read by anyone; convert the model again from its checkpoint")]
    VersionOne,
    /// A big-endian file.
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
        /// The part of the file, for the message.
        what: String,
        /// Start of that part.
        offset: u64,
        /// Bytes that it needs.
        needs: u64,
        /// Bytes of the file from there on.
        remaining: u64,
    },
    /// A count or length that the rest of the file cannot hold.
    #[error(
        "{what} at byte {offset} says {count}, and the {remaining} bytes behind it have room for {room}; \
         the file is cut short or damaged, fetch it again"
    )]
    Count {
        /// Name of the count, for the message.
        what: String,
        /// Offset of the count.
        offset: u64,
        /// The count.
        count: u64,
        /// Bytes of the file after it.
        remaining: u64,
        /// The largest count that they could hold.
        room: u64,
    },
    /// Text that is not UTF-8.
    #[error("{what} at byte {offset} is not UTF-8; the file is damaged, or its writer is")]
    Utf8 {
        /// Name of the text, for the message.
        what: String,
        /// Offset of its first invalid byte.
        offset: u64,
    },
    /// A key or tensor name that llama.cpp does not accept.
    #[error("{what} at byte {offset} {problem}; the file is damaged, or its writer is")]
    Name {
        /// Number of the key or tensor, for the message.
        what: String,
        /// Its offset.
        offset: u64,
        /// Defect of the name.
        problem: NameProblem,
    },
    /// A key that the file has twice.
    #[error("key `{}` stands in the file twice; which one holds is not defined, convert again", key.escape_debug())]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A value type that does not exist.
    #[error("{what} has type {type_id} at byte {offset}, and types end at 12; the file is damaged")]
    ValueType {
        /// Name of the value, for the message.
        what: String,
        /// Offset of the type.
        offset: u64,
        /// The type's number.
        type_id: u32,
    },
    /// An array of arrays.
    #[error("key `{}` is an array of arrays, which llama.cpp does not read; write it as a flat array", key.escape_debug())]
    NestedArray {
        /// The key.
        key: String,
    },
    /// A bool that is neither 0 nor 1.
    #[error("{what} at byte {offset} is a bool of {found}, and only 0 and 1 are; the file is damaged")]
    Bool {
        /// Name of the value, for the message.
        what: String,
        /// Its offset.
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
    /// A tensor name that the table has twice.
    #[error("tensor `{}` stands in the table twice; convert again", name.escape_debug())]
    DuplicateTensor {
        /// The name.
        name: String,
    },
    /// A number of dimensions outside 1..=4.
    #[error("tensor `{}` has {n_dims} dimensions, and ggml takes 1 to 4; the file is damaged", name.escape_debug())]
    Dimensions {
        /// The tensor.
        name: String,
        /// Its number of dimensions.
        n_dims: u32,
    },
    /// A dimension of zero, or more weights or bytes than an `i64` counts.
    #[error("tensor `{}` has the shape {dims:?}, {problem}; the file is damaged", name.escape_debug())]
    Shape {
        /// The tensor.
        name: String,
        /// Its dimensions, fastest first.
        dims: Vec<u64>,
        /// The defect.
        problem: ShapeProblem,
    },
    /// A tensor type that the pinned llama.cpp does not have.
    #[error("tensor `{}` has type {type_id}, {}", name.escape_debug(), tensor_type_advice(*type_id))]
    TensorType {
        /// The tensor.
        name: String,
        /// The type's number.
        type_id: u32,
    },
    /// A row that is not whole blocks.
    #[error(
        "tensor `{}` has rows of {row_len} weights, and {ggml_type} takes whole blocks of {}; \
         the file is damaged, or its writer is", name.escape_debug(), ggml_type.block_len()
    )]
    RowLength {
        /// The tensor.
        name: String,
        /// The length of its rows.
        row_len: u64,
        /// Its type.
        ggml_type: GgmlType,
    },
    /// A tensor that does not start where the one before it ends.
    #[error(
        "tensor `{}` begins at byte {found} of the data section, and byte {expected} is where {} \
         (llama.cpp reads only tables in order and without gaps); {}",
        name.escape_debug(), previous(before), if found < expected { "the two overlap" } else { "there is a gap" }
    )]
    Offset {
        /// The tensor.
        name: String,
        /// The tensor before it in the table.
        before: Option<String>,
        /// Its offset in the data section according to the table.
        found: u64,
        /// The offset that it must have.
        expected: u64,
    },
    /// A tensor whose bytes extend past the end of the file.
    #[error(
        "tensor `{}` needs bytes {start}..{end} but the file has {file_bytes}; was the download cut short?",
        name.escape_debug()
    )]
    TensorOutside {
        /// The tensor.
        name: String,
        /// Start of its bytes.
        start: u64,
        /// End of its bytes.
        end: u64,
        /// Size of the file.
        file_bytes: u64,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        Kind::Data
    }
}

/// Defects of a key or a tensor name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// No bytes.
    #[error("is empty")]
    Empty,
    /// Longer than the limit.
    #[error("has {len} bytes, and at most {limit} fit")]
    TooLong {
        /// Its bytes.
        len: u64,
        /// Most bytes allowed.
        limit: u64,
    },
    /// A zero byte, which ends a C string.
    #[error("holds a zero byte, at which llama.cpp would cut it off")]
    ZeroByte,
}

/// Defects of a tensor's dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeProblem {
    /// A dimension of zero.
    #[error("which holds no weights")]
    Empty,
    /// More weights or bytes than an `i64` counts.
    #[error("which is more than a machine can address")]
    TooLarge,
}

/// Formats of files that do not begin with `GGUF`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lookalike {
    /// A safetensors file.
    #[error("it looks like safetensors; `edgecall convert` takes the folder that it is in")]
    Safetensors,
    /// A git-lfs pointer: the text that git has in place of a large file.
    #[error("it is a git-lfs pointer, the name of the file and not the file; run `git lfs pull`")]
    GitLfsPointer,
    /// A web page.
    #[error("it is a web page, such as a login or error page saved in its place; download the file again")]
    Html,
    /// A zip archive, such as `torch.save` writes.
    #[error("it looks like a PyTorch file or another zip archive; convert a safetensors checkpoint instead")]
    Zip,
    /// A bare Python pickle.
    #[error("it looks like a Python pickle; convert a safetensors checkpoint instead")]
    Pickle,
    /// One of llama.cpp's formats before GGUF.
    #[error("it is one of the formats before GGUF; convert the model again from its checkpoint")]
    Ggml,
    /// A compressed file.
    #[error("it is compressed; unpack it first")]
    Compressed,
    /// A JSON document.
    #[error("it looks like JSON; name the model file, or the checkpoint's folder")]
    Json,
    /// None of the formats above.
    #[error("it does not begin with `GGUF`; name a .gguf file")]
    Unknown,
}

impl Lookalike {
    /// Guesses the format from `bytes`, the file's beginning or all of it.
    pub fn guess(bytes: &[u8]) -> Lookalike {
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
        Some(name) => format!("`{}`, padded to the alignment, ends", name.escape_debug()),
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
