//! The GGUF file format, version 3; knows no model.
//!
//! ```text
//! "GGUF"  version u32  tensor count u64  metadata count u64
//! metadata:  key string, value type u32, value            (see `value`)
//! tensors:   name string, n_dims u32, dims u64 each, type u32, offset u64
//! padding to the alignment (`general.alignment`, else 32)
//! tensor data: each tensor at its offset from here, padded to the alignment
//! ```
//!
//! All numbers are little-endian; a string is a u64 length and UTF-8 bytes without a terminator;
//! `dims[0]` is the length of a row, the reverse of Hugging Face's order.
//! Source: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod error;
mod ggml_type;
mod kv_type;
mod read;
mod reader;
mod scan;
mod value;
mod write;

pub use error::{Error, Lookalike, NameProblem, ShapeProblem};
pub use ggml_type::GgmlType;
pub use kv_type::{FlashAttention, KV_TYPES, KvType};
pub use read::Gguf;
pub use scan::values_with_prefix;
pub use value::{Array, Value};
pub use write::Header;

/// Default of `general.alignment`: the alignment of the data section and of each tensor in it, in bytes.
pub const DEFAULT_ALIGNMENT: u64 = 32;

/// One row of the tensor table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// The tensor's name, such as `blk.0.attn_q.weight`.
    pub name: String,
    /// The lengths of its dimensions, fastest first: `dims[0]` is the length of a row.
    pub dims: Vec<u64>,
    /// Encoding of its rows.
    pub ggml_type: GgmlType,
    /// Start of its bytes, relative to the data section.
    pub offset: u64,
}

impl TensorInfo {
    /// Number of weights.
    pub fn element_count(&self) -> u64 {
        self.dims.iter().fold(1, |count: u64, &length| count.saturating_mul(length))
    }

    /// Bytes of its data, without padding.
    pub fn byte_len(&self) -> u64 {
        (self.element_count() / self.ggml_type.block_len()).saturating_mul(self.ggml_type.block_bytes())
    }
}
