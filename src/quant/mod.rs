//! Rows of f32 -> blocks and back; pure arithmetic.
//!
//! Every encoder writes, byte for byte, what the x86-64 build of ggml writes, on every machine: the
//! same float operations in the same order, never contracted into fused multiply-adds.

use crate::gguf::GgmlType;

/// One block format: encodes rows of `f32` and decodes them again.
pub trait Codec: Send + Sync {
    /// The type it implements, which also states the block's length and bytes.
    fn ggml_type(&self) -> GgmlType;

    /// Encodes `row` into `out`.
    ///
    /// `row` is `[n]` with `n % block_len == 0`, all finite; `out` is `[n / block_len * block_bytes]` bytes.
    fn encode(&self, row: &[f32], out: &mut [u8]);

    /// Decodes `blocks` into `out`: the weights that ggml computes with.
    ///
    /// `blocks` is `[n / block_len * block_bytes]` bytes; `out` is `[n]`.
    fn decode(&self, blocks: &[u8], out: &mut [f32]);
}

/// Every block format the converter writes, by type number.
pub static CODECS: &[&dyn Codec] = &[];

/// The codec of a type, if the converter writes it.
pub fn codec(ggml_type: GgmlType) -> Option<&'static dyn Codec> {
    CODECS.iter().copied().find(|codec| codec.ggml_type() == ggml_type)
}
